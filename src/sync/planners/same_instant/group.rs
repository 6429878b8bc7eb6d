//! A same-instant group: more calls at one instant than fit a page.
//!
//! No date bound separates them and the upstream shuffles ties, so that pages by offset repeat some
//! and miss others. They are read by offset all the same, pass after pass. At some moments it is
//! known how many exist at most. A call that was seen before such a moment and again after it
//! existed then; once as many such calls were seen as existed, they are all. A call that joins or
//! leaves meanwhile is among them or not, and replaces no other. (Only a call that leaves and
//! returns between two sightings is taken for one that stayed.) Pure: which request is next, and
//! what an answer means.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Call, Timestamp, Verified, Window};
use crate::sync::knowledge::coverage::NEVER;
use crate::upstream::{AGE_UNIT, Answer, ListQuery, Request};

/// Passes after which the reading is given up: that the server counts what it does not list is then
/// likelier than that all of them missed a call.
const MOST_PASSES: u32 = 32;

/// By how much each failure shortens the page.
const NARROWING: usize = 4;

/// After this many passes in a row without a new call, what is missing can't be read.
const SETTLED: u32 = 5;

/// After this many failures in a row the group rests: it is the list that fails, not its rows.
const FAILURES_AT_ONCE: u32 = 24;
const REST: Duration = Duration::from_secs(30);

/// The reading of one instant.
#[derive(Debug)]
pub struct SameInstantGroup {
    /// [`NEVER`] for the calls without a start.
    instant: Timestamp,
    page_limit: usize,
    /// Rows per request: fewer than the limit where one of them can't be read.
    limit: usize,
    /// True if a page failed for one of its rows.
    has_failed: bool,
    /// A row before this offset made a page fail.
    fails_until: usize,
    /// Rows that were skipped since the last that was read.
    trailing: usize,
    /// Rows that exist, by the count, and could not be read.
    unseen: u64,
    /// Rows that were skipped, and may have a start.
    doubtful: u64,
    /// True if what was read is all that existed.
    is_whole: bool,
    /// Passes in a row that listed no new call.
    quiet_passes: u32,
    /// Failures in a row, and until when the group rests after too many.
    failures: u32,
    rest_until: Option<Instant>,
    /// By id, the numbers of the first and the last answer that listed the call, in order of
    /// arrival.
    seen: HashMap<i64, (u32, u32)>,
    marks: Vec<Mark>,
    /// At most this many exist, by the last count: a pass ends there.
    expected: Option<u64>,
    /// True if the next request is a count.
    counts: bool,
    skip: usize,
    /// True if the pass listed a call that none before it did.
    news: bool,
    passes: u32,
    requests: u32,
    /// When the latest answer arrived.
    answered: Option<Instant>,
    /// The number of the answer as of which everything was read.
    read_at: u32,
}

/// A moment at which it is known how many calls exist.
#[derive(Debug)]
struct Mark {
    request: Verified,
    /// The number of the answer that gave the count.
    moment: u32,
    /// At most this many existed.
    there: u64,
    /// How many were seen before and after.
    certain: u64,
    /// True if the last pass added none to those.
    stalled: bool,
}

/// What follows from an answer.
#[derive(Debug, PartialEq)]
pub enum Progress {
    More,
    /// All calls were seen that existed when the window was verified, and can be read: see
    /// [`SameInstantGroup::is_whole`].
    Read(Window),
    /// The count and the list do not come to agree.
    GivenUp,
}

impl SameInstantGroup {
    pub fn new(instant: Timestamp, page_limit: usize) -> SameInstantGroup {
        SameInstantGroup {
            instant,
            page_limit,
            limit: page_limit,
            has_failed: false,
            fails_until: 0,
            trailing: 0,
            unseen: 0,
            doubtful: 0,
            is_whole: false,
            quiet_passes: 0,
            failures: 0,
            rest_until: None,
            seen: HashMap::new(),
            marks: Vec::new(),
            expected: None,
            counts: false,
            skip: 0,
            news: false,
            passes: 0,
            requests: 0,
            answered: None,
            read_at: 0,
        }
    }

