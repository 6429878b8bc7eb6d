//! Which of the changes that wait is sent next, and how. Pure.
//!
//! One at a time, in the order in which they were made: first the call is read, to see whether the
//! change is made already or somebody else made another; then, marked in the file as one that may
//! have arrived, it is sent. After anything but an answer it is looked for first again. A call
//! whose changes the upstream fails to take rests, and with it all that was changed of it after;
//! other calls' changes pass by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::CallKey;
use crate::store::{Outbox, Write};
use crate::sync::health::backoff::Backoff;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::upstream::Request;

/// What was seen of a call longer ago is looked at again before it is changed.
const SEEN: Duration = Duration::from_secs(60);

/// Failures of one change in a row, while the upstream answers otherwise, after which it is kept
/// for the operator and sent no more: a quarter of an hour of them.
pub const MOST_FAILURES: u32 = 40;

struct Rest {
    /// The change that failed.
    write_id: u64,
    backoff: Backoff,
    until: Instant,
}

#[derive(Default)]
pub struct OutboxReplay {
    /// Those that can still be made.
    waiting: Vec<Arc<Write>>,
    /// Seen then, and marked as sent: it may go.
    ready: Option<(u64, Instant)>,
    /// By call.
    resting: HashMap<i64, Rest>,
    /// The upstream has no such call, says this request; it counts once it is known to be ours
    /// still.
    denied: Option<(u64, u64)>,
    /// Its connection broke, and it was tried again at once.
    broken: Option<u64>,
    /// The upstream failed at it again and again: why, the last time.
    exhausted: Option<(u64, String)>,
}

impl OutboxReplay {
    pub fn of(outbox: &Outbox) -> OutboxReplay {
        let mut replay = OutboxReplay::default();
        replay.refresh(outbox);
        replay
    }

    /// The changes are these now.
    pub fn refresh(&mut self, outbox: &Outbox) {
        let waiting = outbox.writes.iter().filter(|write| write.failed.is_none());
        self.waiting = waiting.cloned().collect();
        let is_there = |id: u64| self.waiting.iter().any(|write| write.write_id == id);
        self.ready = self.ready.filter(|(id, _)| is_there(*id));
        self.denied = self.denied.filter(|(id, _)| is_there(*id));
        let waiting = &self.waiting;
        self.resting
            .retain(|call, _| waiting.iter().any(|write| write.call_id == *call));
    }

    pub fn find(&self, write_id: u64) -> Option<&Arc<Write>> {
        self.waiting.iter().find(|write| write.write_id == write_id)
    }

    pub fn next(&self, context: &Context<'_>) -> Step {
        let in_flight = context.in_flight.under_way();
        Step::send(self.next_job(context.now.instant, in_flight))
    }

    /// `None` while one is in flight, or none may be.
    fn next_job(&self, now: Instant, under_way: &[(u64, Job)]) -> Option<Job> {
        let is_write = |(_, job): &(u64, Job)| matches!(job, Job::Review(_) | Job::Write(_));
        if self.waiting.is_empty() || self.denied.is_some() || under_way.iter().any(is_write) {
            return None;
        }
        let rests = |call: i64| self.resting.get(&call).is_some_and(|rest| rest.until > now);
        let write = self.waiting.iter().find(|write| !rests(write.call_id))?;
        let id = write.write_id;
        let ready = self
            .ready
            .is_some_and(|(ready, at)| ready == id && now < at + SEEN);
        Some(match ready {
            true => Job::Write(id),
            false => Job::Review(id),
        })
    }

    /// How it is asked.
    pub fn request(&self, job: &Job) -> Option<Request> {
        match job {
            Job::Review(id) => {
                let write = self.find(*id)?;
                Some(Request::Call(CallKey::Id(write.call_id)))
            }
            Job::Write(id) => {
                let write = self.find(*id)?;
                Some(Request::Patch {
                    id: write.call_id,
                    metadata: write.metadata.clone(),
                })
            }
            _ => None,
        }
    }

    /// The call was seen, and the change is marked: it may be sent.
    pub fn seen(&mut self, write_id: u64, now: Instant) {
        self.ready = Some((write_id, now));
    }

    /// It was answered, whatever the answer: its call needs no rest any more.
    pub fn answered(&mut self, write_id: u64) {
        self.ready = None;
        self.broken = None;
        if let Some(call_id) = self.find(write_id).map(|write| write.call_id) {
            self.resting.remove(&call_id);
        }
    }

    /// The connection broke. Returns whether it is to be looked at again at once: a connection that
    /// idled does that.
    pub fn broke(&mut self, job: &Job) -> bool {
        self.ready = None;
        let (Job::Review(id) | Job::Write(id)) = job else {
            return false;
        };
        self.broken.replace(*id) != Some(*id)
    }

    /// The upstream failed at it, though it answers otherwise: its call rests. Returns whether that
    /// is news.
    ///
    /// A `denied` one may be let through at any time, however often it is not.
    pub fn failed(
        &mut self,
        write_id: u64,
        why: &str,
        denied: bool,
        seed: u64,
        now: Instant,
    ) -> bool {
        self.ready = None;
        let Some(call_id) = self.find(write_id).map(|write| write.call_id) else {
            return false;
        };
        let fresh = || Rest {
            write_id,
            backoff: Backoff::new(seed ^ write_id),
            until: now,
        };
        let rest = self.resting.entry(call_id).or_insert_with(fresh);
        if rest.write_id != write_id {
            *rest = fresh();
        }
        rest.until = now + rest.backoff.failed();
        let failures = rest.backoff.failures();
        if failures >= MOST_FAILURES && !denied {
            self.exhausted = Some((write_id, format!("{why}, {failures} times in a row")));
        }
        failures == 1
    }

