//! When the upstream's count is compared with the replica's, and how long to wait after a search
//! that explained nothing. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use super::search::{Found, Search};
use crate::model::{Timestamp, Window};

/// Between two counts, where the list does not tell its total.
const COUNT_INTERVAL: Duration = Duration::from_secs(60);

/// Totals that differ once may be those of two moments.
const DIFFERING_IN_A_ROW: u32 = 2;

#[derive(Debug, Default)]
pub struct Counting {
    search: Option<Search>,
    /// Heads in a row whose total was not explained.
    differing: u32,
    /// What the last search set out to explain.
    difference: i64,
    /// Searches in a row for the same difference.
    fruitless: u32,
    not_before: Option<Instant>,
}

impl Counting {
    /// A head told its total: how many more calls that is than the replica holds.
    pub fn head_counted(&mut self, difference: i64) {
        if difference == 0 {
            self.differing = 0;
            self.fruitless = 0;
        } else {
            self.differing += 1;
        }
    }

    /// Whether it is time to count history. `has_totals`: the head tells when there is a reason.
    pub fn is_due(&self, has_totals: bool, now: Instant) -> bool {
        self.search.is_none()
            && self.not_before.is_none_or(|instant| instant <= now)
            && (!has_totals || self.differing >= DIFFERING_IN_A_ROW)
    }

    pub fn begin(&mut self, root: RangeInclusive<Timestamp>, page_limit: usize) {
        self.search = Some(Search::new(root, page_limit));
    }

    /// Whether this is the first count of a search, that of the whole range.
    pub fn is_whole(&self, range: &RangeInclusive<Timestamp>) -> bool {
        let search = self.search.as_ref();
        search.is_some_and(|search| search.root() == Some(range))
    }

    /// The range to be counted next.
    pub fn next(&self, windows: &[Window]) -> Option<RangeInclusive<Timestamp>> {
        self.search.as_ref()?.next(windows)
    }

    /// Takes in a count; what differs, once the search is over.
    pub fn absorb(
        &mut self,
        range: &RangeInclusive<Timestamp>,
        upstream: u64,
        held: u64,
        windows: &[Window],
        longest_rest: Duration,
        now: Instant,
    ) -> Vec<Found> {
        let Some(search) = &mut self.search else {
            return Vec::new();
        };
        search.absorb(range, upstream, held, windows);
        if search.next(windows).is_some() {
            return Vec::new();
        }
        let (difference, found) = self
            .search
            .take()
            .map(Search::into_found)
            .unwrap_or_default();
        // The same difference again: reading the ranges again has not explained it. It is looked
        // for ever more rarely, until it changes.
        self.fruitless = match difference != 0 && difference == self.difference {
            true => self.fruitless + 1,
            false => 0,
        };
        self.difference = difference;
        self.differing = 0;
        let rest = COUNT_INTERVAL.saturating_mul(1 << self.fruitless.min(16));
        self.not_before = Some(now + rest.min(longest_rest.max(COUNT_INTERVAL)));
        found
    }

    /// Lets go of a search, for its counts can't be had or mean nothing now.
    pub fn give_up(&mut self, now: Instant) {
        self.search = None;
        self.not_before = Some(now + COUNT_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(3600);

    fn root() -> RangeInclusive<Timestamp> {
        Timestamp::from_micros(0)..=Timestamp::from_micros(9)
    }

    #[test]
    fn a_total_has_to_differ_twice_in_a_row() {
        let now = Instant::now();
        let mut counting = Counting::default();
        for (difference, due) in [(1, false), (0, false), (1, false), (-2, true), (0, false)] {
            counting.head_counted(difference);
            assert_eq!(counting.is_due(true, now), due, "{difference}");
        }
        assert!(counting.is_due(false, now), "nothing else would tell");
    }

    #[test]
    fn what_no_search_explains_is_searched_ever_more_rarely() {
        let mut now = Instant::now();
        let mut counting = Counting::default();
        let mut searches = 0;
        let end = now + 24 * REST;
        while now < end {
            now += Duration::from_secs(10);
            if counting.is_due(false, now) {
                counting.begin(root(), 10);
                searches += 1;
                assert_eq!(counting.absorb(&root(), 5, 4, &[], REST, now).len(), 1);
            }
        }
        assert!((24..40).contains(&searches), "{searches} searches in a day");
    }

    #[test]
    fn equal_counts_are_compared_once_a_minute() {
        let mut now = Instant::now();
        let mut counting = Counting::default();
        for _ in 0..10 {
            assert!(counting.is_due(false, now));
            counting.begin(root(), 10);
            assert_eq!(counting.next(&[]), Some(root()));
            assert!(counting.absorb(&root(), 4, 4, &[], REST, now).is_empty());
            assert!(!counting.is_due(false, now + Duration::from_secs(59)));
            now += COUNT_INTERVAL;
        }
    }
}
