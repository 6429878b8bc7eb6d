//! More calls at one instant than fit a page.
//!
//! No date bound can part them and the upstream shuffles ties, so that pages by offset repeat some
//! and miss others. They are read by offset all the same, pass after pass. At some moments it is
//! known that no more than so many are there. A call that was seen before such a moment and again
//! after it was there at that moment; once as many such calls were seen as were there, they are
//! all. Who comes or leaves meanwhile is among them or not, and stands in for nobody. (Only one that
//! leaves and comes back between two sightings is taken for one that stayed.)
//! Pure: what to ask next, and what an answer means.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::coverage::NEVER;
use crate::model::{Call, Timestamp, Verified, Window};
use crate::upstream::{Answer, ListQuery, Request};

/// Passes after which the seen set is given up; the odds that so many miss a call are those of a
/// server that counts what it does not list.
const MOST_PASSES: u32 = 32;

/// The reading of one instant.
#[derive(Debug)]
pub struct Crowd {
    /// [`NEVER`] for the calls without a start.
    instant: Timestamp,
    page_limit: usize,
    /// By id, the numbers of the first and of the last request that told of the call.
    seen: HashMap<i64, (u64, u64)>,
    marks: Vec<Mark>,
    /// No more are there, by the last count: a pass ends there.
    expected: Option<u64>,
    /// The next request is a count.
    counts: bool,
    skip: usize,
    /// The pass told of a call that none before it did.
    news: bool,
    passes: u32,
    requests: u32,
}

/// A moment at which it is known how many calls are there.
#[derive(Debug)]
struct Mark {
    request: Verified,
    /// No more than these.
    there: u64,
    /// So many were seen before and after.
    certain: u64,
    /// The last pass added none to those.
    stalled: bool,
}

/// What came of an answer.
#[derive(Debug, PartialEq)]
pub enum Progress {
    More,
    /// All were seen that were there when the window was verified.
    Read(Window),
    /// The count and the list will not agree.
    GivenUp,
}

impl Crowd {
    pub fn new(instant: Timestamp, page_limit: usize) -> Crowd {
        Crowd {
            instant,
            page_limit,
            seen: HashMap::new(),
            marks: Vec::new(),
            expected: None,
            counts: false,
            skip: 0,
            news: false,
            passes: 0,
            requests: 0,
        }
    }

    /// Our clock was put back.
    pub fn put_back(&mut self, by: Duration) {
        for mark in &mut self.marks {
            mark.request.at = mark.request.at - by;
        }
    }

    /// How many answers it took so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// The ids of all calls that this request or a later one told of.
    pub fn into_seen_since(self, request: Verified) -> HashSet<i64> {
        let seen = self.seen.into_iter();
        seen.filter(|(_, (_, last))| *last >= request.seq)
            .map(|(id, _)| id)
            .collect()
    }

    /// The next request; the same until its answer is absorbed.
    pub fn request(&self) -> Request {
        // Nothing filters for calls without a start: there are no more of them than of all.
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
            limit: self.page_limit,
        })
    }

    /// Takes in the answer to [`Crowd::request`], which started as `request`.
    pub fn absorb(&mut self, request: Verified, answer: &Answer) -> Progress {
        self.requests += 1;
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
                (request.seq, request.seq)
            });
            *last = request.seq;
        }
        self.skip += found;
        // Calls without a start come first: where others follow them on the page, those were all.
        let followed = found < calls.len();
        if followed {
            self.mark(request, self.skip as u64);
        }
        let all = self
            .expected
            .is_none_or(|expected| self.skip as u64 >= expected);
        // A server may put fewer on a page than it was asked for: the count tells the end.
        match followed || found == 0 || all {
            true => self.end_pass(followed),
            false => Progress::More,
        }
    }

    fn end_pass(&mut self, followed: bool) -> Progress {
        self.skip = 0;
        self.passes += 1;
        let news = std::mem::take(&mut self.news);
        let seen = &self.seen;
        for mark in &mut self.marks {
            let moment = mark.request.seq;
            let both = seen
                .values()
                .filter(|(first, last)| (*first..=*last).contains(&moment));
            let certain = both.count() as u64;
            mark.stalled = mark.certain == certain;
            mark.certain = certain;
        }
        // More than were there is a count, or a list, that was wrong.
        self.marks.retain(|mark| mark.certain <= mark.there);
        let read = self.marks.iter().rev().find(|m| m.certain == m.there);
        if let Some(mark) = read {
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
        // A mark that stalls may wait for a call that has left. Without one, there is no point in
        // counting while fewer were seen than there are.
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

    /// No more than `there` were there. Of fewer that were seen until then, it would never be known
    /// that they are all.
    fn mark(&mut self, request: Verified, there: u64) {
        if self.seen.len() as u64 >= there {
            self.marks.push(Mark {
                request,
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

    /// An upstream of `crowd` calls at one instant (or without a start) and `others` before it.
    fn ask(request: &Request, crowd: &mut [Call], others: &[Call], rng: &mut StdRng) -> Answer {
        crowd.shuffle(rng);
        let all = crowd.iter().chain(others);
        match request {
            Request::List(query) => {
                let matching =
                    all.filter(|call| query.from.is_none() || call.started_at == query.from);
                let calls = matching
                    .skip(query.skip)
                    .take(query.limit)
                    .cloned()
                    .collect();
                Answer::Page(Page { calls, total: None })
            }
            Request::Count { from: None, .. } => Answer::Count(all.count() as u64),
            Request::Count { .. } => Answer::Count(crowd.len() as u64),
            other => panic!("{other:?}"),
        }
    }

    fn read(instant: Timestamp, mut calls: Vec<Call>, others: &[Call], seed: u64) -> (Window, u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut crowd = Crowd::new(instant, PAGE_LIMIT);
        for seq in 1..300 {
            let answer = ask(&crowd.request(), &mut calls, others, &mut rng);
            let request = Verified {
                at: Timestamp::from_micros(0),
                seq,
            };
            if let Progress::Read(window) = crowd.absorb(request, &answer) {
                assert!(window.verified.seq <= seq);
                assert_eq!(crowd.into_seen_since(window.verified).len(), calls.len());
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

    /// Reads a crowd of which calls leave, and others join, at drawn moments. Whoever was there at
    /// the moment of the window and stays to the end has to have been seen, before and after it.
    fn read_in_motion(start: Option<&str>, others: &[Call], seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut calls: Vec<_> = (0..60).map(|id| call(id, start)).collect();
        let mut there: Vec<HashSet<i64>> = Vec::new();
        let instant = start.map_or(NEVER, |start| Timestamp::parse(start).unwrap());
        let mut crowd = Crowd::new(instant, 25);
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
            let answer = ask(&crowd.request(), &mut calls, others, &mut rng);
            let at = Timestamp::from_micros(0);
            if let Progress::Read(window) = crowd.absorb(Verified { at, seq }, &answer) {
                let then = &there[window.verified.seq as usize - 1];
                let seen = crowd.into_seen_since(window.verified);
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
        let mut crowd = Crowd::new(Timestamp::parse(START).unwrap(), PAGE_LIMIT);
        let request = Verified {
            at: Timestamp::from_micros(0),
            seq: 1,
        };
        for _ in 0..200 {
            let answer = match crowd.request() {
                Request::Count { .. } => Answer::Count(3),
                _ => Answer::Page(Page {
                    calls: vec![call(1, Some(START))],
                    total: None,
                }),
            };
            if crowd.absorb(request, &answer) == Progress::GivenUp {
                return;
            }
        }
        panic!("still trying");
    }
}
