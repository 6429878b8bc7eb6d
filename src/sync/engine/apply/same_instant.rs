//! One step of reading a same-instant group.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Timestamp, Verified};
use crate::store::{Complete, Observation, Trust};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::bad_answer;
use crate::sync::knowledge::coverage::NEVER;
use crate::sync::planners::same_instant::group::Progress;
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource};

/// Calls without a start, some of which can't be read, are read again after this long at most.
const UNDATED_REST: Duration = Duration::from_secs(600);

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn apply_same_instant(
        &mut self,
        instant: Timestamp,
        stamp: Verified,
        begun: Instant,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let Some(mut group) = self.planners.same_instant.groups.remove(&instant) else {
            return Ok(());
        };
        let has_age = !self.answer.age.is_zero();
        if has_age {
            group.cached_answer(Instant::now());
        }
        if has_age || (self.answer.is_cached && group.is_too_soon(begun)) {
            self.planners.same_instant.groups.insert(instant, group);
            return match answer {
                Answer::Page(page) => self.apply_incomplete(stamp, page).await,
                _ => Ok(()),
            };
        }
        let progress = group.absorb(stamp, &answer, Instant::now());
        let calls = match answer {
            Answer::Page(page) => page.calls,
            _ => Vec::new(),
        };
        let learned = Observation {
            calls,
            ..self.learned(stamp)
        };
        let Some(merged) = self.commit(learned, None).await else {
            // Calls that were not stored count as not seen: the reading starts again.
            return Ok(());
        };
        self.planners
            .note_explained(&(instant..=instant), merged.new);
        match progress {
            Progress::More => {
                self.planners.same_instant.groups.insert(instant, group);
            }
            // Some rows could not be read, so no call of the instant becomes a suspect.
            Progress::Read(_) if !group.is_whole() => {
                let now = Instant::now();
                let tier = self.hole_rest(instant);
                let range = instant..=instant;
                let rows = group.unreadable(self.planners.unreadable.unreadable_above_head());
                self.planners
                    .unreadable
                    .add_hole(range.clone(), rows, now + tier);
                self.planners.discrepancies.resolve(&(range), 0);
                if instant == NEVER {
                    // Until they are read, the head is read below them and reports no total.
                    self.planners.same_instant.without_start_due =
                        Some(now + tier.min(UNDATED_REST));
                }
            }
            Progress::Read(window) => {
                self.planners.unreadable.answered(&(instant..=instant));
                if instant == NEVER {
                    // With this rest they cost one request per poll. But no window waits longer
                    // than it may, and a reading that got false answers took hundreds of requests.
                    let rest = self.settings.poll_interval * group.requests();
                    let rest = rest.min(self.settings.reconcile_interval);
                    // What was read before the operator's release is read again at once.
                    let again = self
                        .planners
                        .deletion_guard
                        .read_below_list(window.verified.seq);
                    self.planners.same_instant.without_start_due =
                        (!again).then(|| Instant::now() + rest);
                    if window.rows * 2 <= self.planners.page_size.room() {
                        self.planners.head.page.unrange();
                    }
                }
                let complete = Complete {
                    started: (instant != NEVER).then_some(instant..=instant),
                    without_start: instant == NEVER,
                    listed: group.into_seen(),
                    // Sightings before and after the count agree with it.
                    belief: Trust::Whole,
                };
                let learned = Observation {
                    complete: Some(complete),
                    ..self.learned(window.verified)
                };
                let mut coverage = (*self.coverage).clone();
                coverage.insert(window);
                if self.commit(learned, Some(coverage)).await.is_some() {
                    // Nothing else reads the instant. A discrepancy would have it read over and
                    // over.
                    self.planners.discrepancies.resolve(&(instant..=instant), 0);
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
