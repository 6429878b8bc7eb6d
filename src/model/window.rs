//! A range of time that was read completely.

use super::Timestamp;

/// When, and by which request, something was last known to equal the upstream.
///
/// Both are taken when the request *started*: what it brought was true then or later. Sequence
/// numbers order requests where clocks can't; they go on across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub at: Timestamp,
    pub seq: u64,
}

/// Where a call without a start belongs: the instant just before all others.
pub const NEVER: Timestamp = Timestamp::from_micros(Timestamp::MIN.as_micros() - 1);

/// All calls with a start in `from..=to` are in the replica as they were when `verified` began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// [`Timestamp::MIN`] where the list ended: nothing is older.
    pub from: Timestamp,
    pub to: Timestamp,
    pub verified: Verified,
    /// How many calls it held then.
    pub rows: usize,
    /// The newest window: the same read also brought every call that starts later and every call
    /// without a start.
    pub open_ended: bool,
}

impl Window {
    /// The last instant that it speaks of.
    pub fn end(&self) -> Timestamp {
        match self.open_ended {
            true => Timestamp::MAX,
            false => self.to,
        }
    }

    /// The one of some disjoint windows, oldest first, that speaks of an instant.
    pub fn of(windows: &[Window], instant: Timestamp) -> Option<&Window> {
        let after = windows.partition_point(|window| window.from <= instant);
        let window = windows.get(after.checked_sub(1)?)?;
        (instant <= window.end()).then_some(window)
    }
}
