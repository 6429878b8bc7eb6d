//! What is known of the upstream: a set of time windows, each read completely by some request.
//!
//! Pure. A call without a start belongs to the instant [`NEVER`], just before all others, so that
//! one mechanism covers every call.

use std::ops::RangeInclusive;
use std::time::Duration;

pub use crate::model::NEVER;
use crate::model::{Timestamp, Verified, Window};

/// A window that the head leaves behind joins its older neighbour up to this many calls, so that
/// revalidating both stays one request with room to grow.
const JOINED_ROWS: usize = 900;

/// Disjoint windows, oldest first. The last may be open-ended: the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    windows: Vec<Window>,
    /// When the calls of the head started; unknown after a restart.
    head_starts: Option<Vec<Timestamp>>,
    /// The head could not be read above this instant, because a row there is unreadable.
    unread_above: Option<Timestamp>,
    /// Ranges with rows that the upstream counts and can't list.
    holes: Vec<RangeInclusive<Timestamp>>,
}

/// The newest page of the list, as far as it is complete.
#[derive(Clone, Debug)]
pub struct HeadRead {
    /// From here on the page has every call.
    pub from: Timestamp,
    /// The last instant for which that holds; `None`: the end of time.
    pub until: Option<Timestamp>,
    /// When each of these calls started.
    pub starts: Vec<Timestamp>,
    /// How many calls without a start the page has, if it has them all.
    pub without_start: Option<usize>,
    pub verified: Verified,
}

impl HeadRead {
    /// The instant up to which the read still holds when the next one arrives: new calls start
    /// after the request or after the newest call it listed, whichever is earlier. The first bounds
    /// calls dated in the future, the second a clock here that runs ahead.
    fn settled_until(&self) -> Timestamp {
        let newest = self.starts.iter().max().copied().unwrap_or(self.from);
        let settled = newest.min(self.verified.at).max(self.from);
        self.until.map_or(settled, |until| settled.min(until))
    }
}

impl Coverage {
    /// From windows as they were stored: disjoint, oldest first. A window dated after `now` was
    /// verified by a wrong clock, at no known time, and counts as oldest of all.
    pub fn from_windows(mut windows: Vec<Window>, now: Timestamp) -> Coverage {
        for window in &mut windows {
            if window.verified.at > now {
                window.verified.at = Timestamp::MIN;
            }
        }
        Coverage {
            windows,
            head_starts: None,
            unread_above: None,
            holes: Vec::new(),
        }
    }

    pub fn set_holes(&mut self, holes: Vec<RangeInclusive<Timestamp>>) {
        self.holes = holes;
    }

    /// The ranges with rows that the upstream counts and can't list, as last reported.
    pub fn holes(&self) -> &[RangeInclusive<Timestamp>] {
        &self.holes
    }

    /// Whether all of the range may be unread because the upstream can't list it.
    pub fn is_in_a_hole(&self, range: &RangeInclusive<Timestamp>) -> bool {
        let around = |hole: &RangeInclusive<Timestamp>| {
            hole.start() <= range.start() && range.end() <= hole.end()
        };
        self.holes.iter().any(around)
    }

    /// Whether everything that started since `since` and that the upstream can list was read: the
    /// meaning of `complete` wherever it is reported.
    pub fn is_read(&self, since: Timestamp) -> bool {
        let gaps = self.gaps(since);
        self.head().is_some() && gaps.iter().all(|gap| self.is_in_a_hole(gap))
    }

    /// The windows, oldest first.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The newest window, if read as the head: it is open-ended, or ends below unreadable rows.
    pub fn head(&self) -> Option<&Window> {
        let is_head = |window: &&Window| window.open_ended || self.unread_above.is_some();
        self.windows.last().filter(is_head)
    }

