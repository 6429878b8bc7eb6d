//! Details of calls that have ended: which kind of which call is requested next.
//!
//! Background work; no client waits for it. The file knows which calls are due; a batch of them is
//! in memory here, and requested one kind after the other. What fails postpones its own call and no
//! other. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Detail, Timestamp};
use crate::store::{DetailsCounts, DueDetails, Merged};
use crate::sync::health::backoff::Backoff;
use crate::sync::health::status::DetailsStatus;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

/// Background requests for details are at most this part of the requests in flight.
const PART_IN_FLIGHT: usize = 2;

/// Calls that are taken from the file at once.
pub const BATCH: usize = 100;

/// Late details are looked for until this long after a call's start.
const LATE: Duration = Duration::from_secs(86_400);

/// How long a call is put off whose details failed, and twice as long each time.
const PUT_OFF: Duration = Duration::from_secs(60);
const LONGEST_PUT_OFF: Duration = Duration::from_secs(6 * 3600);

/// When a call whose details were all requested is requested again: once it is twice as old, and
/// for the last time when it is a day old. That is some ten times; at the revalidation interval of
/// its record it would be over a hundred.
pub fn again(started_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let age = now.since(started_at?);
    let left = LATE.checked_sub(age).filter(|left| !left.is_zero())?;
    Some(now + age.max(PUT_OFF).min(left))
}

/// A call of the batch.
#[derive(Debug)]
struct Due {
    call_id: i64,
    left: BTreeSet<Detail>,
    /// Kinds that failed in this round.
    failed: BTreeSet<Detail>,
    failures: u32,
}

pub struct Details {
    /// The kinds to store.
    kinds: BTreeSet<Detail>,
    /// Kinds that the server does not have, as it answered since the process started.
    missing: BTreeSet<Detail>,
    batch: Vec<Due>,
    /// True if the file may have calls that come before those of the batch.
    stale: bool,
    /// When the file's next call is due.
    next_due: Option<Timestamp>,
    put_off: BTreeMap<i64, Timestamp>,
    backoff: Backoff,
    rest_until: Option<Instant>,
    /// Kinds that were denied, how often in a row, and until when they rest.
    denied: BTreeMap<Detail, (u32, Timestamp)>,
    /// True if the file has the kinds to store.
    pub recorded: bool,
    pub books: DetailsCounts,
}

impl Details {
    pub fn new(kinds: BTreeSet<Detail>, seed: u64, books: DetailsCounts) -> Details {
        Details {
            kinds,
            missing: BTreeSet::new(),
            batch: Vec::new(),
            stale: true,
            next_due: None,
            put_off: BTreeMap::new(),
            backoff: Backoff::new(seed),
            rest_until: None,
            denied: BTreeMap::new(),
            recorded: false,
            books,
        }
    }

    pub fn status(&self) -> DetailsStatus {
        DetailsStatus {
            due: self.books.due,
            kept: self.books.kept,
        }
    }

    /// The kinds to store, whether or not the server has them.
    pub fn configured(&self) -> &BTreeSet<Detail> {
        &self.kinds
    }

    /// The kinds to request.
    pub fn kinds(&self) -> BTreeSet<Detail> {
        self.kinds.difference(&self.missing).copied().collect()
    }

    /// Notes that calls were written, which may have ended.
    pub fn calls_written(&mut self, merged: &Merged, books: DetailsCounts) {
        self.stale |= merged.new + merged.changed > 0;
        self.books = books;
    }

    /// Whether the next batch is to be read from the file.
    pub fn wants_batch(&self, now: Timestamp) -> bool {
        let due = self.next_due.is_some_and(|due| due <= now);
        (self.stale || due) && !self.kinds().is_empty()
    }

