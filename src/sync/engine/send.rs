//! Sends what the plan decides.

use std::sync::Arc;

use tokio::time::Instant;

use crate::sync::clock::Now;
use crate::sync::engine::Engine;
use crate::sync::engine::completed::Completed;
use crate::sync::in_flight::StartTime;
use crate::sync::knowledge::ranges::Range;
use crate::sync::plan::job::Job;
use crate::sync::plan::{self, Decision};
use crate::upstream::{CallSource, Request};

impl<S: CallSource> Engine<S> {
    /// Sends requests until none is due, enough are in flight, or the budget is spent. Returns when
    /// to decide again, unless an answer or a command arrives first.
    pub(in crate::sync) fn send_what_is_due(&mut self) -> Instant {
        loop {
            if let Err(until) = self.send_next() {
                return until;
            }
        }
    }

    /// Sends what the plan decides now, or returns when to decide again.
    fn send_next(&mut self) -> Result<(), Instant> {
        let now = self.now();
        self.planners.advance(now.instant, &self.in_flight);
        match plan::decide(&self.planners, &self.context(now)) {
            Decision::Send(job, request) => self.send(job, request, now),
            Decision::Permit => self.grant(now.instant),
            Decision::Sleep(until) => Err(until),
        }
    }

    /// Requests what lies below the page that is about to be written, so that both happen at once.
    pub(in crate::sync) fn continue_below(&mut self, range: Range) {
        self.planners.backfill.continuation = Some(range);
        if self.planners.misses.is_empty() {
            // If it can't be sent now, it is a gap that backfill finds.
            let _ = self.send_next();
        }
        self.planners.backfill.continuation = None;
    }

    fn send(&mut self, job: Job, request: Request, now: Now) -> Result<(), Instant> {
        let dates = match &job {
            Job::DateFormat(_, form) => *form,
            _ => self.planners.date_format.form().unwrap_or_default(),
        };
        let start = self.start_time(now.instant);
        let begun = self.in_flight.begin(&job, start).map_err(|until| {
            // An answer wakes the engine before the next poll does.
            until.unwrap_or(now.instant + self.settings.poll_interval)
        })?;
        self.planners.sent(&job);
        let source = Arc::clone(&self.source);
        self.fetches.spawn(async move {
            let result = source.fetch(&request, dates).await;
            Completed {
                job,
                request,
                stamp: begun.request,
                start,
                repeated: begun.repeated,
                dates,
                result,
            }
        });
        Ok(())
    }

    pub(in crate::sync) fn start_time(&self, now: Instant) -> StartTime {
        StartTime {
            now,
            wall: self.now().wall,
            put_back: self.clock.put_back(),
        }
    }
}
