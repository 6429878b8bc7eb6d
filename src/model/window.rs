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
