//! Who gets the next request: clients three of four, and each kind of history its turn.

/// After this many requests for clients the next is one for history.
const CLIENTS_IN_A_ROW: usize = 3;

/// Of this many requests for history one reads what was never read, and one revalidates.
const TURNS: usize = 4;

/// The kind of history that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// What is known to have changed.
    Urgent,
    Backfill,
    Revalidation,
}

#[derive(Debug, Default)]
pub struct Shares {
    /// Requests for clients since the last one for history.
    clients_in_a_row: usize,
    /// Requests for history.
    history: usize,
    /// True if the last request was a head.
    pub head_was_last: bool,
}

impl Shares {
    pub fn clients_go_first(&self) -> bool {
        self.clients_in_a_row < CLIENTS_IN_A_ROW
    }

    pub fn turn(&self) -> Turn {
        match self.history % TURNS {
            1 => Turn::Backfill,
            3 => Turn::Revalidation,
            _ => Turn::Urgent,
        }
    }

    pub fn client_was_sent(&mut self) {
        self.clients_in_a_row += 1;
    }

    pub fn history_was_sent(&mut self) {
        self.clients_in_a_row = 0;
        self.history += 1;
    }
}
