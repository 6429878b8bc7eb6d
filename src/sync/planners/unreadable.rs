//! Ranges that can't be read as they are: rests between tries, shorter pages, and skipped rows.
//!
//! One unreadable row makes every page with it fail. A range that fails is therefore requested
//! again at once, then in pages a quarter as long, and again, until the page above the row can be
//! read and the row alone can't. That row is skipped: what lies between its neighbours is a
//! [`Hole`], tried again at its revalidation interval. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;
use crate::sync::knowledge::ranges::{INSTANT, Range};

/// By how much each failure shortens the page.
const NARROWING: usize = 4;

/// A single instant that fails this often is not narrowed any further.
const FAILURES_OF_AN_INSTANT: u32 = 3;

/// After this many failures of ranges in a row they rest: it is the list that fails, not its rows.
const AT_ONCE: u32 = 24;

/// This many unreadable rows side by side are a hole down to the range's beginning.
const MOST_SKIPPED: usize = 100;

/// The longest rest of a range between two tries.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// A range with rows that the upstream counts but can't list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    pub range: Range,
    /// How many rows; of a single instant, at least one.
    pub rows: u64,
    pub next_try: Instant,
}

/// How a range is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrowed {
    pub limit: usize,
    /// How many unreadable rows at its newest end are skipped.
    pub skip: usize,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The range is requested in another way, at once.
    Narrowed,
    /// Ranges fail one after the other: it is the list that fails.
    Failing,
    /// A hole that is still one.
    StillAHole,
    /// A page of one instant is too long: it is read as a same-instant group.
    TooLong,
}

#[derive(Debug)]
struct FailingRange {
    narrowed: Narrowed,
    failures: u32,
    rest_until: Instant,
    /// True if a page left out many stored calls: the next one that does is believed.
    doubted: bool,
}

#[derive(Debug)]
pub struct Unreadable {
    page_limit: usize,
    /// By the range's newest end, and whether it is a single instant.
    ranges: BTreeMap<(Timestamp, bool), FailingRange>,
    /// Instants to read by themselves, since a narrow page had nothing else.
    instants: BTreeSet<Timestamp>,
    holes: Vec<Hole>,
    /// Failures of any range since one was answered.
    in_a_row: u32,
}

fn key(range: &Range) -> (Timestamp, bool) {
    (*range.end(), range.start() == range.end())
}

impl Unreadable {
    pub fn new(page_limit: usize) -> Unreadable {
        Unreadable {
            page_limit,
            ranges: BTreeMap::new(),
            instants: BTreeSet::new(),
            holes: Vec::new(),
            in_a_row: 0,
        }
    }

    /// Sets the page length that the upstream serves.
    pub fn set_page_limit(&mut self, page_limit: usize) {
        self.page_limit = page_limit;
        for failing_range in self.ranges.values_mut() {
            failing_range.narrowed.limit = failing_range.narrowed.limit.min(page_limit);
        }
    }

    pub fn narrowed(&self, range: &Range) -> Narrowed {
        self.ranges.get(&key(range)).map_or(
            Narrowed {
                limit: self.page_limit,
                skip: 0,
            },
            |failing_range| failing_range.narrowed,
        )
    }

    /// Whether the range rests for now.
    pub fn rests(&self, range: &Range, now: Instant) -> bool {
        let waits_for_instant = range.start() < range.end() && self.instants.contains(range.end());
        let failing_range = self.ranges.get(&key(range));
        waits_for_instant
            || failing_range.is_some_and(|failing_range| failing_range.rest_until > now)
    }

    /// When the first range that rests may be read again.
    pub fn rested_at(&self, now: Instant) -> Option<Instant> {
        let rests = self
            .ranges
            .values()
            .map(|failing_range| failing_range.rest_until);
        rests.filter(|until| *until > now).min()
    }

    /// Instants to read by themselves.
    pub fn instants(&self) -> impl Iterator<Item = Range> {
        self.instants.iter().map(|instant| *instant..=*instant)
    }

    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    pub fn holes_within(&self, range: &Range) -> impl Iterator<Item = &Hole> {
        self.holes
            .iter()
            .filter(|hole| range.start() <= hole.range.start() && hole.range.end() <= range.end())
    }

