//! When the upstream's counts are compared with the replica's, over which range, and how long to
//! wait after a search that explained nothing. Pure.
//!
//! All of history is counted where the total differs (a hosted upstream reports it with every
//! head), or regularly (where only a count shows it). A difference is searched for at once, and
//! again as long as reading explains something. Two changes whose differences cancel leave the
//! total as it was. So between two counts of the whole, history is counted up to one cut after the
//! other, each of which halves what lies between two earlier ones: two changes with a cut between
//! them do not cancel.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Timestamp, Window};
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::sync::planners::count_bisection::{CountBisection, Discrepancy};

/// The longest time between two counts of the whole, where the list does not report its total.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// The same in polls, where polls are short and the budget has room.
const INTERVAL_IN_POLLS: u32 = 6;

/// The time between two counts up to a cut, in intervals.
const INTERVALS_PER_CUT: u32 = 2;

/// After this many cuts, one at each sixteenth of history, they start over: two changes further
/// apart than that then had a cut between them.
pub const CUTS: u32 = 15;

/// This many totals in a row have to differ: one may be of another moment than what is stored.
const DIFFERING_IN_A_ROW: u32 = 2;

/// After this many totals in a row that agree, earlier differences are forgotten.
const AGREEING_IN_A_ROW: u32 = 3;

/// The first rest after a search that explained nothing; each further one is twice as long.
const FIRST_REST: Duration = Duration::from_secs(60);

/// The search that is running.
#[derive(Debug)]
struct Running {
    search: CountBisection,
    /// True if the range is all of history, false if it is history up to a cut.
    is_whole: bool,
}

/// Differences that reading did not explain: a server may count what it does not list.
#[derive(Debug, Default)]
struct Unexplained {
    differences: BTreeSet<i64>,
    searches: u32,
    rest_until: Option<Instant>,
}

#[derive(Debug)]
pub struct CountCheck {
    /// The time between two counts of the whole.
    interval: Duration,
    longest_rest: Duration,
    running: Option<Running>,
    /// Heads in a row whose total differed, and whose total agreed.
    differing: u32,
    agreeing: u32,
    /// How many more calls the last head reported than are stored.
    latest: i64,
    /// The differences that the last search was to explain, until something is explained.
    searched: Option<[i64; 2]>,
    unexplained: Unexplained,
    /// When the whole is counted next, where no head reports the total; `None`: at once.
    whole_due: Option<Instant>,
    cut_due: Option<Instant>,
    cuts: u32,
    /// No count may be requested before this.
    not_before: Option<Instant>,
}

impl CountCheck {
    /// `per_minute` is the budget. A head is read every `poll_interval`; `longest_rest` bounds
    /// every rest.
    pub fn new(poll_interval: Duration, per_minute: u32, longest_rest: Duration) -> CountCheck {
        CountCheck {
            interval: interval(poll_interval, per_minute),
            longest_rest: longest_rest.max(FIRST_REST),
            running: None,
            differing: 0,
            agreeing: 0,
            latest: 0,
            searched: None,
            unexplained: Unexplained::default(),
            whole_due: None,
            cut_due: None,
            cuts: 0,
            not_before: None,
        }
    }

    /// Takes in by how many calls a head's total exceeds what is stored, not counting suspects.
    /// `is_settled`: there are no suspects.
    pub fn head_counted(&mut self, difference: i64, is_settled: bool) {
        self.latest = difference;
        if difference == 0 {
            self.differing = 0;
            if is_settled {
                self.agreed();
            }
        } else {
            self.differing += 1;
            self.agreeing = 0;
        }
    }

    /// Notes that the counts agree. After enough of these in a row every difference is news again.
    fn agreed(&mut self) {
        self.agreeing += 1;
        if self.agreeing >= AGREEING_IN_A_ROW {
            self.unexplained = Unexplained::default();
            self.searched = None;
        }
    }

    /// Notes that what was read because of a search accounts for a difference.
    pub fn explained(&mut self) {
        self.searched = None;
        self.unexplained = Unexplained::default();
        self.whole_due = None;
    }

    /// Whether all of history is to be counted. `has_totals`: heads show whether there is a reason.
    pub fn is_due(&mut self, has_totals: bool, now: Instant) -> bool {
        if !self.may_count(now) {
            return false;
        }
        if !has_totals {
            return self.whole_due.is_none_or(|due| due <= now);
        }
        if self.differing < DIFFERING_IN_A_ROW {
            return false;
        }
        if let Some(searched) = self.searched.filter(|[head, _]| *head == self.latest) {
            self.rest(searched, now);
        }
        !self.is_known_unexplained(self.latest, now)
    }

