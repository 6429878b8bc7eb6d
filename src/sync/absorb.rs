//! Takes in what came of a request: an answer is learned from, a failure is put where it belongs.

use std::time::Duration;

use tokio::time::Instant;

use super::engine::Engine;
use super::handle::{Fetched, RETRY_SOON};
use super::health::Scope;
use super::plan::Job;
use super::requests::Finished;
use super::settings::{Dates, Failure, SyncError};
use super::stuck::Task;
use crate::model::{CallKey, Timestamp};
use crate::upstream::{CallSource, DateForm, ErrorKind, Request, Retry, UpstreamError};

/// After so many failures in a row a head is asked for in pages half as long.
const FAILURES_BEFORE_NARROWING: u32 = 2;

impl<S: CallSource> Engine<S> {
    pub(super) async fn absorb(&mut self, finished: Finished) -> Result<(), SyncError> {
        // The clock may have been set while it was under way.
        self.mind_the_clock();
        let Finished {
            job,
            asked,
            mut request,
            start,
            repeated,
            result,
        } = finished;
        request.at = request.at - (self.put_back - start.put_back);
        let scope = match job {
            Job::Identify => Scope::Upstream,
            Job::Head => Scope::Head,
            Job::Feed if self.following.edge().is_none() => Scope::Upstream,
            Job::Feed => Scope::Head,
            Job::Point(_) | Job::Detail(..) | Job::Canary(_) | Job::Dates(..) => Scope::Call,
            Job::Review(_) | Job::Write(_) => Scope::Call,
            Job::Total | Job::Count(_) | Job::Follow(_) | Job::Range(_) | Job::Crowd(_) => {
                Scope::Scan
            }
        };
        if let Ok(reply) = &result {
            // Whoever answers from a copy says since when it was not looked at.
            request.at = request.at - reply.age;
            self.answer_age = reply.age;
        }
        let error = match result {
            Ok(reply) => match self
                .learn(&job, &asked, request, start.now, reply.answer)
                .await
            {
                Ok(()) => {
                    let now = self.now();
                    self.health.succeeded(scope, reply.retry_after, now);
                    self.note_progress(&job);
                    return Ok(());
                }
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Upstream(error)) => error,
            },
            Err(error) if matches!(job, Job::Review(_) | Job::Write(_)) => {
                // It may have arrived: it is looked for before it is sent again.
                if error.retry() == Retry::Now && self.replay.broke(&job) {
                    return Ok(());
                }
                error
            }
            Err(error) if error.retry() == Retry::Now && !repeated && !self.is_spare(&job) => {
                self.requests.repeat(job);
                return Ok(());
            }
            Err(error) => error,
        };
        self.fail(&job, &asked, &error, scope);
        Ok(())
    }

    fn note_progress(&mut self, job: &Job) {
        let task = Task::of(job);
        self.stuck.succeeded(task.as_ref());
        self.post.stalls.send_if_modified(|stall| {
            let over = stall
                .as_ref()
                .is_some_and(|stall| Some(&stall.task) == task.as_ref());
            if over {
                *stall = None;
            }
            over
        });
    }

    /// What is held is told as that.
    fn note_failure(&mut self, job: &Job, error: ErrorKind) {
        let task = Task::of(job).filter(|_| !self.holds.is_held());
        if let Some(stall) = task.and_then(|task| self.stuck.failed(task, error)) {
            let now = self.now();
            self.health.stalled(&stall, now);
            self.post.stalls.send_replace(Some(stall));
        }
    }

    fn fail(&mut self, job: &Job, asked: &Request, error: &UpstreamError, scope: Scope) {
        let now = self.now();
        // One answer that is long in coming, or breaks off, says nothing of the others where nobody
        // waits for it.
        let of_itself = matches!(error.kind, ErrorKind::Timeout | ErrorKind::Reset);
        let outage = error.kind.is_outage() && !(of_itself && self.is_spare(job));
        if self
            .following
            .failed(job, error.kind, error.status.is_some())
        {
            return;
        }
        let mut news = true;
        match job {
            Job::Range(range) => {
                // The whole upstream's failure is not the range's; but one that times out or breaks
                // the connection every time, while others do not, is.
                // Nor does it say anything of a page that is asked for otherwise by now.
                let now_asked = self.troubles.narrowed(range);
                let is_as_asked = matches!(asked, Request::List(query)
                    if (query.limit, query.skip) == (now_asked.limit, now_asked.skip));
                if is_as_asked
                    && !matches!(error.kind, ErrorKind::Unauthorized | ErrorKind::Throttled)
                {
                    let tier = self.hole_rest(*range.end());
                    news = self.troubles.failed(range, tier, now.instant);
                }
            }
            // A shorter one leaves out fewer calls, and would be believed whatever they are.
            Job::Head
                if !self.holds.is_list_doubted()
                    && (!outage || error.kind == ErrorKind::Timeout) =>
            {
                self.narrow_head(outage);
            }
            Job::Review(id) | Job::Write(id) => {
                let seed = self.settings.seed;
                self.replay.failed(*id, error.kind, seed, now.instant);
            }
            // What was denied may have been denied to another organization.
            Job::Identify => self.replay.forget_denial(),
            Job::Count(_) => self.counting.give_up(now.instant),
            Job::Canary(_) => self.proof.canary_missing(now.instant),
            Job::Point(CallKey::Id(id)) => self.proof.failed(*id),
            Job::Detail(id, kind) => self.details.failed(*id, *kind, now.instant, now.wall),
            Job::Dates(..) if !outage => self.dates_misread(),
            _ => {}
        }
        let scope = if outage { Scope::Upstream } else { scope };
        // An edge tells when it may have that one text, not when it can be asked again at all.
        news &= !(matches!(job, Job::Detail(..)) && self.following.edge().is_some());
        if news || outage {
            self.health.failed(error, scope, now);
        }
        self.note_failure(job, error.kind);
        if let Some(wanted) = job.wanted() {
            self.clients.tell(&wanted, self.unavailable());
        }
        if self.is_paused() {
            // Nobody waits for an upstream that is known not to answer.
            let unavailable = self.unavailable();
            for job in self.requests.give_up_calls() {
                if let Job::Point(CallKey::Id(id)) = job {
                    self.proof.failed(id);
                }
                if let Some(wanted) = job.wanted() {
                    self.clients.tell(&wanted, unavailable);
                }
            }
            self.clients.dismiss(unavailable);
        }
    }

    /// Nobody waits for it.
    fn is_spare(&self, job: &Job) -> bool {
        match (job, job.wanted()) {
            (Job::Detail(..), Some(wanted)) => !self.clients.wait_for(&wanted),
            _ => false,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.health
            .paused_until()
            .is_some_and(|until| until > Instant::now())
    }

    pub(super) fn unavailable(&self) -> Fetched {
        let now = Instant::now();
        let wait = self
            .health
            .paused_until()
            .map(|until| until.duration_since(now).as_secs() + 1);
        Fetched::Unavailable {
            retry_after: wait.unwrap_or(RETRY_SOON),
        }
    }

    /// How long what can't be read is left alone: its tier, but not less than a minute.
    pub(super) fn hole_rest(&self, end: Timestamp) -> Duration {
        const LEAST: Duration = Duration::from_secs(60);
        let age = (self.clock)().since(end);
        self.pace().interval(age).max(LEAST)
    }

    /// A row of the head may be unreadable, or a page of its length take too long: a shorter one may
    /// do, and the rest is history's.
    fn narrow_head(&mut self, slow: bool) {
        /// A page that much shorter is not slow for its length.
        const SHORT: usize = 8;
        self.head_run += 1;
        if self.head_run < FAILURES_BEFORE_NARROWING {
            return;
        }
        if slow && self.head_limit <= self.settings.page_limit / SHORT {
            return;
        }
        if self.head_limit > 1 {
            self.head_limit /= 2;
        } else if !self.ranged_head {
            // One without a start would be the first of the list for ever.
            self.ranged_head = true;
            self.head_limit = self.settings.page_limit;
        }
    }

    /// A head that was narrowed is widened again, step by step.
    pub(super) fn widen_head(&mut self) {
        /// Heads that succeed before a longer one is tried.
        const SUCCESSES: u32 = 10;
        if self.head_limit == self.settings.page_limit {
            self.head_run = 0;
            return;
        }
        self.head_run += 1;
        if self.head_run >= SUCCESSES {
            self.head_limit = (self.head_limit * 2).min(self.settings.page_limit);
            // One failure narrows it again.
            self.head_run = FAILURES_BEFORE_NARROWING - 1;
        }
    }

    /// The call that is known was not found by its start, written so.
    pub(super) fn dates_misread(&mut self) {
        self.dates = match self.dates {
            Dates::Probing {
                id,
                start,
                form: DateForm::Naive,
            } => Dates::Probing {
                id,
                start,
                form: DateForm::Zoned,
            },
            // Neither, or it is gone: the next head names another call.
            _ => Dates::Unknown,
        };
    }
}
