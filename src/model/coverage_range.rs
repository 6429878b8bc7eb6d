//! A range of coverage, as one edge reports it to another.

use super::Timestamp;

/// A range of starts, `from..=to`, all of whose calls were verified at most `age_s` seconds ago.
///
/// It carries an age, not an instant, because the two clocks need not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverageRange {
    /// `None`: the range has no lower bound.
    pub from: Option<Timestamp>,
    /// `None`, with `from` also `None`: the range stands for the calls without a start.
    pub to: Option<Timestamp>,
    /// Rounded up.
    pub age_s: u64,
    /// True if every call that starts later was verified as well.
    pub open_ended: bool,
}