    /// The share of history up to which it is to be counted now, between two counts of the whole.
    pub fn cut_due(&mut self, now: Instant) -> Option<f64> {
        let due = *self.cut_due.get_or_insert(now + self.interval);
        (self.may_count(now) && due <= now).then(|| fraction(self.cuts % CUTS + 1))
    }

    /// Starts a search with the count of all of history.
    pub fn begin(&mut self, root: RangeInclusive<Timestamp>, page_limit: usize) {
        self.running = Some(Running {
            search: CountBisection::new(root, page_limit),
            is_whole: true,
        });
    }

    /// Starts a search with the count of history up to a cut.
    pub fn begin_cut(&mut self, range: RangeInclusive<Timestamp>, page_limit: usize, now: Instant) {
        self.skip_cut(now);
        self.running = Some(Running {
            search: CountBisection::new(range, page_limit),
            is_whole: false,
        });
    }

    /// Skips a cut that has nothing on one side.
    pub fn skip_cut(&mut self, now: Instant) {
        self.cuts = self.cuts.wrapping_add(1);
        self.cut_due = Some(now + self.interval * INTERVALS_PER_CUT);
    }

    /// Whether this range is the first count of the search.
    pub fn is_root(&self, range: &RangeInclusive<Timestamp>) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.search.root() == Some(range))
    }

    /// Whether this range is the first count of the search, and all of history.
    pub fn is_whole(&self, range: &RangeInclusive<Timestamp>) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.is_whole && running.search.root() == Some(range))
    }

    pub fn next(&self, context: &Context<'_>) -> Step {
        let range = context
            .date_form
            .and_then(|_| self.next_range(context.coverage.windows()));
        Step::send(range.map(Job::Count).and_then(|job| context.idle(job)))
    }

    /// The range to count next.
    fn next_range(&self, windows: &[Window]) -> Option<RangeInclusive<Timestamp>> {
        self.running.as_ref()?.search.next(windows)
    }

    /// Takes in a count. Returns the ranges that differ, once the search is over.
    pub fn absorb(
        &mut self,
        range: &RangeInclusive<Timestamp>,
        upstream: u64,
        held: u64,
        windows: &[Window],
        now: Instant,
    ) -> Vec<Discrepancy> {
        let Some(mut running) = self.running.take() else {
            return Vec::new();
        };
        let is_root = running.search.root() == Some(range);
        running.search.absorb(range, upstream, held, windows);
        if is_root {
            let difference = running.search.difference();
            if running.is_whole {
                self.whole_due = Some(now + self.interval);
                self.differing = 0;
            }
            if difference == 0 {
                if running.is_whole && self.latest == 0 {
                    self.searched = None;
                    self.agreed();
                }
                return Vec::new();
            }
            self.agreeing = 0;
            if let Some(searched) = self.searched.filter(|[_, root]| *root == difference) {
                self.rest(searched, now);
            }
            if self.is_known_unexplained(difference, now) {
                return Vec::new();
            }
        }
        if running.search.next(windows).is_some() {
            self.running = Some(running);
            return Vec::new();
        }
        let (difference, found) = running.search.into_found();
        self.searched = Some([self.latest, difference]);
        // What the search found is read, and then the whole is counted again.
        self.whole_due = None;
        found
    }

    /// Sends no count for this long, as the upstream asked.
    pub fn leave_alone(&mut self, wait: Duration, now: Instant) {
        self.running = None;
        let until = now + wait;
        self.not_before = Some(self.not_before.map_or(until, |at| at.max(until)));
    }

    /// Whether counts may be requested now.
    pub fn may_be_asked(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|instant| instant <= now)
    }

    /// Gives up a search whose counts fail, or mean nothing now.
    pub fn give_up(&mut self, now: Instant) {
        self.running = None;
        self.not_before = Some(now + FIRST_REST);
    }

    fn may_count(&self, now: Instant) -> bool {
        self.running.is_none() && self.may_be_asked(now)
    }

    /// Rests after a search whose ranges were read while its difference is still there.
    fn rest(&mut self, searched: [i64; 2], now: Instant) {
        self.searched = None;
        let Unexplained {
            differences,
            searches,
            rest_until,
        } = &mut self.unexplained;
        differences.extend(searched.iter().filter(|difference| **difference != 0));
        let rest = FIRST_REST.saturating_mul(1 << (*searches).min(16));
        *rest_until = Some(now + rest.min(self.longest_rest));
        *searches += 1;
    }

    /// Whether this difference was searched for without result, and its search rests.
    fn is_known_unexplained(&self, difference: i64, now: Instant) -> bool {
        let rests = self.unexplained.rest_until.is_some_and(|until| until > now);
        rests && self.unexplained.differences.contains(&difference)
    }
}

