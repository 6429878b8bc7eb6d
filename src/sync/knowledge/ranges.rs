//! Ranges of time, both ends within, to the microsecond.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::Timestamp;

pub type Range = RangeInclusive<Timestamp>;

/// The resolution of every timestamp.
pub const INSTANT: Duration = Duration::from_micros(1);

/// `range` less `taken`, newest first.
pub fn without(range: &Range, taken: &Range) -> impl Iterator<Item = Range> + use<> {
    let (start, end) = (*range.start(), *range.end());
    let above = (*taken.end() + INSTANT).max(start)..=end;
    let below = start..=(*taken.start() - INSTANT).min(end);
    [above, below].into_iter().filter(|piece| !piece.is_empty())
}
