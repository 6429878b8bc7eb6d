//! One step of reading an instant with more calls than a page.

use tokio::time::Instant;

use super::bad_answer;
use crate::model::{Timestamp, Verified};
use crate::store::{Belief, Complete, Learned};
use crate::sync::coverage::NEVER;
use crate::sync::crowd::Progress;
use crate::sync::engine::Engine;
use crate::sync::settings::Failure;
use crate::upstream::{Answer, CallSource};

impl<S: CallSource> Engine<S> {
    pub(super) async fn learn_crowd(
        &mut self,
        instant: Timestamp,
        request: Verified,
        answer: Answer,
    ) -> Result<(), Failure> {
        let Some(mut crowd) = self.crowds.remove(&instant) else {
            return Ok(());
        };
        let progress = crowd.absorb(request, &answer);
        let calls = match answer {
            Answer::Page(page) => page.calls,
            _ => Vec::new(),
        };
        let learned = Learned {
            calls,
            ..self.learned(request)
        };
        match progress {
            Progress::More => {
                // What could not be stored was not seen: without the commit it begins anew.
                if self.commit(learned, None).await.is_some() {
                    self.crowds.insert(instant, crowd);
                }
            }
            Progress::Read(window) => {
                if instant == NEVER {
                    // Read on and on, they cost one request a poll. But no window waits for longer
                    // than it may, and a reading that was lied to took hundreds.
                    let rest = self.settings.poll_interval * crowd.requests();
                    let rest = rest.min(self.settings.reconcile_interval);
                    self.without_start_due = Some(Instant::now() + rest);
                }
                let complete = Complete {
                    started: (instant != NEVER).then_some(instant..=instant),
                    without_start: instant == NEVER,
                    listed: crowd.into_seen(),
                    // Passes agreed with the count, and with one another.
                    belief: Belief::Whole,
                };
                let learned = Learned {
                    request: window.verified,
                    complete: Some(complete),
                    ..learned
                };
                let mut coverage = (*self.coverage).clone();
                coverage.insert(window);
                if self.commit(learned, Some(coverage)).await.is_some() {
                    // Nothing else reads it: wanted on, it would be read over and over.
                    self.forget_wanted(instant..=instant, 0);
                }
                self.judge();
            }
            Progress::GivenUp => {
                return Err(bad_answer(
                    "the count of an instant's calls disagrees with the list",
                ));
            }
        }
        Ok(())
    }
}