    /// Starts with pages of this length, since longer ones fail.
    pub fn narrowed(self, limit: usize) -> SameInstantGroup {
        let limit = limit.clamp(1, self.page_limit);
        SameInstantGroup { limit, ..self }
    }

    /// Moves the marks' times back, as the clock here was put back.
    pub fn put_back(&mut self, by: Duration) {
        for mark in &mut self.marks {
            mark.request.at = mark.request.at - by;
        }
    }

    /// How many answers it took so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// The ids of all calls that were listed since the moment as of which everything was read.
    pub fn into_seen(self) -> HashSet<i64> {
        let seen = self.seen.into_iter();
        seen.filter(|(_, (_, last))| *last >= self.read_at)
            .map(|(id, _)| id)
            .collect()
    }

    /// The next request; the same until its answer is absorbed.
    pub fn request(&self) -> Request {
        // No filter selects calls without a start: the count of all calls is an upper bound.
        let bound = (self.instant != NEVER).then_some(self.instant);
        if self.expected.is_none() || self.counts {
            return Request::Count {
                from: bound,
                to: bound,
            };
        }
        Request::List(ListQuery {
            from: bound,
            to: bound,
            status: None,
            skip: self.skip,
            limit: self.limit,
        })
    }

    /// Rows that exist, by the count, and could not be read. Some of them may be calls with a
    /// start; of those, `elsewhere` are counted as unreadable already.
    pub fn unreadable(&self, elsewhere: u64) -> u64 {
        let elsewhere = elsewhere.min(self.doubtful);
        let least = u64::from(elsewhere == 0);
        self.unseen.saturating_sub(elsewhere).max(least)
    }