    /// Takes in the calls that are due. Returns those of which nothing is left to request.
    pub fn take_batch(
        &mut self,
        calls: Vec<DueDetails>,
        next_due: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<i64> {
        let kinds = self.kinds();
        let resting = self.resting(now);
        let mut failed: BTreeMap<i64, BTreeSet<Detail>> = std::mem::take(&mut self.batch)
            .into_iter()
            .map(|due| (due.call_id, due.failed))
            .collect();
        let mut over = Vec::new();
        for call in calls {
            if self.put_off.contains_key(&call.call_id) {
                continue;
            }
            let failed = failed.remove(&call.call_id).unwrap_or_default();
            let mut left: BTreeSet<_> = kinds.difference(&call.answered).copied().collect();
            if left.is_empty() {
                over.push(call.call_id);
                continue;
            }
            left.retain(|kind| !failed.contains(kind));
            self.batch.push(Due {
                call_id: call.call_id,
                left,
                failed,
                failures: call.failures,
            });
        }
        for kind in resting {
            self.put_aside(kind, now);
        }
        // After those that are over there may be others.
        self.stale = !over.is_empty();
        self.next_due = next_due;
        over
    }

    /// The next request that the budget can spare, half of which is left to other requests.
    /// `head_read_at`: the next head is needed a poll after that.
    pub fn next(&self, context: &Context<'_>, head_read_at: Option<Instant>) -> Step {
        let at_once = (context.settings.max_concurrency / PART_IN_FLIGHT).max(1);
        let next = self.next_pair(context.in_flight.under_way(), at_once);
        match (self.due_at(context, head_read_at), next) {
            (Some(at), _) if at > context.now.instant => Step::At(at),
            (Some(_), Some((id, kind))) => Step::send(context.idle(Job::Detail(id, kind))),
            _ => Step::Nothing,
        }
    }

    /// When a detail may be requested, or the next batch read; `None`: there is none.
    pub fn due_at(&self, context: &Context<'_>, head_read_at: Option<Instant>) -> Option<Instant> {
        let now = context.now.instant;
        let needed = head_read_at.map_or(now, |at| at + context.settings.poll_interval);
        let spare = context.in_flight.spare_at(now, needed);
        let any = !self.batch.is_empty() || self.wants_batch(context.now.wall);
        let at = self.rest_until.map_or(spare, |rest| rest.max(spare));
        any.then_some(at)
    }

    /// The next detail that is not in flight, if fewer than `at_once` are.
    fn next_pair(&self, under_way: &[(u64, Job)], at_once: usize) -> Option<(i64, Detail)> {
        let busy: Vec<_> = under_way
            .iter()
            .filter_map(|(_, job)| match job {
                Job::Detail(id, kind) => Some((*id, *kind)),
                _ => None,
            })
            .collect();
        if busy.len() >= at_once {
            return None;
        }
        self.batch
            .iter()
            .flat_map(|due| due.left.iter().map(|kind| (due.call_id, *kind)))
            .find(|next| !busy.contains(next))
    }

    /// Takes in an answer; `ended`: it ended the call's round.
    pub fn answered(&mut self, id: i64, kind: Detail, ended: bool, now: Timestamp) {
        self.backoff.succeeded();
        self.rest_until = None;
        self.denied.remove(&kind);
        if let Some(place) = self.batch.iter().position(|due| due.call_id == id) {
            self.batch[place].left.remove(&kind);
            if ended {
                self.batch[place].left.clear();
                self.batch[place].failed.clear();
            }
            self.settle(place, now);
        }
    }

    /// Notes that the server has no details of this kind.
    pub fn is_missing(&mut self, kind: Detail) {
        self.missing.insert(kind);
        for due in &mut self.batch {
            due.left.remove(&kind);
        }
        // Calls of which nothing is left come with the next batch, and are ended then.
        self.batch.retain(|due| !due.left.is_empty());
        self.stale = true;
    }

    /// Takes in a denial, and the pause that the upstream may have asked for. A kind that is denied
    /// again and again rests, ever longer; the other kinds do not.
    pub fn denied(
        &mut self,
        id: i64,
        kind: Detail,
        retry_after: Option<Duration>,
        instant: Instant,
        now: Timestamp,
    ) {
        /// Fewer denials of a kind in a row than this count as their calls' own.
        const BEFORE_REST: u32 = 3;
        let (denials, _) = self.denied.get(&kind).copied().unwrap_or((0, now));
        let denials = denials + 1;
        let of_kind = denials.checked_sub(BEFORE_REST).map(|more| {
            PUT_OFF
                .saturating_mul(1 << more.min(16))
                .min(LONGEST_PUT_OFF)
        });
        let rest = of_kind.max(retry_after);
        self.denied
            .insert(kind, (denials, rest.map_or(now, |rest| now + rest)));
        match rest {
            Some(_) => self.put_aside(kind, now),
            None => self.failed(id, kind, instant, now),
        }
    }

    /// The kinds that rest.
    fn resting(&self, now: Timestamp) -> Vec<Detail> {
        let resting = self.denied.iter().filter(|(_, (_, until))| *until > now);
        resting.map(|(kind, _)| *kind).collect()
    }

    /// Requests this kind of no call of the batch for now.
    fn put_aside(&mut self, kind: Detail, now: Timestamp) {
        for place in (0..self.batch.len()).rev() {
            if self.batch[place].left.remove(&kind) {
                self.batch[place].failed.insert(kind);
                self.settle(place, now);
            }
        }
    }

    /// Notes that a request failed.
    pub fn failed(&mut self, id: i64, kind: Detail, instant: Instant, now: Timestamp) {
        self.rest_until = Some(instant + self.backoff.failed());
        if let Some(place) = self.batch.iter().position(|due| due.call_id == id) {
            self.batch[place].left.remove(&kind);
            self.batch[place].failed.insert(kind);
            self.settle(place, now);
        }
    }

    /// Drops a call from the batch if nothing of it is left to request.
    fn settle(&mut self, place: usize, now: Timestamp) {
        if self.batch[place].left.is_empty() {
            let due = self.batch.remove(place);
            if !due.failed.is_empty() {
                let pause = PUT_OFF.saturating_mul(1 << due.failures.min(16));
                self.put_off
                    .insert(due.call_id, now + pause.min(LONGEST_PUT_OFF));
            }
            self.stale |= self.batch.is_empty();
        }
    }

    /// The calls to put off, and until when.
    pub fn to_put_off(&self) -> Vec<(i64, Timestamp)> {
        self.put_off
            .iter()
            .map(|(id, until)| (*id, *until))
            .collect()
    }

    /// Notes that they were put off.
    pub fn were_put_off(&mut self) {
        self.put_off.clear();
        self.stale = true;
    }
}

#[cfg(test)]
mod tests {
    use Detail::{Recordings, Transcripts};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0) + Duration::from_secs(seconds)
    }

    /// Reads the next hundred calls. Returns whether recordings of any of them are requested.
    fn next_batch(details: &mut Details, now: Timestamp) -> bool {
        let calls = (1..=100).map(|call_id| DueDetails {
            call_id,
            started_at: None,
            again: false,
            answered: BTreeSet::new(),
            failures: 0,
        });
        details.were_put_off();
        details.batch.clear();
        details.take_batch(calls.collect(), None, now);
        let asked = |kind| details.batch.iter().any(|due| due.left.contains(&kind));
        assert!(asked(Transcripts), "the other kind is not left alone");
        asked(Recordings)
    }

    #[test]
    fn a_kind_that_is_denied_on_and_on_is_left_alone_ever_longer() {
        let books = DetailsCounts {
            due: 100,
            kept: 0,
            wanted: true,
        };
        let (begun, mut now) = (Instant::now(), 0);
        let mut details = Details::new([Transcripts, Recordings].into(), 1, books);
        for id in [1, 2] {
            details.denied(id, Recordings, None, begun, at(now));
            assert!(next_batch(&mut details, at(now)), "it may be that call");
        }
        for rest in [60, 120, 240] {
            details.denied(3, Recordings, None, begun, at(now));
            assert!(!next_batch(&mut details, at(now)));
            assert!(!next_batch(&mut details, at(now + rest - 1)));
            now += rest;
            assert!(next_batch(&mut details, at(now)), "after {rest} s");
        }
        // The upstream's `Retry-After` counts where it asks for longer.
        let asked_for = Some(Duration::from_secs(7000));
        details.denied(4, Recordings, asked_for, begun, at(now));
        assert!(!next_batch(&mut details, at(now + 6999)));
        assert!(next_batch(&mut details, at(now + 7000)));
        details.answered(5, Recordings, false, at(now));
        details.denied(6, Recordings, None, begun, at(now));
        assert!(next_batch(&mut details, at(now)), "it begins anew");
    }
}