    /// Adds the page at the top of the list. What an earlier head verified below it stays, but
    /// only up to where that one was settled: a gap may open between the two.
    pub fn insert_head(&mut self, head: HeadRead) {
        let previous = self.head().copied();
        if previous.is_some_and(|previous| previous.verified.seq > head.verified.seq) {
            return;
        }
        let starts = self.head_starts.take();
        if let Some(last) = self.windows.last_mut() {
            last.open_ended = false;
        }
        if let Some(until) = head.until {
            // What an earlier head verified above this is no longer known.
            self.windows.retain(|window| window.from <= until);
            for window in &mut self.windows {
                window.to = window.to.min(until);
            }
        }
        let window = Window {
            from: head.from,
            to: head.settled_until(),
            verified: head.verified,
            rows: head.starts.len(),
            open_ended: head.until.is_none(),
        };
        self.insert(window);
        if let Some(rows) = head.without_start {
            self.insert(Window {
                from: NEVER,
                to: NEVER,
                rows,
                open_ended: false,
                ..window
            });
        }
        self.head_starts = Some(head.starts);
        self.unread_above = head.until;
        if let Some(previous) = previous {
            self.join_left_behind(previous, starts);
        }
    }

    /// Adds a window. Where windows overlap, that of the later request counts.
    pub fn insert(&mut self, window: Window) {
        let mut pieces = vec![window];
        let mut kept = Vec::with_capacity(self.windows.len() + 2);
        for old in self.windows.drain(..) {
            if old.verified.seq > window.verified.seq {
                pieces = pieces
                    .into_iter()
                    .flat_map(|piece| without(piece, &old))
                    .collect();
                kept.push(old);
            } else {
                kept.extend(without(old, &window));
            }
        }
        kept.append(&mut pieces);
        kept.sort_unstable_by_key(|window| window.from);
        self.windows = kept;
    }

    /// The ranges that no window covers, newest first, from `since` up to the head, and last
    /// [`NEVER`] if that is unread. Empty before there is a head.
    pub fn gaps(&self, since: Timestamp) -> Vec<RangeInclusive<Timestamp>> {
        let Some(head) = self.head() else {
            return Vec::new();
        };
        let mut gaps = Vec::new();
        let mut above = head.from;
        for window in self.windows.iter().rev().skip(1) {
            if window.to < since {
                break;
            }
            if next(window.to) < above {
                gaps.push(next(window.to)..=before(above));
            }
            above = window.from;
        }
        if since < above {
            gaps.push(since..=before(above));
        }
        if self.known(None).is_none() {
            gaps.push(NEVER..=NEVER);
        }
        gaps
    }

    /// Whether every call that started since `since`, and every one without a start, was read.
    pub fn is_complete(&self, since: Timestamp) -> bool {
        self.head().is_some() && self.unread_above.is_none() && self.gaps(since).is_empty()
    }

    /// Where to cut a range so that about this share of its calls lies before or at the cut; `None`
    /// where its windows can't be separated.
    pub fn cut(&self, range: &RangeInclusive<Timestamp>, part: f64) -> Option<Timestamp> {
        let within = || {
            let windows = self.windows.iter();
            windows.filter(|window| range.start() <= &window.to && window.to < *range.end())
        };
        let rows: usize = within().map(|window| window.rows).sum();
        let mut older = 0;
        within()
            .find(|window| {
                older += window.rows;
                older as f64 >= part * rows as f64
            })
            .filter(|_| older > 0)
            .map(|window| window.to)
    }

    /// When calls that start at `start` were last verified, if they were ever read.
    pub fn known(&self, start: Option<Timestamp>) -> Option<Verified> {
        self.window(start.unwrap_or(NEVER))
            .map(|window| window.verified)
    }

    /// The window that covers an instant.
    pub fn window(&self, instant: Timestamp) -> Option<Window> {
        Window::of(&self.windows, instant).copied()
    }

    /// The oldest verification of a call since `since` or without a start: all are known as of
    /// then.
    pub fn oldest(&self, since: Timestamp) -> Option<Verified> {
        self.windows
            .iter()
            .filter(|window| window.to >= since || window.open_ended || window.from == NEVER)
            .map(|window| window.verified)
            .min_by_key(|verified| verified.at)
    }

    /// The lowest request number of a window: each was verified by that request or a later one.
    pub fn oldest_seq(&self) -> Option<u64> {
        let seqs = self.windows.iter().map(|window| window.verified.seq);
        seqs.min()
    }

    /// Moves every time of verification back, as the clock here was put back.
    pub fn put_back(&mut self, by: Duration) {
        for window in &mut self.windows {
            window.verified.at = window.verified.at - by;
        }
    }

