//! Which of the waiting changes is sent next, and how. Pure.
//!
//! One at a time, in the order in which they were made. First the call is read, to see whether the
//! change is made already or another writer made a different one. Then the change is marked in the
//! file as possibly sent, and sent. After anything but an answer the call is read first again. A
//! call whose changes fail rests, and with it all later changes of it; other calls' changes go on.

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

/// A call that was read longer ago is read again before it is changed.
const SEEN: Duration = Duration::from_secs(60);

/// A change that fails this often in a row, while the upstream answers other requests, is kept for
/// the operator and sent no more: that is a quarter of an hour of failures.
pub const MOST_FAILURES: u32 = 40;

struct Rest {
    /// The change that failed.
    write_id: u64,
    backoff: Backoff,
    until: Instant,
}

#[derive(Default)]
pub struct OutboxReplay {
    /// Changes that can still be made.
    waiting: Vec<Arc<Write>>,
    /// The change whose call was read, and when: it is marked as sent, and may be sent.
    ready: Option<(u64, Instant)>,
    /// By call id.
    resting: HashMap<i64, Rest>,
    /// The change whose call the upstream denied, and the number of that request. The denial counts
    /// once the organization is confirmed after it.
    denied: Option<(u64, u64)>,
    /// The change whose connection broke, and that was retried at once.
    broken: Option<u64>,
    /// The change that failed too often, and the last reason.
    exhausted: Option<(u64, String)>,
}

impl OutboxReplay {
    pub fn of(outbox: &Outbox) -> OutboxReplay {
        let mut replay = OutboxReplay::default();
        replay.refresh(outbox);
        replay
    }

    /// Replaces the changes.
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

    /// The next job; `None` while one is in flight, or none may be.
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

    /// The upstream request of a job.
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

    /// Notes that the call was read and the change marked: it may be sent.
    pub fn seen(&mut self, write_id: u64, now: Instant) {
        self.ready = Some((write_id, now));
    }

    /// Notes an answer, whatever it is: the call needs no rest any more.
    pub fn answered(&mut self, write_id: u64) {
        self.ready = None;
        self.broken = None;
        if let Some(call_id) = self.find(write_id).map(|write| write.call_id) {
            self.resting.remove(&call_id);
        }
    }

    /// Notes a broken connection. Returns whether the call is to be read again at once, since an
    /// idle connection breaks without notice.
    pub fn broke(&mut self, job: &Job) -> bool {
        self.ready = None;
        let (Job::Review(id) | Job::Write(id)) = job else {
            return false;
        };
        self.broken.replace(*id) != Some(*id)
    }

    /// Notes that the upstream failed at a change while it answers other requests: the call rests.
    /// Returns whether that is news.
    ///
    /// A `denied` change may be allowed at any time, so it is never given up.
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

    /// Notes a request that ended without an answer about this change.
    pub fn interrupted(&mut self) {
        self.ready = None;
    }

    /// The change that is sent no more, and why.
    pub fn take_exhausted(&mut self) -> Option<(u64, String)> {
        self.exhausted.take()
    }

    /// Ends every rest, since a sync was requested.
    pub fn hurry(&mut self, now: Instant) {
        for rest in self.resting.values_mut() {
            rest.until = now;
        }
    }

    /// Notes that the upstream has no such call, by the answer to this request.
    pub fn denied(&mut self, write_id: u64, request_seq: u64) {
        self.denied = Some((write_id, request_seq));
    }

    /// The number of that request.
    pub fn denial(&self) -> Option<u64> {
        self.denied.map(|(_, seq)| seq)
    }

    /// Forgets a denial. Whose key it is is unknown, so the call may exist.
    pub fn forget_denial(&mut self) {
        self.denied = None;
    }

    /// The change whose denial is final, now that this request confirmed the organization.
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
        let outbox = Outbox {
            writes: vec![write(1, 10), write(2, 10), write(3, 20)],
            ..Outbox::default()
        };
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
    fn a_change_that_keeps_failing_is_reported_once_and_set_aside() {
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
        // The call's next change has a count of failures of its own.
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
