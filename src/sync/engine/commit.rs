//! Writes one answer in one transaction. What was read counts once it is committed.

use std::sync::Arc;

use tokio::time::Instant;

use crate::model::Verified;
use crate::store::{Merged, Observation, StoreError};
use crate::sync::engine::Engine;
use crate::sync::knowledge::coverage::Coverage;
use crate::upstream::CallSource;

impl<S: CallSource> Engine<S> {
    /// Writes one answer, and publishes its coverage once it is committed. `None` where the write
    /// failed: the status reports it, and the plan sends the request again.
    pub(in crate::sync) async fn commit(
        &mut self,
        learned: Observation,
        mut coverage: Option<Coverage>,
    ) -> Option<Merged> {
        let windows = coverage
            .as_ref()
            .map(|coverage| coverage.windows().to_vec());
        let mut learned = Observation { windows, ..learned };
        let starts = learned.calls.iter().filter_map(|call| call.started_at);
        let refuted = self.planners.date_format.observe(starts);
        if self.answer.is_cached {
            // A cached answer says nothing of calls that were verified after it was true, and
            // without those calls it is no complete list.
            let (stamp, told) = (learned.request, learned.calls.len());
            learned.calls.retain(|call| {
                let known = self.coverage.known(call.started_at);
                known.is_none_or(|known| known.seq <= stamp.seq)
            });
            if learned.calls.len() < told {
                (learned.complete, learned.windows, coverage) = (None, None, None);
            }
        }
        if refuted {
            // Ranges that were read in the refuted form may have left calls out, also after a
            // restart.
            let mut kept = coverage.unwrap_or_else(|| (*self.coverage).clone());
            kept.forget_below_head();
            learned.windows = Some(kept.windows().to_vec());
            coverage = Some(kept);
            self.publish_coverage(self.forget_history());
        }
        self.planners.assistants.calls_read(&learned.calls);
        if self.health.store_rests(Instant::now()) {
            return None;
        }
        let written = self.writer.run(|writer| {
            writer
                .merge(learned)
                .map(|merged| (merged, writer.row_counts(), writer.details_counts()))
        });
        match written.await {
            Ok((merged, row_counts, books)) => {
                self.stored();
                self.row_counts = row_counts;
                self.planners.details.calls_written(&merged, books);
                if let Some(coverage) = coverage.filter(|_| merged.unbelieved == 0) {
                    self.publish_coverage(coverage);
                }
                Some(merged)
            }
            Err(error) => {
                self.store_failed(&error);
                None
            }
        }
    }

    /// Notes that the file could not be written or read: the status reports it, and the plan asks
    /// again for what was to be stored.
    pub(in crate::sync) fn store_failed(&mut self, error: &StoreError) {
        let now = self.now();
        self.health.store_failed(error, now);
    }

    /// Replaces the coverage, and publishes it to readers.
    pub(in crate::sync) fn publish_coverage(&mut self, coverage: Coverage) {
        self.coverage = Arc::new(coverage);
        self.channels.published.store(Arc::clone(&self.coverage));
    }

    /// An observation of `stamp` that contains nothing yet.
    pub(in crate::sync) fn learned(&self, stamp: Verified) -> Observation {
        Observation {
            oldest_in_flight: self.in_flight.oldest_seq(stamp),
            newest_seq: self.in_flight.newest_seq(),
            ..Observation::of(stamp)
        }
    }
}