    /// Forgets what started before `before`. Returns whether anything was known of it.
    pub fn forget_before(&mut self, before: Timestamp) -> bool {
        let known = self.windows.len();
        self.windows
            .retain(|window| window.to >= before || window.from == NEVER || window.open_ended);
        let mut changed = self.windows.len() < known;
        for window in &mut self.windows {
            if window.from != NEVER && window.from < before {
                window.from = before;
                window.to = window.to.max(before);
                changed = true;
            }
        }
        changed
    }

    /// Forgets everything but the head and the calls without a start.
    pub fn forget_below_head(&mut self) {
        let head = self.head().map(|head| head.from);
        self.windows
            .retain(|window| Some(window.from) == head || window.from == NEVER);
    }

    /// How many calls the windows had when they were read, at most: what is left of a window that
    /// another cuts keeps its count. Good for progress, not for a total.
    pub fn rows(&self) -> usize {
        self.windows.iter().map(|window| window.rows).sum()
    }

    /// Counts exactly what remains of an earlier head below the new one, and joins it with the
    /// window under it, so that a busy day does not leave a window for every poll.
    fn join_left_behind(&mut self, previous: Window, starts: Option<Vec<Timestamp>>) {
        let (Some(place), Some(starts)) = (
            self.windows
                .iter()
                .position(|window| window.from == previous.from),
            starts,
        ) else {
            return;
        };
        if place + 1 == self.windows.len() {
            return;
        }
        let left = &mut self.windows[place];
        left.rows = starts
            .iter()
            .filter(|start| (left.from..=left.to).contains(start))
            .count();
        let left = *left;
        let Some(below) = place.checked_sub(1).map(|place| self.windows[place]) else {
            return;
        };
        let adjacent = next(below.to) == left.from && below.from != NEVER;
        if adjacent && below.rows + left.rows <= JOINED_ROWS {
            let older = if below.verified.at <= left.verified.at {
                below
            } else {
                left
            };
            self.windows[place - 1] = Window {
                from: below.from,
                to: left.to,
                verified: Verified {
                    at: older.verified.at,
                    seq: below.verified.seq.min(left.verified.seq),
                },
                rows: below.rows + left.rows,
                open_ended: false,
            };
            self.windows.remove(place);
        }
    }
}

/// The parts of `window` outside `other`. The row count stays, as an upper bound.
fn without(window: Window, other: &Window) -> impl Iterator<Item = Window> {
    let apart = window.end() < other.from || other.end() < window.from;
    let whole = apart.then_some(window);
    let below = (!apart && window.from < other.from).then(|| Window {
        to: window.to.min(before(other.from)),
        open_ended: false,
        ..window
    });
    let above = (!apart && other.end() < window.end()).then(|| Window {
        from: next(other.to),
        to: window.to.max(next(other.to)),
        ..window
    });
    whole.into_iter().chain(below).chain(above)
}

pub fn next(instant: Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() + 1)
}