    pub fn unreadable(&self) -> u64 {
        self.holes.iter().map(|hole| hole.rows).sum()
    }

    /// The unreadable rows above a head that begins below them.
    pub fn unreadable_above_head(&self) -> u64 {
        let above = self
            .holes
            .iter()
            .filter(|hole| hole.range.end() == &Timestamp::MAX);
        above.map(|hole| hole.rows).sum()
    }

    /// Takes in a failed request for a range. `tier` is the time until a hole's next try.
    pub fn failed(
        &mut self,
        range: &Range,
        by_length: bool,
        tier: Duration,
        now: Instant,
    ) -> Outcome {
        let is_instant = range.start() == range.end();
        if let Some(hole) = self.holes.iter_mut().find(|hole| hole.range == *range) {
            hole.next_try = now + tier;
            return match is_instant && by_length {
                true => Outcome::TooLong,
                false => Outcome::StillAHole,
            };
        }
        self.in_a_row += 1;
        let too_many = self.in_a_row.saturating_sub(AT_ONCE);
        let failing_range = self.failing_range(range, now);
        failing_range.failures += 1;
        if too_many > 0 {
            let rest = Duration::from_secs(1 << too_many.min(5)).min(LONGEST_REST);
            failing_range.rest_until = now + rest;
        }
        let alone = is_instant && failing_range.failures >= FAILURES_OF_AN_INSTANT;
        if alone && by_length {
            return Outcome::TooLong;
        }
        if alone || failing_range.narrowed.skip >= MOST_SKIPPED {
            let rows = failing_range.narrowed.skip.max(1) as u64;
            self.add_hole(range.clone(), rows, now + tier);
        } else if !is_instant {
            match &mut failing_range.narrowed {
                // One failure may be transient.
                _ if failing_range.failures == 1 => {}
                Narrowed { limit: 1, skip } => *skip += 1,
                Narrowed { limit, .. } => *limit = (*limit / NARROWING).max(1),
            }
        }
        match too_many > 0 {
            true => Outcome::Failing,
            false => Outcome::Narrowed,
        }
    }

    /// Notes an answer for the range, which ends a hole there: remaining rows are narrowed down
    /// again.
    pub fn answered(&mut self, range: &Range) {
        self.in_a_row = 0;
        self.holes.retain(|hole| hole.range != *range);
    }

    /// Notes that a page of the range was read down to just above `below`, or to its end.
    pub fn read(&mut self, range: &Range, below: Option<Timestamp>, now: Instant) {
        let read_from = below.map_or(*range.start(), |below| below + INSTANT);
        self.holes
            .retain(|hole| hole.range.start() < &read_from || range.end() < hole.range.end());
        self.instants.remove(range.end());
        let narrowed = self.narrowed(range);
        self.ranges.remove(&key(range));
        // The rest is read in pages twice as long: the row may be far below, or the connection
        // failed.
        let limit = narrowed.limit * 2;
        if let Some(below) = below.filter(|_| limit < self.page_limit) {
            self.go_on_narrowly(*range.start()..=below, limit, now);
        }
        if range.start() == range.end() {
            // The narrow read that needed the instant continues below it.
            if let Some(above) = self.ranges.remove(&(*range.end(), false)) {
                let end = *range.end() - INSTANT;
                self.ranges.entry((end, false)).or_insert(above);
            }
        }
    }

    /// Notes that everything from this instant on was read.
    pub fn head_read(&mut self, from: Timestamp) {
        self.holes
            .retain(|hole| *hole.range.start() < from && *hole.range.end() < Timestamp::MAX);
    }

    /// Adds the hole above a head that begins below unreadable rows, which the head tries again
    /// itself.
    pub fn add_hole_above_head(&mut self, range: Range, rows: usize, now: Instant) {
        const NEVER: Duration = Duration::from_secs(365 * 86_400);
        self.add_hole(range, rows as u64, now + NEVER);
    }

