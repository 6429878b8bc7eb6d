//! Completes a request: its answer is applied, or its failure pauses what it stands for.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::model::{CallKey, Timestamp, Verified};
use crate::sync::engine::Engine;
use crate::sync::engine::completed::Completed;
use crate::sync::health::denials::ApiPart;
use crate::sync::health::failure_scope;
use crate::sync::health::failure_scope::{RequestKind, Scope};
use crate::sync::health::stall::Task;
use crate::sync::plan::job::Job;
use crate::sync::planners::date_format::Probed;
use crate::sync::planners::head_page::Again;
use crate::sync::planners::unreadable::Outcome;
use crate::sync::settings::{ApplyError, SyncError};
use crate::upstream::{
    AGE_UNIT, Answer, CallSource, DateForm, ErrorKind, IdentityEndpoint, Reply, Request,
    UpstreamError, wire,
};

/// The time and number of an answer that was cached before this process sent its first request.
const BEFORE_PROCESS: Verified = Verified {
    at: Timestamp::MIN,
    seq: 0,
};

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn complete(
        &mut self,
        completed: Completed,
    ) -> Result<(), SyncError> {
        self.in_flight.end(completed.stamp.seq);
        // The clock may have been set while the request was in flight.
        self.check_clock();
        let Completed {
            job,
            request,
            mut stamp,
            start,
            repeated,
            dates,
            result,
        } = completed;
        stamp.at = stamp.at - (self.clock.put_back() - start.put_back);
        if let Ok(reply) = &result {
            // A cached answer is as old as its `Age` (RFC 9111, section 5.1), also in the order of
            // requests. An edge's answers have an order of their own.
            self.answer.age = reply.age.unwrap_or_default();
            stamp.at = stamp.at - self.answer.age;
            self.answer.is_cached = reply.age.is_some() && !self.planners.feed.is_edge();
            if self.answer.is_cached {
                let true_at = start.now.checked_sub(self.answer.age + AGE_UNIT);
                let place = true_at.and_then(|at| self.in_flight.place_as_of(at));
                stamp = place.map_or(BEFORE_PROCESS, |(at, seq)| Verified {
                    at: start.wall
                        - (self.clock.put_back() - start.put_back)
                        - start.now.duration_since(at),
                    seq,
                });
            }
        }
        let result = match result {
            Err(error) if self.does_not_tell(&request, &error) => Ok(Reply {
                answer: Answer::Identity(None),
                retry_after: error.retry_after,
                age: None,
            }),
            result => result,
        };
        let error = match result {
            // The dates in the request were in a form that is no longer known to be read correctly.
            Ok(_) if job.depends_on_dates() && self.planners.date_format.form() != Some(dates) => {
                return Ok(());
            }
            Ok(reply) if self.health.store_rests(Instant::now()) && job.is_read() => {
                self.hand_over(&job, stamp, reply.answer);
                return Ok(());
            }
            Ok(reply) => match self
                .apply(&job, &request, stamp, start.now, reply.answer)
                .await
            {
                Ok(()) => {
                    self.note_answer(&job, reply.retry_after);
                    return Ok(());
                }
                Err(ApplyError::Fatal(error)) => return Err(error),
                Err(ApplyError::Upstream(error)) => error,
            },
            Err(error) if matches!(job, Job::Review(_) | Job::Write(_)) => {
                // The change may have arrived: the call is read before it is sent again.
                if failure_scope::is_worth_repeating(&error) && self.planners.outbox.broke(&job) {
                    return Ok(());
                }
                error
            }
            Err(error)
                if failure_scope::is_worth_repeating(&error)
                    && !repeated
                    && !self.is_spare(&job) =>
            {
                self.in_flight.repeat(job);
                return Ok(());
            }
            Err(error) => error,
        };
        self.fail(&job, &request, &error);
        Ok(())
    }

    /// Whether a server that keeps failing to name the key's organization counts as one that never
    /// does: its other endpoints may well answer.
    fn does_not_tell(&self, request: &Request, error: &UpstreamError) -> bool {
        const TRIES: u32 = 3;
        *request == Request::Identity(IdentityEndpoint::Assistants)
            && self.planners.identity.organization_id.is_none()
            && error.status.is_some()
            && failure_scope::may_not_be_known(error.kind)
            && self.health.consecutive_errors() >= TRIES
    }

    /// Notes an answer that was applied, and the pause that it may ask for.
    fn note_answer(&mut self, job: &Job, retry_after: Option<Duration>) {
        let now = self.now();
        self.health.succeeded(RequestKind::of(job), now);
        if let Some(part) = self.denials.answered(job) {
            info!(part = part.name(), "the upstream answers for these again");
        }
        if let Some(wait) = retry_after {
            self.leave_alone(job, wait);
        }
        // A date probe that finds nothing is answered, but is no progress.
        let goes_on =
            |task: &Task| *task != Task::DateFormat || self.planners.date_format.is_known();
        let task = Task::of(job).filter(goes_on);
        self.stalls.succeeded(task.as_ref());
        self.channels.stalls.send_if_modified(|stall| {
            let over = stall
                .as_ref()
                .is_some_and(|stall| Some(&stall.task) == task.as_ref());
            if over {
                *stall = None;
            }
            over
        });
    }

    /// Counts a failure towards a stall. A hold is reported as a hold instead.
    fn note_failure(&mut self, job: &Job, error: ErrorKind) {
        let task = Task::of(job).filter(|_| !self.planners.deletion_guard.is_held());
        if let Some(stall) = task.and_then(|task| self.stalls.failed(task, error)) {
            let now = self.now();
            self.health.stalled(&stall, now);
            self.channels.stalls.send_replace(Some(stall));
        }
    }

    /// Charges a failure to what it stands for, by the table of [`failure_scope::scope`].
    fn fail(&mut self, job: &Job, request: &Request, error: &UpstreamError) {
        let answered = error.status.is_some();
        if self.planners.feed.failed(job, error.kind, answered) {
            return;
        }
        let scope = match failure_scope::scope(error.kind, RequestKind::of(job)) {
            scope @ (Scope::Length | Scope::Rows) => self.fail_by_page(job, request, error, scope),
            scope => Some(scope),
        };
        let Some(scope) = scope else {
            return;
        };
        let now = self.now();
        match job {
            Job::Review(id) | Job::Write(id) => {
                if scope == Scope::One {
                    self.note_failing_write(*id, error);
                } else {
                    self.planners.outbox.interrupted();
                }
            }
            // The denial may have been of another organization's key.
            Job::Identify => self.planners.outbox.forget_denial(),
            Job::Total | Job::Count(_) => self.planners.count_check.give_up(now.instant),
            Job::Assistants(_) => self.planners.assistants.failed(now.instant),
            Job::Canary(_) => self.planners.deletion_proof.canary_missing(now.instant),
            Job::Call(CallKey::Id(id)) => self.planners.deletion_proof.failed(*id),
            Job::Detail(id, kind)
                if scope != Scope::Upstream && failure_scope::is_denial(error.kind) =>
            {
                let rest = error.retry_after;
                self.planners
                    .details
                    .denied(*id, *kind, rest, now.instant, now.wall);
            }
            Job::Detail(id, kind) => {
                self.planners
                    .details
                    .failed(*id, *kind, now.instant, now.wall)
            }
            Job::DateFormat(start, form) if answered => self.note_probe((*start, *form), false),
            // A broken connection says nothing of how dates are read.
            Job::DateFormat(..) => self.planners.date_format.put_off(),
            _ => {}
        }
        match scope {
            Scope::Upstream | Scope::Head | Scope::History => {
                self.health.failed(error, scope, now);
            }
            Scope::Counts | Scope::One | Scope::Length | Scope::Rows => {
                self.fail_apart(job, error);
            }
        }
        self.note_failure(job, error.kind);
        if let Some(wanted) = job.miss() {
            let unavailable = self.unavailable();
            self.planners.misses.tell(&wanted, &unavailable);
        }
        if self.is_paused() {
            self.dismiss_clients();
        }
    }

    /// Charges a failure to one call, one kind of detail or the counts. Everything else goes on.
    fn fail_apart(&mut self, job: &Job, error: &UpstreamError) {
        let now = self.now();
        // An edge says when it may have that one detail, not when it can be sent another request.
        let is_edge = self.planners.feed.is_edge();
        if is_edge && matches!(job, Job::Detail(..)) {
            return;
        }
        if let Some(wait) = error.retry_after {
            self.leave_alone(job, wait);
        }
        let Some(part) = ApiPart::of(job) else {
            return;
        };
        self.health.failed_apart(part, error, now);
        let repeats = failure_scope::is_denial(error.kind) || error.retry_after.is_some();
        if repeats && self.denials.denied(job, error.retry_after, now.instant) {
            warn!(
                part = part.name(),
                status = error.status,
                "the upstream refuses these, and answers for all else"
            );
        }
        // If it is the whole upstream after all, the head shows it.
        self.planners.head.is_hinted |= self.is_doubtful(job, error);
    }

    /// Whether a request's failure may be the whole upstream's, which is not known yet.
    fn is_doubtful(&self, job: &Job, error: &UpstreamError) -> bool {
        !self.is_spare(job) && (error.status.is_none() || failure_scope::is_denial(error.kind))
    }

    /// Charges a failed page of the list to its length or its rows. Returns what the failure stands
    /// for, or `None` where the page is requested in another way at once.
    fn fail_by_page(
        &mut self,
        job: &Job,
        request: &Request,
        error: &UpstreamError,
        scope: Scope,
    ) -> Option<Scope> {
        let now = self.now().instant;
        let rows = match request {
            Request::List(query) => Some(query.limit),
            _ => None,
        };
        if let Some(rows) = rows.filter(|_| scope == Scope::Length) {
            match failure_scope::says_how_many(error.kind) {
                true => self.planners.page_size.refused(rows, error.most_rows, now),
                false => self.planners.page_size.strained(rows),
            }
            self.planners.set_page_limit();
        }
        match job {
            Job::Head => {
                // An upstream that asks for a pause is not asked again at once.
                let may_narrow = error.retry_after.is_none();
                let is_as_asked = rows == Some(self.planners.head.page.limit());
                let again = match scope {
                    _ if !may_narrow => Again::Later,
                    _ if !is_as_asked => Again::AtOnce,
                    Scope::Length => self.planners.head.page.failed_by_length(),
                    _ => self.planners.head.page.failed_by_rows(),
                };
                match (again, scope) {
                    (Again::AtOnce, _) => {
                        self.planners.head.read_at = None;
                        None
                    }
                    (Again::Later, Scope::Length) => Some(Scope::Upstream),
                    (Again::Later, _) => Some(Scope::Head),
                }
            }
            Job::Feed if scope == Scope::Length => Some(Scope::Upstream),
            Job::Feed => Some(Scope::Head),
            Job::Range(range) => {
                // The failure says nothing of a page that is by now requested in another way.
                let narrowed = self.planners.unreadable.narrowed(range);
                let is_as_asked = matches!(request, Request::List(query)
                    if (query.limit, query.skip) == (narrowed.limit, narrowed.skip));
                if !is_as_asked {
                    return None;
                }
                let tier = self.hole_rest(*range.end());
                let by_length = scope == Scope::Length;
                match self.planners.unreadable.failed(range, by_length, tier, now) {
                    Outcome::Failing => Some(Scope::History),
                    Outcome::Narrowed | Outcome::StillAHole => None,
                    Outcome::TooLong => {
                        self.read_apart(*range.end(), now);
                        None
                    }
                }
            }
            Job::SameInstant(instant) => {
                let group = self.planners.same_instant.groups.get_mut(instant)?;
                group.failed(now);
                let rests = group.rests(now);
                rests.then_some(Scope::One)
            }
            Job::OpenCalls(group) => {
                self.planners.open_calls.unlisted.push(group.clone());
                Some(Scope::One)
            }
            _ => Some(Scope::One),
        }
    }

    /// Pauses the kind of request whose answer asked for a pause.
    fn leave_alone(&mut self, job: &Job, wait: Duration) {
        let now = self.now();
        match RequestKind::of(job) {
            RequestKind::Identity | RequestKind::Head => self.health.leave_alone(wait, now),
            RequestKind::Range => self.health.leave_history_alone(wait, now),
            RequestKind::Count => self.planners.count_check.leave_alone(wait, now.instant),
            RequestKind::Call | RequestKind::Detail | RequestKind::Write => {}
        }
    }

    /// Whether this is background work: a detail that no client waits for.
    fn is_spare(&self, job: &Job) -> bool {
        match (job, job.miss()) {
            (Job::Detail(..), Some(wanted)) => !self.planners.misses.wait_for(&wanted),
            _ => false,
        }
    }

    pub(in crate::sync) fn is_paused(&self) -> bool {
        self.health
            .paused_until()
            .is_some_and(|until| until > Instant::now())
    }

    /// How long a hole waits for its next try: its revalidation interval, but at least a minute.
    pub(in crate::sync) fn hole_rest(&self, end: Timestamp) -> Duration {
        const LEAST: Duration = Duration::from_secs(60);
        let age = self.now().wall.since(end);
        self.policy().interval(age).max(LEAST)
    }

    /// Takes in whether a call was found by its known start, requested in this form.
    pub(in crate::sync) fn note_probe(&mut self, request: (Timestamp, DateForm), found: bool) {
        match self.planners.date_format.probed(request, found) {
            Probed::GoesOn | Probed::Known => {}
            // Ranges that were read in the former form may have left calls out.
            Probed::Changed => {
                let coverage = self.forget_history();
                self.publish_coverage(coverage);
            }
            Probed::Nothing => {
                self.note_failure(
                    &Job::DateFormat(request.0, request.1),
                    wire::json::bad_answer().kind,
                );
            }
        }
    }
}