    /// It did not come to an answer, and nothing was heard of it in particular.
    pub fn interrupted(&mut self) {
        self.ready = None;
    }

    /// The change that is sent no more, and why.
    pub fn take_exhausted(&mut self) -> Option<(u64, String)> {
        self.exhausted.take()
    }

    /// Whoever is told to hurry does not wait for a rest.
    pub fn hurry(&mut self, now: Instant) {
        for rest in self.resting.values_mut() {
            rest.until = now;
        }
    }

    /// The upstream has no such call, by the answer to this request.
    pub fn denied(&mut self, write_id: u64, request_seq: u64) {
        self.denied = Some((write_id, request_seq));
    }

    /// The number of the request that said so.
    pub fn denial(&self) -> Option<u64> {
        self.denied.map(|(_, seq)| seq)
    }

    /// Nobody knows whose key it is: what was denied may be there.
    pub fn forget_denial(&mut self) {
        self.denied = None;
    }

    /// The change that is denied for good, now that this request confirmed the organization.
    pub fn take_denied(&mut self, confirmed_by: u64) -> Option<u64> {
        let (id, _) = self.denied.take_if(|(_, seq)| *seq < confirmed_by)?;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn write(write_id: u64, call_id: i64) -> Arc<Write> {
        Arc::new(Write {
            write_id,
            call_id,
            call_sid: String::new(),
            metadata: "{}".to_owned(),
            before: None,
            accepted_at: Timestamp::from_micros(0),
            sent_at: None,
            failed: None,
        })
    }

    fn replay() -> OutboxReplay {
        let mut outbox = Outbox::default();
        outbox.writes = vec![write(1, 10), write(2, 10), write(3, 20)];
        OutboxReplay::of(&outbox)
    }

    #[test]
    fn a_change_is_looked_for_then_sent_one_at_a_time() {
        let (now, mut replay) = (Instant::now(), replay());
        assert_eq!(replay.next_job(now, &[]), Some(Job::Review(1)));
        assert_eq!(replay.next_job(now, &[(5, Job::Review(1))]), None);
        replay.seen(1, now);
        assert_eq!(replay.next_job(now, &[]), Some(Job::Write(1)));
        assert_eq!(replay.next_job(now + SEEN, &[]), Some(Job::Review(1)));
        replay.interrupted();
        assert_eq!(
            replay.next_job(now, &[]),
            Some(Job::Review(1)),
            "it may have arrived"
        );
        replay.seen(1, now);
        assert!(replay.broke(&Job::Write(1)), "once");
        assert_eq!(replay.next_job(now, &[]), Some(Job::Review(1)));
        assert!(!replay.broke(&Job::Write(1)));
    }

    #[test]
    fn a_call_that_fails_rests_with_all_its_changes_and_others_pass_by() {
        let (now, mut replay) = (Instant::now(), replay());
        replay.failed(1, "it failed", false, 1, now);
        assert_eq!(replay.next_job(now, &[]), Some(Job::Review(3)));
        assert_eq!(
            replay.next_job(now + Duration::from_secs(2), &[]),
            Some(Job::Review(1))
        );
        replay.hurry(now);
        replay.interrupted();
        assert_eq!(
            replay.next_job(now, &[]),
            Some(Job::Review(1)),
            "not its fault"
        );
    }

    #[test]
    fn one_that_the_upstream_fails_at_on_and_on_is_told_once_and_given_to_the_operator() {
        let (mut now, mut replay) = (Instant::now(), replay());
        let begun = now;
        for failure in 1..=MOST_FAILURES {
            assert_eq!(replay.take_exhausted(), None);
            let is_news = replay.failed(1, "it failed", false, 1, now);
            assert_eq!(is_news, failure == 1);
            let rest = replay.resting[&10].until;
            assert!(failure == 1 || rest > now + Duration::from_millis(500));
            now = rest;
        }
        let why = format!("it failed, {MOST_FAILURES} times in a row");
        assert_eq!(replay.take_exhausted(), Some((1, why)));
        assert!(now - begun > Duration::from_secs(400));
        // The call's next change has failures of its own.
        assert!(replay.failed(2, "it failed", false, 1, now));
        assert_eq!(replay.take_exhausted(), None);
    }

    #[test]
    fn a_denial_counts_once_the_organization_is_confirmed_after_it() {
        let (now, mut replay) = (Instant::now(), replay());
        replay.denied(1, 7);
        assert_eq!(
            (replay.next_job(now, &[]), replay.denial()),
            (None, Some(7))
        );
        assert_eq!(replay.take_denied(6), None);
        assert_eq!(replay.take_denied(8), Some(1));
        replay.denied(1, 9);
        replay.forget_denial();
        assert_eq!(replay.next_job(now, &[]), Some(Job::Review(1)));
    }
}
