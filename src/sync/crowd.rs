//! More calls at one instant than fit a page.
//!
//! No date bound can part them and the upstream shuffles ties, so that pages by offset repeat some
//! and miss others. They are read by offset all the same, pass after pass, until as many different
//! calls were seen as the upstream counts, and it counted the same before and after the pass.
//! Pure: what to ask next, and what an answer means.

use std::collections::HashSet;
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
    /// The first request of this reading: what was seen since was there since.
    begun: Option<Verified>,
    seen: HashSet<i64>,
    /// How many the upstream counts; for [`NEVER`] in two steps.
    expected: Option<u64>,
    all: Option<u64>,
    skip: usize,
    /// The pass is through; it is counted again.
    passed: bool,
    passes: u32,
    requests: u32,
}

/// What came of an answer.
#[derive(Debug, PartialEq)]
pub enum Progress {
    More,
    /// All were seen.
    Read(Window),
    /// The count and the list will not agree.
    GivenUp,
}

impl Crowd {
    pub fn new(instant: Timestamp, page_limit: usize) -> Crowd {
        Crowd {
            instant,
            page_limit,
            begun: None,
            seen: HashSet::new(),
            expected: None,
            all: None,
            skip: 0,
            passed: false,
            passes: 0,
            requests: 0,
        }
    }

    /// Our clock was put back.
    pub fn put_back(&mut self, by: Duration) {
        if let Some(begun) = &mut self.begun {
            begun.at = begun.at - by;
        }
    }

    /// How many answers it took so far.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// The ids of all calls of the instant, once they are read.
    pub fn into_seen(self) -> HashSet<i64> {
        self.seen
    }

    /// The next request; the same until its answer is absorbed.
    pub fn request(&self) -> Request {
        let bound = (self.instant != NEVER).then_some(self.instant);
        if self.expected.is_some() && !self.passed {
            return Request::List(ListQuery {
                from: bound,
                to: bound,
                status: None,
                skip: self.skip,
                limit: self.page_limit,
            });
        }
        match (bound, self.all) {
            (Some(_), _) => Request::Count {
                from: bound,
                to: bound,
            },
            // Nothing filters for calls without a start: all calls, less those that have one.
            (None, None) => Request::Count {
                from: None,
                to: None,
            },
            (None, Some(_)) => Request::Count {
                from: Some(Timestamp::MIN),
                to: None,
            },
        }
    }

    /// Takes in the answer to [`Crowd::request`], which started as `request`.
    pub fn absorb(&mut self, request: Verified, answer: &Answer) -> Progress {
        self.begun.get_or_insert(request);
        self.requests += 1;
        match answer {
            Answer::Page(page) => self.absorb_page(&page.calls),
            Answer::Count(count) => self.absorb_count(*count),
            _ => Progress::More,
        }
    }

    fn absorb_page(&mut self, calls: &[Call]) -> Progress {
        let of_instant = calls
            .iter()
            .filter(|call| call.started_at.unwrap_or(NEVER) == self.instant);
        let found = of_instant.map(|call| self.seen.insert(call.id)).count();
        self.skip += found;
        // A server may put fewer on a page than it was asked for: the count tells the end.
        if found == 0
            || self
                .expected
                .is_none_or(|expected| self.skip as u64 >= expected)
        {
            self.passed = true;
            self.skip = 0;
            self.passes += 1;
        }
        Progress::More
    }

    fn absorb_count(&mut self, count: u64) -> Progress {
        if self.instant == NEVER && self.all.is_none() {
            self.all = Some(count);
            return Progress::More;
        }
        let counted = self
            .all
            .take()
            .map_or(count, |all| all.saturating_sub(count));
        let before = self.expected.replace(counted);
        if !std::mem::take(&mut self.passed) {
            return Progress::More;
        }
        let seen = self.seen.len() as u64;
        match self.begun {
            Some(verified) if before == Some(counted) && seen == counted => {
                Progress::Read(Window {
                    from: self.instant,
                    to: self.instant,
                    verified,
                    rows: self.seen.len(),
                    open_ended: false,
                })
            }
            _ if self.passes >= MOST_PASSES => Progress::GivenUp,
            _ if before != Some(counted) || seen > counted => {
                // Some came or went meanwhile: a call that was seen and is gone would stand in for
                // one that is there and was not seen.
                *self = Crowd {
                    passes: self.passes,
                    requests: self.requests,
                    ..Crowd::new(self.instant, self.page_limit)
                };
                Progress::More
            }
            _ => Progress::More,
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
        let nulls = crowd
            .iter()
            .filter(|call| call.started_at.is_none())
            .count() as u64;
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
            Request::Count {
                from: Some(Timestamp::MIN),
                ..
            } => Answer::Count(all.count() as u64 - nulls),
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
                assert_eq!(crowd.seen.len(), calls.len());
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
            assert_eq!(
                (window.from, window.to, window.rows, window.verified.seq),
                (start, start, 1500, 1)
            );
            assert!(requests <= 40, "seed {seed}: {requests}");
        }
    }

    #[test]
    fn calls_without_a_start_are_counted_by_difference() {
        let others: Vec<_> = (5000..5500).map(|id| call(id, Some(START))).collect();
        for count in [999, 1000, 1001, 2000] {
            let calls = (0..count).map(|id| call(id, None)).collect();
            let (window, _) = read(NEVER, calls, &others, 3);
            assert_eq!((window.from, window.rows), (NEVER, count as usize));
        }
    }

    #[test]
    fn a_call_deleted_in_mid_reading_does_not_stand_in_for_one_that_was_not_seen() {
        for seed in 0..100 {
            let mut calls: Vec<_> = (0..60).map(|id| call(id, Some(START))).collect();
            let mut rng = StdRng::seed_from_u64(seed);
            let mut crowd = Crowd::new(Timestamp::parse(START).unwrap(), 25);
            let deleted_at = rng.random_range(2..12);
            for seq in 1.. {
                assert!(seq < 1000, "not read");
                if seq == deleted_at {
                    calls.pop();
                }
                let answer = ask(&crowd.request(), &mut calls, &[], &mut rng);
                let at = Timestamp::from_micros(0);
                if let Progress::Read(window) = crowd.absorb(Verified { at, seq }, &answer) {
                    let there: HashSet<i64> = calls.iter().map(|call| call.id).collect();
                    let gone = seq < deleted_at || window.verified.seq < deleted_at;
                    let seen = crowd.into_seen();
                    assert!(
                        seen == there || (gone && seen.is_superset(&there)),
                        "seed {seed}"
                    );
                    break;
                }
            }
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
