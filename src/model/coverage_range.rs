//! A piece of what an edge knows, as it tells another one.

use super::Timestamp;

/// All calls with a start in `from..=to` were known `age_s` seconds ago or later.
///
/// An age, not an instant: the two clocks need not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverageRange {
    /// `None`: since ever.
    pub from: Option<Timestamp>,
    /// `None` with no `from` either: this is of the calls that have no start.
    pub to: Option<Timestamp>,
    /// Rounded up.
    pub age_s: u64,
    /// Every call that starts later was known as well.
    pub open_ended: bool,
}