    /// Has an instant read by itself, since a narrow page had nothing but its calls.
    pub fn read_instant(&mut self, instant: Timestamp) {
        self.instants.insert(instant);
    }

    /// Takes in a page that skipped the `skipped` newest rows of the range; its own newest call
    /// starts at `below`, if it has any. The number is taken from the request: another answer may
    /// have changed how the range is requested since.
    pub fn stepped_over(
        &mut self,
        range: &Range,
        skipped: usize,
        below: Option<Timestamp>,
        until: Instant,
    ) {
        if self.ranges.remove(&key(range)).is_none() {
            return;
        }
        let from = match below {
            Some(below) if below < *range.end() => below + INSTANT,
            // The call shares its instant with the unreadable rows.
            Some(below) => below,
            None => *range.start(),
        };
        self.add_hole(from..=*range.end(), skipped as u64, until);
    }

    /// Notes a page that left out so many stored calls that it is not believed. The range is read
    /// again after a poll, but however rare those are, one bad page does not stop a backfill.
    pub fn doubt(&mut self, range: &Range, poll_interval: Duration, now: Instant) {
        let failing_range = self.failing_range(range, now);
        failing_range.doubted = true;
        failing_range.rest_until = now + poll_interval.min(LONGEST_REST);
    }

    pub fn is_doubted(&self, range: &Range) -> bool {
        self.ranges
            .get(&key(range))
            .is_some_and(|failing_range| failing_range.doubted)
    }

    fn go_on_narrowly(&mut self, range: Range, limit: usize, now: Instant) {
        let failing_range = self.failing_range(&range, now);
        failing_range.narrowed.limit = limit;
    }

    /// Adds a hole of this many unreadable rows; all others of the range were read.
    pub fn add_hole(&mut self, range: Range, rows: u64, next_try: Instant) {
        self.ranges.remove(&key(&range));
        self.instants.remove(range.end());
        self.holes
            .retain(|hole| hole.range.end() < range.start() || range.end() < hole.range.start());
        self.holes.push(Hole {
            range,
            rows,
            next_try,
        });
    }

