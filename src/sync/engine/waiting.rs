//! The outcomes for clients that wait for a call or its details, where the answer is not stored.

use tokio::time::Instant;

use crate::model::{CallKey, Verified, whole_seconds};
use crate::sync::engine::Engine;
use crate::sync::handle::messages::Miss;
use crate::sync::handle::messages::{FetchOutcome, RETRY_SOON};
use crate::sync::plan::job::Job;
use crate::upstream::{Answer, CallSource};

impl<S: CallSource> Engine<S> {
    /// Answers clients with what can't be stored, and has the call requested again.
    pub(in crate::sync) fn hand_over(&mut self, job: &Job, stamp: Verified, answer: Answer) {
        if let Job::Canary(_) = job {
            self.planners.deletion_proof.canary_missing(Instant::now());
        }
        if let Job::Call(key) = job {
            if let CallKey::Id(id) = key {
                self.planners.deletion_proof.failed(*id);
            }
            self.planners.hints.push(key.clone());
        }
        let Some(wanted) = job.miss() else {
            return;
        };
        let text = match (&wanted, answer) {
            (Miss::Call(_), Answer::Call(call)) => Some(call.body),
            (Miss::Detail(..), Answer::Detail(body)) => Some(body),
            (Miss::Call(_), Answer::NotFound) => None,
            // A detail's 404 is only a hint about its call.
            _ => return self.planners.misses.tell(&wanted, &self.unavailable()),
        };
        let fetched = match text {
            Some(text) => FetchOutcome::Unstored {
                text: text.into(),
                at: stamp.at,
            },
            None => self.not_found(),
        };
        self.planners.misses.tell(&wanted, &fetched);
    }

    /// The outcome that there is no such call, with its age if a cache said so.
    pub(in crate::sync) fn not_found(&self) -> FetchOutcome {
        match whole_seconds(self.answer.age) {
            0 => FetchOutcome::NotFound,
            age => FetchOutcome::NotFoundAsOf { age },
        }
    }

    pub(in crate::sync) fn dismiss_clients(&mut self) {
        // No client waits for an upstream that is known not to answer.
        let unavailable = self.unavailable();
        for job in self.in_flight.give_up_calls() {
            if let Job::Call(CallKey::Id(id)) = job {
                self.planners.deletion_proof.failed(id);
            }
            if let Some(wanted) = job.miss() {
                self.planners.misses.tell(&wanted, &unavailable);
            }
        }
        self.planners.misses.dismiss(&unavailable);
    }

    pub(in crate::sync) fn unavailable(&self) -> FetchOutcome {
        let now = Instant::now();
        let wait = self
            .health
            .paused_until()
            .map(|until| until.duration_since(now).as_secs() + 1);
        FetchOutcome::Unavailable {
            retry_after: wait.unwrap_or(RETRY_SOON),
        }
    }
}