fn before(instant: Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn verified(seq: u64) -> Verified {
        Verified {
            at: at(1_000_000 + seq as i64),
            seq,
        }
    }

    fn window(from: i64, to: i64, seq: u64) -> Window {
        Window {
            from: at(from),
            to: at(to),
            verified: verified(seq),
            rows: 1000,
            open_ended: false,
        }
    }

    fn head(from: i64, starts: &[i64], seq: u64) -> HeadRead {
        let starts = starts.iter().copied().map(at).collect();
        HeadRead {
            from: at(from),
            until: None,
            starts,
            without_start: Some(0),
            verified: verified(seq),
        }
    }

    fn ranges(coverage: &Coverage) -> Vec<(i64, i64, u64)> {
        let windows = coverage
            .windows()
            .iter()
            .filter(|window| window.from != NEVER);
        windows
            .map(|w| (w.from.as_micros(), w.to.as_micros(), w.verified.seq))
            .collect()
    }

    fn gaps(coverage: &Coverage, since: i64) -> Vec<(i64, i64)> {
        let gaps = coverage.gaps(at(since)).into_iter();
        gaps.map(|gap| (gap.start().as_micros(), gap.end().as_micros()))
            .collect()
    }

    #[test]
    fn the_fill_goes_down_from_the_head_and_ends_where_the_list_does() {
        let mut coverage = Coverage::default();
        assert!(gaps(&coverage, 0).is_empty() && !coverage.is_complete(at(0)));
        coverage.insert_head(head(500, &[500, 700, 900], 1));
        assert_eq!(gaps(&coverage, 0), [(0, 499)]);
        coverage.insert(window(300, 499, 2));
        assert_eq!(gaps(&coverage, 0), [(0, 299)]);
        assert_eq!(gaps(&coverage, 300), []);
        coverage.insert(window(0, 299, 3));
        assert!(coverage.is_complete(at(0)));
    }

    #[test]
    fn calls_without_a_start_are_a_gap_of_their_own() {
        let mut coverage = Coverage::default();
        coverage.insert_head(HeadRead {
            without_start: None,
            ..head(0, &[], 1)
        });
        assert_eq!(coverage.gaps(at(0)), [NEVER..=NEVER]);
        assert_eq!(coverage.known(None), None);
        coverage.insert(Window {
            from: NEVER,
            to: NEVER,
            ..window(0, 0, 2)
        });
        assert!(coverage.is_complete(at(0)));
        assert_eq!(coverage.known(None), Some(verified(2)));
    }

    #[test]
    fn a_head_that_does_not_reach_the_one_before_leaves_a_gap_between() {
        let mut coverage = Coverage::default();
        coverage.insert_head(head(500, &[500, 900], 1));
        coverage.insert_head(head(950, &[950, 2000], 2));
        assert_eq!(gaps(&coverage, 500), [(901, 949)]);
        assert_eq!(coverage.known(Some(at(920))), None);
    }

    #[test]
    fn a_call_dated_in_the_future_does_not_hide_the_ones_that_come_before_it() {
        let mut coverage = Coverage::default();
        let far = 9_000_000_000;
        coverage.insert_head(head(500, &[500, far], 1));
        assert_eq!(
            coverage.known(Some(at(far))),
            Some(verified(1)),
            "the head sees all that is newer"
        );
        coverage.insert_head(head(5_000_000, &[5_000_000, far], 2));
        assert_eq!(
            gaps(&coverage, 500),
            [(1_000_002, 4_999_999)],
            "settled until the request began"
        );
    }

    #[test]
    fn a_head_below_unreadable_rows_claims_nothing_above_them() {
        let mut coverage = Coverage::default();
        coverage.insert_head(head(100, &[150, 120], 1));
        coverage.insert(window(10, 99, 2));
        coverage.insert_head(HeadRead {
            until: Some(at(130)),
            ..head(110, &[120], 3)
        });
        assert_eq!(
            ranges(&coverage),
            [(10, 99, 2), (100, 109, 1), (110, 120, 3), (121, 130, 1)]
        );
        assert!(!coverage.is_complete(at(10)), "what is above is unread");
    }

    #[test]
    fn where_history_is_forgotten_the_head_and_calls_without_a_start_stay() {
        let mut coverage = Coverage::default();
        coverage.insert_head(HeadRead {
            without_start: Some(0),
            ..head(100, &[150], 1)
        });
        coverage.insert(window(10, 50, 2));
        coverage.insert(window(51, 99, 3));
        coverage.forget_below_head();
        assert_eq!(ranges(&coverage), [(100, 150, 1)]);
        assert_eq!(coverage.known(None), Some(verified(1)));
    }

    #[test]
    fn the_oldest_word_is_of_what_started_since_or_is_open_or_has_no_start() {
        let (bounded, head) = (window(10, 50, 4), window(60, 90, 7));
        let oldest = |windows: Vec<Window>| {
            let coverage = Coverage::from_windows(windows, at(2_000_000));
            coverage.oldest(at(51)).map(|verified| verified.seq)
        };
        let open = Window {
            open_ended: true,
            ..window(20, 40, 2)
        };
        let never = Window {
            from: NEVER,
            to: NEVER,
            ..window(0, 0, 3)
        };
        assert_eq!(oldest(vec![bounded]), None, "it ends before");
        assert_eq!(oldest(vec![bounded, head]), Some(7));
        assert_eq!(oldest(vec![window(10, 51, 5), head]), Some(5));
        assert_eq!(oldest(vec![open]), Some(2));
        assert_eq!(oldest(vec![never, head]), Some(3));
    }

    #[test]
    fn a_cut_lies_behind_the_part_of_the_calls_that_was_asked_for() {
        let rows = |rows, window| Window { rows, ..window };
        let windows = vec![
            rows(0, window(10, 19, 1)),
            rows(2, window(20, 29, 1)),
            rows(2, window(30, 39, 1)),
            rows(4, window(40, 49, 1)),
        ];
        let coverage = Coverage::from_windows(windows, at(2_000_000));
        let cut = |part| {
            coverage
                .cut(&(at(10)..=at(100)), part)
                .map(Timestamp::as_micros)
        };
        assert_eq!(
            [cut(0.25), cut(0.5), cut(0.75)],
            [Some(29), Some(39), Some(49)]
        );
        assert_eq!(cut(0.0), None, "nothing lies before it");
    }

    #[test]
    fn a_range_is_in_a_hole_only_if_all_of_it_is() {
        let mut coverage = Coverage::default();
        coverage.set_holes(vec![at(10)..=at(20), at(40)..=at(50)]);
        let within = |from, to| coverage.is_in_a_hole(&(at(from)..=at(to)));
        assert!(within(10, 20) && within(15, 15) && within(41, 50));
        assert!(!within(9, 15) && !within(15, 21) && !within(9, 21) && !within(15, 45));
    }

    #[test]
    fn what_an_idle_head_leaves_behind_joins_its_neighbour() {
        let mut coverage = Coverage::default();
        coverage.insert_head(head(500, &[500, 700, 900], 1));
        coverage.insert(Window {
            rows: 10,
            ..window(0, 499, 2)
        });
        coverage.insert_head(head(700, &[700, 900, 901], 3));
        coverage.insert_head(head(900, &[900, 901, 902], 4));
        assert_eq!(ranges(&coverage), [(0, 899, 1), (900, 902, 4)]);
        assert_eq!(coverage.windows()[1].rows, 12);
        assert_eq!(coverage.rows(), 15);
    }

    #[test]
    fn an_answer_that_started_earlier_does_not_take_a_window_back() {
        let mut coverage = Coverage::default();
        coverage.insert(window(100, 200, 5));
        coverage.insert(window(50, 250, 3));
        assert_eq!(
            ranges(&coverage),
            [(50, 99, 3), (100, 200, 5), (201, 250, 3)]
        );
        coverage.insert(window(150, 220, 9));
        assert_eq!(
            ranges(&coverage),
            [(50, 99, 3), (100, 149, 5), (150, 220, 9), (221, 250, 3)]
        );
        coverage.insert_head(head(150, &[150], 10));
        coverage.insert_head(head(180, &[180], 4));
        assert_eq!(coverage.head().map(|head| head.verified.seq), Some(10));
    }

    proptest! {
        /// Compares with a naive model: one slot per instant, with the latest request that read it.
        #[test]
        fn windows_are_what_a_slot_an_instant_would_say(
            reads in prop::collection::vec((0..40_i64, 0..12_i64, 1..9_u64), 0..24)
        ) {
            let mut coverage = Coverage::default();
            coverage.insert_head(head(60, &[], 1));
            let mut slots = [0_u64; 60];
            for (from, length, seq) in reads {
                coverage.insert(window(from, from + length, seq));
                for slot in &mut slots[from as usize..=(from + length) as usize] {
                    *slot = (*slot).max(seq);
                }
            }
            let windows = coverage.windows();
            prop_assert!(windows.windows(2).all(|pair| pair[0].to < pair[1].from));
            let gaps = coverage.gaps(at(0));
            for (instant, slot) in slots.iter().enumerate() {
                let instant = at(instant as i64);
                let known = coverage.known(Some(instant)).map_or(0, |verified| verified.seq);
                prop_assert_eq!(known, *slot);
                prop_assert_eq!(gaps.iter().any(|gap| gap.contains(&instant)), *slot == 0);
            }
        }
    }
}
