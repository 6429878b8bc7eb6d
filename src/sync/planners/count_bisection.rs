//! Finds the windows in which the replica and the upstream count differently, by halving time.
//! Pure: which range to count next, and what a count means.
//!
//! One difference among N calls takes log₂(N/1000) counts: where one half is counted, the other
//! half's difference is what remains of the whole's.

use std::ops::RangeInclusive;

use crate::model::{Timestamp, Window};
use crate::sync::knowledge::ranges::INSTANT;

/// A range that is counted differently here and upstream, and is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    pub range: RangeInclusive<Timestamp>,
    /// How many more calls the upstream counts there.
    pub difference: i64,
}

#[derive(Debug)]
pub struct CountBisection {
    /// The ranges still to be halved; the older half of each is counted first.
    parts: Vec<Discrepancy>,
    /// The whole range, until it is counted.
    root: Option<RangeInclusive<Timestamp>>,
    found: Vec<Discrepancy>,
    /// The whole range's difference.
    difference: i64,
    /// The rows that one request reads: a range with fewer is not halved.
    page_limit: usize,
}

impl CountBisection {
    pub fn new(root: RangeInclusive<Timestamp>, page_limit: usize) -> CountBisection {
        CountBisection {
            parts: Vec::new(),
            root: Some(root),
            found: Vec::new(),
            difference: 0,
            page_limit,
        }
    }

    /// The whole range, while it is not counted yet.
    pub fn root(&self) -> Option<&RangeInclusive<Timestamp>> {
        self.root.as_ref()
    }

    /// The range to count next, given the current windows; `None` at the end.
    pub fn next(&self, windows: &[Window]) -> Option<RangeInclusive<Timestamp>> {
        match (&self.root, self.parts.last()) {
            (Some(root), _) => Some(root.clone()),
            (None, Some(part)) => Some(self.older_half(part, windows)),
            (None, None) => None,
        }
    }

    /// Takes in both counts of `range`, which [`CountBisection::next`] returned.
    pub fn absorb(
        &mut self,
        range: &RangeInclusive<Timestamp>,
        upstream: u64,
        held: u64,
        windows: &[Window],
    ) {
        let difference = upstream.cast_signed().saturating_sub(held.cast_signed());
        if self.root.take_if(|root| root == range).is_some() {
            self.difference = difference;
            self.put(range.clone(), difference, windows);
            return;
        }
        // A count of another range is ignored: a window that came or went has moved the cut.
        let Some(part) = self
            .parts
            .pop_if(|part| part.range.start() == range.start() && range.end() < part.range.end())
        else {
            return;
        };
        let newer = *range.end() + INSTANT..=*part.range.end();
        self.put(newer, part.difference - difference, windows);
        self.put(range.clone(), difference, windows);
    }

    /// By how much the whole range differs, once it is counted.
    pub fn difference(&self) -> i64 {
        self.difference
    }

    /// The whole difference and the ranges that differ, once nothing is left to count.
    pub fn into_found(self) -> (i64, Vec<Discrepancy>) {
        (self.difference, self.found)
    }

    fn put(&mut self, range: RangeInclusive<Timestamp>, difference: i64, windows: &[Window]) {
        if difference == 0 {
            return;
        }
        let part = Discrepancy { range, difference };
        let (count, rows) = within(&part.range, windows).fold((0, 0), |(count, rows), window| {
            (count + 1, rows + window.rows)
        });
        if count <= 1 || rows < self.page_limit {
            self.found.push(part);
        } else {
            self.parts.push(part);
        }
    }

    /// The older half of a part: up to the end of the window in which half of the rows is reached.
    fn older_half(&self, part: &Discrepancy, windows: &[Window]) -> RangeInclusive<Timestamp> {
        let (start, end) = (*part.range.start(), *part.range.end());
        let rows: usize = within(&part.range, windows).map(|window| window.rows).sum();
        let mut older = 0;
        let middle = within(&part.range, windows)
            .find(|window| {
                older += window.rows;
                2 * older >= rows
            })
            .map_or(end, |window| window.to);
        // A cut at the last window's end would leave no newer half.
        let middle = match middle < end {
            true => middle,
            false => within(&part.range, windows)
                .last()
                .map_or(start, |last| last.from - INSTANT),
        };
        start..=middle.clamp(start, end - INSTANT)
    }
}

/// The windows that overlap the range, oldest first.
fn within<'a>(
    range: &RangeInclusive<Timestamp>,
    windows: &'a [Window],
) -> impl Iterator<Item = &'a Window> {
    let (start, end) = (*range.start(), *range.end());
    let first = windows.partition_point(|window| window.to < start);
    windows[first..]
        .iter()
        .take_while(move |window| window.from <= end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Verified;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    /// A thousand windows of ten instants, with one call per instant and one page per window.
    fn windows() -> Vec<Window> {
        let window = |place: i64| Window {
            from: at(place * 10),
            to: at(place * 10 + 9),
            verified: Verified { at: at(0), seq: 1 },
            rows: 10,
            open_ended: false,
        };
        (0..1000).map(window).collect()
    }

    /// Runs a search where the upstream has more (or fewer) calls than one per instant. Returns
    /// what it found and how many counts that took.
    fn search(differences: &[(i64, i64)]) -> (Vec<Discrepancy>, usize) {
        let windows = windows();
        let mut search = CountBisection::new(at(0)..=at(9999), 10);
        let mut counts = 0;
        while let Some(range) = search.next(&windows) {
            counts += 1;
            assert!(counts < 5000, "it goes on for ever");
            let held = range.end().as_micros() - range.start().as_micros() + 1;
            let more: i64 = differences
                .iter()
                .filter(|(instant, _)| range.contains(&at(*instant)))
                .map(|(_, more)| more)
                .sum();
            search.absorb(&range, (held + more) as u64, held as u64, &windows);
        }
        (search.into_found().1, counts)
    }

    #[test]
    fn nothing_is_found_where_nothing_differs() {
        assert_eq!(search(&[]), (vec![], 1));
    }

    proptest! {
        #[test]
        fn one_difference_is_found_in_a_logarithm_of_counts(
            instant in 0..10_000_i64, more in prop_oneof![-1..0_i64, 1..50_i64]
        ) {
            let (found, counts) = search(&[(instant, more)]);
            prop_assert_eq!(found.len(), 1);
            prop_assert!(found[0].range.contains(&at(instant)));
            prop_assert_eq!(found[0].difference, more);
            let span = found[0].range.end().as_micros() - found[0].range.start().as_micros();
            prop_assert!(span < 20, "a page, not more");
            prop_assert!(counts <= 11, "{} counts for a thousand windows", counts);
        }

        #[test]
        fn several_insertions_are_all_found(
            instants in prop::collection::vec(0..10_000_i64, 1..6)
        ) {
            let differences: Vec<_> = instants.iter().map(|instant| (*instant, 1)).collect();
            let (found, counts) = search(&differences);
            for instant in &instants {
                prop_assert!(found.iter().any(|found| found.range.contains(&at(*instant))));
            }
            prop_assert!(counts <= 11 * instants.len());
        }
    }
}