    fn failing_range(&mut self, range: &Range, now: Instant) -> &mut FailingRange {
        let narrowed = Narrowed {
            limit: self.page_limit,
            skip: 0,
        };
        self.ranges.entry(key(range)).or_insert(FailingRange {
            narrowed,
            failures: 0,
            rest_until: now,
            doubted: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    const TIER: Duration = Duration::from_secs(600);

    /// Reads 0..=99, one row per instant, in pages of 16, of which those with an `unreadable` row
    /// fail. Returns the instants read, and how many requests that took.
    fn read_all(unreadable: &[i64]) -> (Vec<i64>, Unreadable, usize) {
        let now = Instant::now();
        let mut troubles = Unreadable::new(16);
        let mut unread: Vec<i64> = (0..100).collect();
        let mut read = Vec::new();
        for requests in 0..1000 {
            let holes: Vec<Range> = troubles.holes().iter().map(|h| h.range.clone()).collect();
            unread.retain(|row| !holes.iter().any(|hole| hole.contains(&at(*row))));
            let Some(end) = unread.last().copied() else {
                return (read, troubles, requests);
            };
            let instant = troubles.instants().next();
            let range = instant.unwrap_or(at(unread[0])..=at(end));
            let rows: Vec<i64> = (0..100)
                .rev()
                .filter(|row| range.contains(&at(*row)))
                .collect();
            let Narrowed { limit, skip } = troubles.narrowed(&range);
            let page: Vec<i64> = rows.iter().copied().skip(skip).take(limit).collect();
            if page.iter().any(|row| unreadable.contains(row)) {
                troubles.failed(&range, false, TIER, now);
            } else if skip > 0 {
                troubles.stepped_over(&range, skip, page.first().copied().map(at), now + TIER);
            } else if page.len() < limit {
                troubles.read(&range, None, now);
                unread.retain(|row| !range.contains(&at(*row)));
                read.extend(page);
            } else if page[limit - 1] == range.end().as_micros() {
                troubles.read_instant(*range.end());
            } else {
                let oldest = page[limit - 1];
                troubles.read(&range, Some(at(oldest)), now);
                unread.retain(|row| *row <= oldest);
                read.extend(page.iter().filter(|row| **row > oldest));
            }
        }
        panic!("it goes on for ever: {troubles:?}");
    }

    #[test]
    fn without_trouble_every_page_is_a_full_one() {
        let (read, troubles, requests) = read_all(&[]);
        assert_eq!((read.len(), troubles.unreadable(), requests), (100, 0, 7));
    }

    #[test]
    fn unreadable_rows_are_found_alone_and_all_others_are_read() {
        for unreadable in [&[50][..], &[99], &[0], &[10, 50, 51, 90], &[40, 41, 42, 43]] {
            let (mut read, troubles, requests) = read_all(unreadable);
            read.sort_unstable();
            let expected: Vec<i64> = (0..100).filter(|row| !unreadable.contains(row)).collect();
            assert_eq!(read, expected, "{unreadable:?}");
            assert_eq!(troubles.unreadable(), unreadable.len() as u64);
            for row in unreadable {
                let hole = troubles
                    .holes()
                    .iter()
                    .find(|hole| hole.range.contains(&at(*row)));
                assert!(hole.is_some(), "{row} of {unreadable:?}");
            }
            assert!(requests < 20 + 20 * unreadable.len(), "{requests} requests");
        }
    }

    #[test]
    fn a_hole_is_tried_again_on_its_tier_and_closes_when_it_is_read() {
        let (_, mut troubles, _) = read_all(&[50]);
        let hole = troubles.holes()[0].clone();
        let later = hole.next_try + Duration::from_secs(1);
        let outcome = troubles.failed(&hole.range, false, TIER, later);
        assert_eq!(outcome, Outcome::StillAHole);
        assert_eq!(troubles.holes()[0].next_try, later + TIER);
        troubles.read(&hole.range, None, later);
        assert_eq!(troubles.unreadable(), 0);
    }

    #[test]
    fn a_failure_narrows_at_once_until_every_range_fails() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(1000);
        let range = at(0)..=at(9);
        for limit in [1000, 250, 62, 15, 3, 1, 1] {
            assert_eq!(troubles.failed(&range, false, TIER, now), Outcome::Narrowed);
            assert!(!troubles.rests(&range, now));
            assert_eq!(troubles.narrowed(&range).limit, limit);
        }
        while troubles.failed(&range, false, TIER, now) == Outcome::Narrowed {}
        assert!(troubles.rests(&range, now) && !troubles.rests(&(at(0)..=at(8)), now));
        assert!(!troubles.rests(&range, now + LONGEST_REST));
        let rested = troubles.rested_at(now).unwrap();
        assert!(troubles.rests(&range, rested - INSTANT) && !troubles.rests(&range, rested));
        assert_eq!(troubles.rested_at(rested), None);
        troubles.answered(&(at(20)..=at(30)));
        assert_eq!(troubles.failed(&range, false, TIER, now), Outcome::Narrowed);
    }

    /// One instant is one page, which can't be narrowed: whichever of its rows fails, it fails.
    #[test]
    fn an_instant_that_keeps_failing_is_a_hole_that_is_retried() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(1000);
        let instant = at(5)..=at(5);
        for _ in 1..FAILURES_OF_AN_INSTANT {
            troubles.failed(&instant, false, TIER, now);
            assert_eq!(troubles.narrowed(&instant).limit, 1000);
            assert_eq!(troubles.unreadable(), 0);
        }
        troubles.failed(&instant, false, TIER, now);
        assert_eq!(troubles.unreadable(), 1);
        assert_eq!(troubles.holes()[0].next_try, now + TIER);
    }

    /// Shorter pages may read all of its rows.
    #[test]
    fn an_instant_whose_page_breaks_off_is_a_crowd_and_no_hole() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(1000);
        let instant = at(5)..=at(5);
        for _ in 1..FAILURES_OF_AN_INSTANT {
            let outcome = troubles.failed(&instant, true, TIER, now);
            assert_eq!(outcome, Outcome::Narrowed, "it may be the moment's");
        }
        let outcome = troubles.failed(&instant, true, TIER, now);
        assert_eq!((outcome, troubles.unreadable()), (Outcome::TooLong, 0));
        troubles.add_hole(instant.clone(), 1, now);
        let outcome = troubles.failed(&instant, true, TIER, now);
        assert_eq!((outcome, troubles.unreadable()), (Outcome::TooLong, 1));
        let outcome = troubles.failed(&instant, false, TIER, now);
        assert_eq!(outcome, Outcome::StillAHole);
    }

