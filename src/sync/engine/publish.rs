//! Publishes the status after each step.

use tokio::time::Instant;
use tracing::info;

use crate::sync::engine::Engine;
use crate::sync::health::status::{Phase, SyncStatus, UpstreamState};
use crate::upstream::CallSource;

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) fn publish(&mut self, sleep_until: Instant) {
        let now = self.now();
        let complete = self.has_read_all();
        let phase = match (
            self.planners.head.was_read,
            self.planners.deletion_guard.is_held(),
            complete,
        ) {
            (false, false, _) => Phase::Starting,
            (_, true, _) => Phase::Held,
            (true, _, true) => Phase::Live,
            (true, _, false) => Phase::Backfilling,
        };
        let progress = match self.planners.backfill.total {
            _ if complete => 1.0,
            Some(total) if total > 0 => (self.coverage.rows() as f64 / total as f64).min(0.999),
            _ => 0.0,
        };
        if phase != self.channels.status.borrow().phase {
            info!(?phase, "sync");
        }
        let windows = self.coverage.windows().len();
        let bound = self
            .policy()
            .bound(windows, self.settings.max_requests_per_minute);
        // After an outage the bound holds again once everything was revalidated, but not while a
        // deletion waits for its proof. It has to hold until the next poll publishes again.
        let oldest = self
            .coverage
            .oldest(self.since())
            .map(|verified| verified.at);
        let bounded = phase == Phase::Live
            && self.health.state() == UpstreamState::Online
            && oldest.is_some_and(|oldest| {
                now.wall.since(oldest) + self.settings.poll_interval <= bound
            })
            // A hole may report no rows of its own, because they are counted with another hole.
            && self.planners.unreadable.holes().is_empty()
            && !self.file.is_moved()
            && self.row_counts.suspects == 0;
        let bound = match self.planners.feed.edge() {
            // The other edge's bound, and the time until its changes arrive here.
            Some(edge) => edge.bound.map(|bound| bound + self.policy().relay()),
            None => Some(bound),
        };
        self.channels.status.send_replace(SyncStatus {
            state: self.health.state(),
            last_success_at: self.health.last_success_at(),
            consecutive_errors: self.health.consecutive_errors(),
            last_error: self.health.last_error().cloned(),
            next_attempt_at: Some(now.wall + sleep_until.duration_since(now.instant)),
            phase,
            progress,
            requests_last_hour: self.in_flight.spent_last_hour(now.instant),
            freshness_bound: bound.filter(|_| bounded),
            unreadable: self.planners.unreadable.unreadable(),
            details: self.planners.details.status(),
            organization_id: self.planners.identity.organization_id,
            is_hosted: self.planners.head.has_total,
            file_is_moved: self.file.is_moved(),
        });
    }
}