/// Six polls, at most a minute; a minute where the polls alone take more than half of the budget.
fn interval(poll_interval: Duration, per_minute: u32) -> Duration {
    let polls = poll_interval * INTERVAL_IN_POLLS;
    let polls_per_minute = 60.0 / poll_interval.as_secs_f64().max(0.001);
    match polls_per_minute * 2.0 <= f64::from(per_minute) {
        true => polls.min(LONGEST_INTERVAL),
        false => LONGEST_INTERVAL,
    }
}

/// 1/2, 1/4, 3/4, 1/8, 5/8, 3/8, 7/8 and so on: the bits of `number`, mirrored at the binary point.
fn fraction(number: u32) -> f64 {
    f64::from(number.reverse_bits()) / 2_f64.powi(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(3600);
    const POLL: Duration = Duration::from_secs(10);

    fn counting() -> CountCheck {
        CountCheck::new(POLL, 6000, REST)
    }

    fn root() -> RangeInclusive<Timestamp> {
        Timestamp::from_micros(0)..=Timestamp::from_micros(9)
    }

    /// Starts a search whose first count finds `difference`.
    fn search(counting: &mut CountCheck, difference: i64, now: Instant) -> usize {
        counting.begin(root(), 10);
        let upstream = u64::try_from(4 + difference).unwrap();
        counting.absorb(&root(), upstream, 4, &[], now).len()
    }

    #[test]
    fn a_total_has_to_differ_twice_in_a_row() {
        let now = Instant::now();
        let mut counting = counting();
        for (difference, due) in [(1, false), (0, false), (1, false), (-2, true), (0, false)] {
            counting.head_counted(difference, true);
            assert_eq!(counting.is_due(true, now), due, "{difference}");
        }
        assert!(counting.is_due(false, now), "nothing else would tell");
    }

    #[test]
    fn one_change_after_another_is_searched_for_without_a_rest() {
        let mut now = Instant::now();
        let mut counting = counting();
        for _ in 0..20 {
            // The same difference each time, and each time it is explained.
            for _ in 0..2 {
                now += POLL;
                counting.head_counted(-1, true);
            }
            assert!(counting.is_due(true, now));
            assert_eq!(search(&mut counting, -1, now), 1);
            counting.explained();
        }
    }

    #[test]
    fn what_no_search_explains_is_searched_ever_more_rarely() {
        for has_totals in [true, false] {
            let mut now = Instant::now();
            let mut counting = counting();
            let mut searches = 0;
            let end = now + 24 * REST;
            while now < end {
                now += POLL;
                if has_totals {
                    counting.head_counted(1, true);
                }
                if counting.is_due(has_totals, now) {
                    searches += search(&mut counting, 1, now);
                }
            }
            assert!((24..40).contains(&searches), "{searches} searches in a day");
        }
    }

    #[test]
    fn a_new_difference_ends_the_rest() {
        for has_totals in [true, false] {
            let mut now = Instant::now();
            let mut counting = counting();
            for _ in 0..100 {
                now += POLL;
                if has_totals {
                    counting.head_counted(1, true);
                }
                if counting.is_due(has_totals, now) {
                    search(&mut counting, 1, now);
                }
            }
            for polls in 1.. {
                now += POLL;
                if has_totals {
                    counting.head_counted(2, true);
                }
                if counting.is_due(has_totals, now) && search(&mut counting, 2, now) == 1 {
                    assert!(polls <= if has_totals { 2 } else { 6 }, "{polls} polls");
                    break;
                }
            }
        }
    }

    #[test]
    fn totals_that_flap_between_servers_are_not_searched_at_every_poll() {
        let mut now = Instant::now();
        let mut counting = counting();
        let mut searches = 0;
        for poll in 0..8640 {
            now += POLL;
            counting.head_counted([0, 0, 1, 1][poll % 4], true);
            if counting.is_due(true, now) {
                searches += search(&mut counting, 1, now);
            }
        }
        assert!(searches < 100, "{searches} searches in a day");
    }

    #[test]
    fn a_search_that_explained_nothing_rests_for_a_minute() {
        let now = Instant::now();
        let mut counting = counting();
        let two_heads = |counting: &mut CountCheck, difference, now| {
            counting.head_counted(difference, true);
            counting.head_counted(difference, true);
            counting.is_due(true, now)
        };
        assert!(two_heads(&mut counting, 1, now));
        assert_eq!(search(&mut counting, 1, now), 1);
        assert!(two_heads(&mut counting, 2, now), "another difference");
        assert!(!two_heads(&mut counting, 1, now), "the same");
        assert!(!two_heads(&mut counting, 1, now + FIRST_REST - POLL));
        assert!(two_heads(&mut counting, 1, now + FIRST_REST));
    }

    #[test]
    fn three_settled_totals_in_a_row_that_agree_end_the_rest() {
        let now = Instant::now();
        let mut counting = counting();
        for (agreeing, due) in [
            ([true, true, false].as_slice(), false),
            (&[true, true, true], true),
        ] {
            for difference in [1, 1] {
                counting.head_counted(difference, true);
            }
            if counting.is_due(true, now) {
                search(&mut counting, 1, now);
                counting.head_counted(1, true);
                counting.head_counted(1, true);
                assert!(!counting.is_due(true, now));
            }
            for is_settled in agreeing {
                counting.head_counted(0, *is_settled);
            }
            for difference in [1, 1] {
                counting.head_counted(difference, true);
            }
            assert_eq!(counting.is_due(true, now), due, "{agreeing:?}");
        }
    }

    #[test]
    fn a_whole_count_that_agrees_ends_a_search_and_a_cut_does_not() {
        let now = Instant::now();
        for (is_whole, found) in [(true, 1), (false, 0)] {
            let mut counting = counting();
            assert_eq!(search(&mut counting, 1, now), 1);
            match is_whole {
                true => assert_eq!(search(&mut counting, 0, now), 0),
                false => {
                    counting.begin_cut(root(), 10, now);
                    assert_eq!(counting.absorb(&root(), 4, 4, &[], now).len(), 0);
                }
            }
            assert_eq!(search(&mut counting, 1, now), found);
        }
    }

    #[test]
    fn a_search_knows_its_first_count_and_whether_it_is_of_all_of_history() {
        let now = Instant::now();
        let mut counting = counting();
        let part = Timestamp::from_micros(0)..=Timestamp::from_micros(4);
        fn told(counting: &CountCheck, range: &RangeInclusive<Timestamp>) -> (bool, bool) {
            (counting.is_root(range), counting.is_whole(range))
        }
        assert_eq!(told(&counting, &root()), (false, false));
        counting.begin(root(), 10);
        assert_eq!(told(&counting, &root()), (true, true));
        assert_eq!(told(&counting, &part), (false, false));
        counting.begin_cut(part.clone(), 10, now);
        assert_eq!(told(&counting, &part), (true, false));
        assert_eq!(told(&counting, &root()), (false, false));
    }

    #[test]
    fn counts_that_cannot_be_had_are_left_alone_for_a_while() {
        let now = Instant::now();
        let mut counting = counting();
        counting.begin(root(), 10);
        counting.give_up(now);
        assert!(!counting.is_root(&root()));
        assert!(!counting.may_be_asked(now + FIRST_REST - POLL));
        assert!(!counting.is_due(false, now + FIRST_REST - POLL));
        assert!(counting.may_be_asked(now + FIRST_REST));
        assert!(counting.is_due(false, now + FIRST_REST));

        counting.begin(root(), 10);
        counting.leave_alone(2 * REST, now);
        assert!(!counting.is_root(&root()));
        counting.leave_alone(REST, now);
        assert!(!counting.may_be_asked(now + 2 * REST - POLL), "the longer");
        assert!(counting.may_be_asked(now + 2 * REST));
    }

    #[test]
    fn equal_counts_are_compared_every_six_polls_but_once_a_minute_at_least() {
        for (poll, per_minute, seconds) in [
            (1, 6000, 6),
            (10, 6000, 60),
            (60, 6000, 60),
            (1, 60, 60),
            (2, 60, 12),
            (2, 59, 60),
        ] {
            let mut now = Instant::now();
            let mut counting = CountCheck::new(Duration::from_secs(poll), per_minute, REST);
            for _ in 0..10 {
                assert!(counting.is_due(false, now));
                assert_eq!(search(&mut counting, 0, now), 0);
                assert!(!counting.is_due(false, now + Duration::from_secs(seconds - 1)));
                now += Duration::from_secs(seconds);
            }
        }
    }

    #[test]
    fn cuts_lie_between_any_two_parts_of_history() {
        let mut now = Instant::now();
        let mut counting = counting();
        let mut cuts = Vec::new();
        let begun = now;
        assert_eq!(counting.cut_due(now), None, "not before the first interval");
        while cuts.len() < CUTS as usize {
            now += POLL;
            if let Some(cut) = counting.cut_due(now) {
                cuts.push(cut);
                counting.begin_cut(root(), 10, now);
                counting.absorb(&root(), 4, 4, &[], now);
            }
        }
        let took = now.duration_since(begun);
        assert!(took <= Duration::from_secs(31 * 60), "{took:?}");
        assert_eq!(cuts[..3], [0.5, 0.25, 0.75]);
        cuts.sort_by(f64::total_cmp);
        let parts = f64::from(CUTS + 1);
        for (place, cut) in cuts.iter().enumerate() {
            assert_eq!(*cut, (place + 1) as f64 / parts);
        }
    }
}