    #[test]
    fn a_narrow_read_goes_on_twice_as_widely_below() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(1000);
        for _ in 0..3 {
            troubles.failed(&(at(0)..=at(99)), false, TIER, now);
        }
        assert_eq!(troubles.narrowed(&(at(0)..=at(99))).limit, 62);
        troubles.read(&(at(0)..=at(99)), Some(at(49)), now);
        assert_eq!(troubles.narrowed(&(at(0)..=at(49))).limit, 124);
        assert_eq!(
            troubles.narrowed(&(at(0)..=at(99))).limit,
            1000,
            "that is read"
        );
        troubles.set_page_limit(100);
        assert_eq!(troubles.narrowed(&(at(0)..=at(49))).limit, 100);
        assert_eq!(troubles.narrowed(&(at(50)..=at(60))).limit, 100);
    }

    /// Two narrow reads of a range may be in flight: the one that skipped a row reports it, however
    /// the range is requested when its answer arrives.
    #[test]
    fn an_answer_that_left_rows_out_leaves_a_hole_of_as_many() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(16);
        for _ in 0..2 {
            troubles.failed(&(at(0)..=at(9)), false, TIER, now);
        }
        troubles.stepped_over(&(at(0)..=at(9)), 1, Some(at(4)), now + TIER);
        assert_eq!(troubles.unreadable(), 1);
        assert_eq!(troubles.holes()[0].range, at(5)..=at(9));
    }

    /// The range has been narrowed further than the read that continues below the instant.
    #[test]
    fn a_narrowed_range_stays_so_when_the_instant_above_it_is_read() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(16);
        for _ in 0..2 {
            troubles.failed(&(at(0)..=at(9)), false, TIER, now);
        }
        troubles.failed(&(at(0)..=at(10)), false, TIER, now);
        troubles.read(&(at(10)..=at(10)), None, now);
        assert_eq!(troubles.narrowed(&(at(0)..=at(9))).limit, 4);
        assert_eq!(troubles.narrowed(&(at(0)..=at(10))).limit, 16);
    }

    #[test]
    fn the_newest_page_closes_the_holes_that_it_reaches_and_any_above_it() {
        let now = Instant::now();
        let mut troubles = Unreadable::new(16);
        for range in [at(10)..=at(20), at(30)..=at(40), at(50)..=at(60)] {
            troubles.add_hole(range, 1, now + TIER);
        }
        troubles.add_hole_above_head(at(70)..=Timestamp::MAX, 1, now);
        assert!(
            troubles.holes()[3].next_try > now + 1000 * TIER,
            "the head tries it"
        );
        troubles.head_read(at(50));
        let left: Vec<_> = troubles
            .holes()
            .iter()
            .map(|hole| *hole.range.start())
            .collect();
        assert_eq!(left, [at(10), at(30)]);
        troubles.head_read(at(30));
        assert_eq!(troubles.unreadable(), 1);
    }

    #[test]
    fn a_doubted_page_rests_for_a_poll_but_not_for_a_rare_one() {
        let now = Instant::now();
        let range = at(0)..=at(9);
        for (poll, rest) in [(10, 10), (3600, 30)] {
            let mut troubles = Unreadable::new(16);
            troubles.doubt(&range, Duration::from_secs(poll), now);
            let end = now + Duration::from_secs(rest);
            assert!(troubles.is_doubted(&range));
            assert!(troubles.rests(&range, end - INSTANT) && !troubles.rests(&range, end));
        }
    }
}
