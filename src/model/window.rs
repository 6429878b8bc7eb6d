//! Ranges of time whose calls were read completely.

use super::Timestamp;

/// The instant and the request at which something was last known to equal the upstream.
///
/// Both are taken when the request *started*: its answer was true then or later. Sequence numbers
/// order requests where clocks can't; they go on across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub at: Timestamp,
    pub seq: u64,
}

/// The place of calls without a start: the instant just before all others.
pub const NEVER: Timestamp = Timestamp::from_micros(Timestamp::MIN.as_micros() - 1);

/// A coverage window: the replica has all calls with a start in `from..=to` as of `verified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// [`Timestamp::MIN`] if the list ended here: no call is older.
    pub from: Timestamp,
    pub to: Timestamp,
    pub verified: Verified,
    /// How many calls the window had at that time.
    pub rows: usize,
    /// True for the newest window: the same read also returned every call that starts later and
    /// every call without a start.
    pub open_ended: bool,
}

impl Window {
    /// The last instant that the window covers.
    pub fn end(&self) -> Timestamp {
        match self.open_ended {
            true => Timestamp::MAX,
            false => self.to,
        }
    }

    /// The window that covers an instant, among disjoint windows sorted oldest first.
    pub fn of(windows: &[Window], instant: Timestamp) -> Option<&Window> {
        let after = windows.partition_point(|window| window.from <= instant);
        let window = windows.get(after.checked_sub(1)?)?;
        (instant <= window.end()).then_some(window)
    }
}