    /// Whether what was read is all that existed.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub fn rests(&self, now: Instant) -> bool {
        self.rested_at(now).is_some()
    }

    /// The end of the rest; `None` where the group does not rest.
    pub fn rested_at(&self, now: Instant) -> Option<Instant> {
        self.rest_until.filter(|until| *until > now)
    }

    /// Sets the page length that the upstream serves.
    pub fn set_page_limit(&mut self, page_limit: usize) {
        self.page_limit = page_limit;
        self.limit = self.limit.min(page_limit);
    }

    /// Takes in a failed request. A page is requested again at once, a quarter as long, and a row
    /// that fails by itself is skipped; a count waits.
    pub fn failed(&mut self, now: Instant) {
        self.failures += 1;
        let counted = matches!(self.request(), Request::Count { .. });
        if counted || self.failures > FAILURES_AT_ONCE {
            self.rest_until = Some(now + REST);
        }
        if counted {
            return;
        }
        if self.failures == 1 {
            // One failure may be transient.
        } else if self.limit > 1 {
            self.has_failed = true;
            self.fails_until = self.skip + self.limit;
            self.limit = (self.limit / NARROWING).max(1);
        } else {
            self.has_failed = true;
            self.skip += 1;
            self.trailing += 1;
        }
    }

    /// Whether a cached answer, less than a second old, to a request that started at `begun` may be
    /// older than the answer before it. If so, their order is unknown, and the group rests until a
    /// new answer has to be newer. Some intermediaries answer everything this way.
    pub fn is_too_soon(&mut self, begun: Instant) -> bool {
        let apart = self.answered.map(|answered| answered + AGE_UNIT);
        let until = apart.filter(|apart| begun < *apart);
        self.rest_until = until.or(self.rest_until);
        until.is_some()
    }

    /// Takes in a cached answer, whose moment can't be compared with others. A page of another
    /// length is another cache entry. Where those are used up, or the answer was a count, the group
    /// rests.
    pub fn cached_answer(&mut self, now: Instant) {
        let shorter = self.limit - (self.limit / 8).max(1);
        let counted = matches!(self.request(), Request::Count { .. });
        if counted || 2 * shorter < self.page_limit {
            self.limit = self.page_limit;
            self.rest_until = Some(now + REST);
        } else {
            self.limit = shorter;
        }
    }

    /// Takes in the answer to [`SameInstantGroup::request`], which is true at `request` or later.
    pub fn absorb(&mut self, request: Verified, answer: &Answer, now: Instant) -> Progress {
        self.requests += 1;
        self.answered = Some(now);
        self.failures = 0;
        self.rest_until = None;
        match answer {
            Answer::Page(page) => return self.absorb_page(request, &page.calls),
            Answer::Count(count) => self.absorb_count(request, *count),
            _ => {}
        }
        Progress::More
    }

    fn absorb_page(&mut self, request: Verified, calls: &[Call]) -> Progress {
        let of_instant = calls
            .iter()
            .filter(|call| call.started_at.unwrap_or(NEVER) == self.instant);
        let mut found = 0;
        for call in of_instant {
            found += 1;
            let seen = self.seen.entry(call.id);
            let (_, last) = seen.or_insert_with(|| {
                self.news = true;
                (self.requests, self.requests)
            });
            *last = self.requests;
        }
        self.skip += found;
        if self.skip >= self.fails_until {
            self.limit = (self.limit * 2).min(self.page_limit);
        }
        // Calls without a start come first: where others follow them on the page, those were all.
        let followed = found < calls.len();
        if found > 0 {
            self.trailing = 0;
        }
        if followed {
            // Whether rows that were skipped just before the others have a start is unknown.
            self.doubtful = self.trailing as u64;
            self.mark(request, self.skip as u64);
        }
        let all = self
            .expected
            .is_none_or(|expected| self.skip as u64 >= expected);
        // A server may put fewer rows on a page than requested: the count shows the end.
        match followed || found == 0 || all {
            true => self.end_pass(followed),
            false => Progress::More,
        }
    }

    fn end_pass(&mut self, followed: bool) -> Progress {
        self.skip = 0;
        self.trailing = 0;
        self.passes += 1;
        let news = std::mem::take(&mut self.news);
        let seen = &self.seen;
        for mark in &mut self.marks {
            let both = seen
                .values()
                .filter(|(first, last)| (*first..=*last).contains(&mark.moment));
            let certain = both.count() as u64;
            mark.stalled = mark.certain == certain;
            mark.certain = certain;
        }
        // Where more were seen than existed, a count or a list was wrong.
        self.marks.retain(|mark| mark.certain <= mark.there);
        self.quiet_passes = if news { 0 } else { self.quiet_passes + 1 };
        // Where some can't be read, they are what is missing once nothing new is listed.
        let settled = self.has_failed && self.quiet_passes >= SETTLED;
        let most = self.marks.iter().max_by_key(|mark| mark.certain);
        let whole = self
            .marks
            .iter()
            .rev()
            .find(|mark| mark.certain == mark.there);
        if let Some(mark) = whole.or(most.filter(|mark| settled && mark.stalled)) {
            self.read_at = mark.moment;
            self.is_whole = mark.certain == mark.there;
            self.unseen = mark.there.saturating_sub(self.seen.len() as u64);
            return Progress::Read(Window {
                from: self.instant,
                to: self.instant,
                verified: mark.request,
                rows: usize::try_from(mark.there).unwrap_or(usize::MAX),
                open_ended: false,
            });
        }
        if self.passes >= MOST_PASSES {
            return Progress::GivenUp;
        }
        // A mark that stalls may wait for a call that has left. Without a mark, there is no point
        // in counting while fewer were seen than exist.
        let seen_all = self.expected <= Some(self.seen.len() as u64);
        let due = self
            .marks
            .last()
            .map_or(seen_all || !news, |mark| mark.stalled);
        self.counts = due && !followed;
        Progress::More
    }

    fn absorb_count(&mut self, request: Verified, count: u64) {
        self.expected = Some(count);
        if std::mem::take(&mut self.counts) {
            self.mark(request, count);
        }
    }

    /// Marks a moment at which at most `there` calls existed. If fewer were seen until then, it
    /// would never be known that they are all, unless some can't be read.
    fn mark(&mut self, request: Verified, there: u64) {
        let may_be_all = self.has_failed && !self.news;
        if may_be_all || self.seen.len() as u64 >= there {
            self.marks.push(Mark {
                request,
                moment: self.requests,
                there,
                certain: 0,
                stalled: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::upstream::{PAGE_LIMIT, Page};

    fn call(id: i64, started_at: Option<&str>) -> Call {
        let start = started_at.map_or("null".to_owned(), |start| format!("\"{start}\""));
        Call::from_json(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","started_at":{start}}}"#
        ))
        .unwrap()
    }

    const START: &str = "2026-10-13T06:00:00";

    /// An upstream with `group` at one instant (or without a start), and `others` before it.
    fn ask(request: &Request, group: &mut [Call], others: &[Call], rng: &mut StdRng) -> Answer {
        group.shuffle(rng);
        let all = group.iter().chain(others);
        match request {
            Request::List(query) => {
                let matching =
                    all.filter(|call| query.from.is_none() || call.started_at == query.from);
                let calls: Vec<Call> = matching
                    .skip(query.skip)
                    .take(query.limit)
                    .cloned()
                    .collect();
                Answer::Page(Page {
                    rows: calls.len(),
                    calls,
                    doubled: Vec::new(),
                    total: None,
                })
            }
            Request::Count { from: None, .. } => Answer::Count(all.count() as u64),
            Request::Count { .. } => Answer::Count(group.len() as u64),
            other => panic!("{other:?}"),
        }
    }

    fn read(instant: Timestamp, mut calls: Vec<Call>, others: &[Call], seed: u64) -> (Window, u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut group = SameInstantGroup::new(instant, PAGE_LIMIT);
        for seq in 1..300 {
            let answer = ask(&group.request(), &mut calls, others, &mut rng);
            let request = Verified {
                at: Timestamp::from_micros(0),
                seq,
            };
            if let Progress::Read(window) = group.absorb(request, &answer, Instant::now()) {
                assert!(window.verified.seq <= seq);
                assert_eq!(group.into_seen().len(), calls.len());
                return (window, seq);
            }
        }
        panic!("seed {seed}: not read");
    }

    #[test]
    fn a_crowd_is_read_whole_though_every_page_is_shuffled() {
        let start = Timestamp::parse(START).unwrap();
        for seed in 0..20 {
            let calls = (0..1500).map(|id| call(id, Some(START))).collect();
            let (window, requests) = read(start, calls, &[], seed);
            assert_eq!((window.from, window.to, window.rows), (start, start, 1500));
            assert!(requests <= 40, "seed {seed}: {requests}");
        }
    }

    #[test]
    fn calls_without_a_start_are_all_that_come_before_the_others() {
        let others: Vec<_> = (5000..5500).map(|id| call(id, Some(START))).collect();
        for count in [999, 1000, 1001, 2000] {
            let calls = (0..count).map(|id| call(id, None)).collect();
            let (window, _) = read(NEVER, calls, &others, 3);
            assert_eq!((window.from, window.rows), (NEVER, count as usize));
        }
    }

    /// Reads a group that calls leave and others join at drawn moments. Every call that exists at
    /// the moment of the window and stays to the end has to have been seen, before and after it.
    fn read_in_motion(start: Option<&str>, others: &[Call], seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut calls: Vec<_> = (0..60).map(|id| call(id, start)).collect();
        let mut there: Vec<HashSet<i64>> = Vec::new();
        let instant = start.map_or(NEVER, |start| Timestamp::parse(start).unwrap());
        let mut group = SameInstantGroup::new(instant, 25);
        let moves = rng.random_range(1..6);
        let mut moments: Vec<u64> = (0..moves).map(|_| rng.random_range(2..25)).collect();
        for seq in 1.. {
            assert!(seq < 1000, "seed {seed}: not read");
            while let Some(place) = moments.iter().position(|moment| *moment == seq) {
                moments.swap_remove(place);
                if rng.random_bool(0.7) {
                    calls.pop();
                }
                if rng.random_bool(0.7) {
                    calls.push(call(1000 + calls.len() as i64 + 100 * seq as i64, start));
                }
            }
            there.push(calls.iter().map(|call| call.id).collect());
            let answer = ask(&group.request(), &mut calls, others, &mut rng);
            let at = Timestamp::from_micros(0);
            if let Progress::Read(window) =
                group.absorb(Verified { at, seq }, &answer, Instant::now())
            {
                let then = &there[window.verified.seq as usize - 1];
                let seen = group.into_seen();
                assert_eq!(window.rows, then.len(), "seed {seed}");
                assert!(seen.is_superset(then), "seed {seed}");
                return;
            }
        }
    }

    #[test]
    fn one_that_joins_does_not_stand_in_for_one_that_left() {
        let others: Vec<_> = (5000..5500).map(|id| call(id, Some(START))).collect();
        for seed in 0..500 {
            read_in_motion(Some(START), &[], seed);
            read_in_motion(None, &others, seed);
            read_in_motion(None, &[], seed);
        }
    }

    #[test]
    fn a_count_that_never_agrees_is_given_up() {
        let mut group = SameInstantGroup::new(Timestamp::parse(START).unwrap(), PAGE_LIMIT);
        let request = Verified {
            at: Timestamp::from_micros(0),
            seq: 1,
        };
        for _ in 0..200 {
            let answer = match group.request() {
                Request::Count { .. } => Answer::Count(3),
                _ => Answer::Page(Page {
                    calls: vec![call(1, Some(START))],
                    rows: 1,
                    doubled: Vec::new(),
                    total: None,
                }),
            };
            if group.absorb(request, &answer, Instant::now()) == Progress::GivenUp {
                return;
            }
        }
        panic!("still trying");
    }

    fn limit(group: &SameInstantGroup) -> usize {
        match group.request() {
            Request::List(query) => query.limit,
            other => panic!("{other:?}"),
        }
    }

    /// A group that was counted, and reads pages of this many rows.
    fn counted(page_limit: usize) -> (SameInstantGroup, Verified) {
        let mut group = SameInstantGroup::new(Timestamp::parse(START).unwrap(), page_limit);
        let request = Verified {
            at: Timestamp::from_micros(0),
            seq: 1,
        };
        group.absorb(request, &Answer::Count(5000), Instant::now());
        (group, request)
    }

    fn page(ids: std::ops::Range<i64>) -> Answer {
        let calls: Vec<_> = ids.map(|id| call(id, Some(START))).collect();
        Answer::Page(Page {
            rows: calls.len(),
            calls,
            doubled: Vec::new(),
            total: None,
        })
    }

    #[test]
    fn a_page_that_fails_again_is_read_a_quarter_as_long() {
        let now = Instant::now();
        let (mut group, request) = counted(100);
        group.absorb(request, &page(0..100), Instant::now());
        group.failed(now);
        assert_eq!(limit(&group), 100, "it may have been the moment");
        group.failed(now);
        assert_eq!(limit(&group), 25);
        for (ids, next) in [
            (100..125, 25),
            (125..150, 25),
            (150..175, 25),
            (175..200, 50),
            (200..250, 100),
            (250..350, 100),
        ] {
            group.absorb(request, &page(ids.clone()), Instant::now());
            assert_eq!(limit(&group), next, "after {ids:?}");
        }
        group.set_page_limit(60);
        assert_eq!(limit(&group), 60);
        group.absorb(request, &page(350..410), Instant::now());
        assert_eq!(limit(&group), 60);
    }

    #[test]
    fn what_fails_on_and_on_rests_and_a_count_does_at_once() {
        let now = Instant::now();
        let (mut group, request) = counted(4);
        for _ in 0..FAILURES_AT_ONCE {
            group.failed(now);
            assert!(!group.rests(now));
        }
        group.failed(now);
        assert!(group.rests(now));
        group.failed(now);
        assert!(group.rests(now + REST - Duration::from_millis(1)));
        assert!(!group.rests(now + REST));
        group.absorb(request, &page(0..1), Instant::now());
        assert!(!group.rests(now), "it was answered");

        let mut group = SameInstantGroup::new(NEVER, 4);
        group.failed(now);
        assert!(group.rests(now) && !group.rests(now + REST));
    }

    #[test]
    fn an_answer_that_may_be_older_is_asked_for_a_second_later() {
        let now = Instant::now();
        let mut group = SameInstantGroup::new(NEVER, 100);
        assert!(!group.is_too_soon(now), "it is the first");
        let request = Verified {
            at: Timestamp::from_micros(0),
            seq: 1,
        };
        group.absorb(request, &Answer::Count(7), now);
        assert!(!group.rests(now), "its order is known");
        assert!(group.is_too_soon(now + AGE_UNIT / 2));
        assert_eq!(group.rested_at(now), Some(now + AGE_UNIT));
        assert!(!group.is_too_soon(now + AGE_UNIT) && !group.rests(now + AGE_UNIT));
    }

    #[test]
    fn a_cached_answer_is_asked_for_by_other_lengths_and_then_rests() {
        let now = Instant::now();
        for (page_limit, lengths) in [(100, [88, 77, 68, 60, 53].as_slice()), (4, &[3, 2])] {
            let (mut group, _) = counted(page_limit);
            for length in lengths {
                group.cached_answer(now);
                assert_eq!(limit(&group), *length);
                assert!(!group.rests(now));
            }
            group.cached_answer(now);
            assert_eq!(limit(&group), page_limit);
            assert!(group.rests(now) && !group.rests(now + REST));
        }
        let mut group = SameInstantGroup::new(NEVER, 100);
        group.cached_answer(now);
        assert!(group.rests(now), "a count has no other length");
    }

    #[test]
    fn a_row_that_can_not_be_read_is_stepped_over_and_all_others_are_read() {
        for without_start in [false, true] {
            let mut rng = StdRng::seed_from_u64(7);
            let start = (!without_start).then_some("2026-01-01T00:00:00");
            let instant = match without_start {
                true => NEVER,
                false => call(1, start).started_at.unwrap(),
            };
            let (bad, now) = (13, Instant::now());
            let mut ids: Vec<i64> = (0..50).collect();
            let mut group = SameInstantGroup::new(instant, 20);
            let mut seq = 0;
            let window = loop {
                seq += 1;
                assert!(seq < 1000, "it goes on for ever: {group:?}");
                let request = Verified {
                    at: Timestamp::from_micros(seq as i64),
                    seq,
                };
                let answer = match group.request() {
                    Request::List(query) => {
                        ids.shuffle(&mut rng);
                        let dated = (100..200).filter(|_| without_start);
                        let rows = ids.iter().copied().chain(dated);
                        let page: Vec<i64> = rows.skip(query.skip).take(query.limit).collect();
                        if page.contains(&bad) {
                            group.failed(now);
                            continue;
                        }
                        let start = |id: i64| {
                            if id < 100 {
                                start
                            } else {
                                Some("2026-01-01T00:00:00")
                            }
                        };
                        let calls: Vec<Call> =
                            page.into_iter().map(|id| call(id, start(id))).collect();
                        Answer::Page(Page {
                            rows: calls.len(),
                            calls,
                            doubled: Vec::new(),
                            total: None,
                        })
                    }
                    _ => Answer::Count(if without_start { 150 } else { 50 }),
                };
                match group.absorb(request, &answer, Instant::now()) {
                    Progress::More => {}
                    Progress::Read(window) => break window,
                    Progress::GivenUp => panic!("given up: {group:?}"),
                }
            };
            assert_eq!(
                (window.rows, group.unreadable(u64::MAX)),
                (50, 1),
                "{without_start}"
            );
            assert_eq!(group.seen.len(), 49, "{without_start}");
        }
    }

    /// Skipped rows just before those with a start may have none: nothing shows that none exist.
    #[test]
    fn rows_that_may_have_a_start_leave_the_group_incomplete() {
        let (mut group, now) = (SameInstantGroup::new(NEVER, 4), Instant::now());
        let absorbed = (1..1000).find_map(|seq| {
            let request = Verified {
                at: Timestamp::from_micros(seq),
                seq: seq as u64,
            };
            let answer = match group.request() {
                Request::List(query) if query.skip < 3 => {
                    group.failed(now);
                    return None;
                }
                Request::List(_) => Answer::Page(Page {
                    rows: 1,
                    calls: vec![call(9, Some(START))],
                    doubled: Vec::new(),
                    total: None,
                }),
                _ => Answer::Count(20),
            };
            match group.absorb(request, &answer, Instant::now()) {
                Progress::Read(_) => Some(()),
                _ => None,
            }
        });
        assert!(absorbed.is_some(), "it ends");
        assert!(!group.is_whole());
        assert_eq!(group.unreadable(u64::MAX), 0, "they are told elsewhere");
        assert!(group.unreadable(0) > 0, "they are not");
    }
}
