//! Advances deletions from one step of their proof to the next.

use rand::RngExt;
use tracing::{error, info};

use crate::model::{CallKey, Timestamp, Verified};
use crate::store::{Observation, StoreError};
use crate::sync::engine::Engine;
use crate::sync::plan::job::Job;
use crate::sync::planners::deletion_guard::Change;
use crate::sync::planners::deletion_proof::{self, Proven};
use crate::upstream::CallSource;

/// A mass deletion removes at most this many calls per transaction.
const REMOVED_AT_ONCE: usize = 1000;

impl<S: CallSource> Engine<S> {
    /// Places or lifts the hold on deletions, by what the last answer changed.
    pub(in crate::sync) fn judge(&mut self) {
        let now = self.now();
        match self
            .planners
            .deletion_guard
            .judge(self.row_counts, now.wall)
        {
            Some(Change::Held(calls)) => {
                self.planners.deletion_proof.give_up(now.instant);
                if self.planners.deletion_guard.is_released() {
                    // The operator released these before their number was known.
                    self.planners.deletion_proof.end_rest();
                    return;
                }
                error!(
                    calls,
                    "so many calls seem to be gone that their deletion is held until everything \
                     was read twice; `burki-edge release` lets it through"
                );
            }
            Some(Change::Lifted) => info!("no deletions are held any more"),
            None => {}
        }
    }

    pub(in crate::sync) fn advance_hold(&mut self) {
        if !self.planners.deletion_guard.holds_deletions() || !self.has_read_all() {
            return;
        }
        let now = self.now();
        if let Some(edge) = self.planners.feed.edge() {
            if edge.advance_hold(
                &mut self.planners.deletion_guard,
                self.row_counts.suspects,
                now,
            ) {
                self.planners.head.read_at = None;
            }
            self.judge();
            return;
        }
        let since = self.since();
        let oldest = self
            .coverage
            .windows()
            .iter()
            .filter(|window| window.to >= since || window.to < Timestamp::MIN)
            .filter(|window| !self.coverage.is_in_a_hole(&(window.from..=window.to)))
            .map(|window| window.verified.at)
            .min();
        if let Some(oldest) = oldest {
            self.planners
                .deletion_guard
                .verified_since(oldest, self.row_counts.suspects, now);
            self.judge();
        }
    }

    /// Starts, advances and concludes rounds of proof. Returns whether there is more to do at once.
    pub(in crate::sync) async fn carry_on_proof(&mut self) -> Result<bool, StoreError> {
        let now = self.now();
        self.forget_unasked();
        let holds_deletions = self.planners.deletion_guard.holds_deletions();
        if self.planners.deletion_proof.is_idle(now.instant)
            && self.row_counts.suspects > 0
            && (!holds_deletions || self.planners.deletion_guard.may_be_proven())
        {
            let sample = holds_deletions && self.row_counts.suspects > deletion_proof::EACH;
            let draw = self.random.random();
            let chosen = self
                .writer
                .run(move |writer| writer.sample_suspects(deletion_proof::AT_ONCE, draw))
                .await?;
            self.planners.vanished.push_ids(chosen.iter().copied());
            self.planners.deletion_proof.begin(chosen, sample);
        }
        let witness = self.planners.deletion_guard.lacks_witness()
            && self.planners.deletion_proof.is_rested(now.instant);
        if self.planners.deletion_proof.lacks_canary()
            || (witness && self.planners.deletion_proof.canary().is_none())
        {
            let draw = self.random.random();
            match self.writer.run(move |writer| writer.canary(draw)).await? {
                Some(id) => self.planners.deletion_proof.choose_canary(id),
                None if self.planners.deletion_guard.is_released() => {}
                None => {
                    if self.planners.deletion_guard.is_alone() {
                        error!(
                            "every call that is held seems to be gone, so that none can vouch for \
                             it; `burki-edge release` lets the deletion through"
                        );
                    }
                    self.planners.deletion_proof.give_up(now.instant);
                }
            }
        }
        if self.planners.deletion_proof.is_disproved() {
            self.planners.deletion_guard.disproved(now.wall);
        }
        match self.planners.deletion_proof.conclude(
            self.planners.identity.confirmed_by(),
            self.planners.deletion_guard.is_released(),
            now.instant,
        ) {
            Some(Proven::Gone(ids)) => self.remove(ids).await,
            Some(Proven::AllGone) => self.remove_all().await?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Gives up suspects that are neither in flight nor queued, which would keep the round open.
    fn forget_unasked(&mut self) {
        let lost: Vec<i64> = self
            .planners
            .deletion_proof
            .unanswered()
            .filter(|id| {
                let key = CallKey::Id(*id);
                let job = Job::Call(key.clone());
                !self.planners.vanished.contains(&key)
                    && !self.in_flight.again().contains(&job)
                    && !self.in_flight.is_under_way(&job)
            })
            .collect();
        for id in lost {
            self.planners.deletion_proof.failed(id);
        }
    }

    async fn remove(&mut self, gone: Vec<(i64, Verified)>) {
        let Some(stamp) = gone.iter().map(|(_, stamp)| *stamp).max_by_key(|r| r.seq) else {
            return;
        };
        let (calls, now) = (gone.len(), self.now());
        let learned = Observation {
            denied: gone,
            ..self.learned(stamp)
        };
        if self.commit(learned, None).await.is_some() {
            info!(calls, "calls were deleted upstream, and are deleted here");
            self.planners.count_check.explained();
            self.planners.deletion_guard.removed(calls as u64, now.wall);
            self.judge();
        }
    }

    async fn remove_all(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        let stamp = Verified {
            at: now.wall,
            seq: self.in_flight.newest_seq(),
        };
        // Only suspects that one complete reading left out, and then another that started later.
        let before = match self.planners.deletion_guard.is_released() {
            true => stamp.seq + 1,
            false => self.coverage.oldest_seq().unwrap_or(0),
        };
        let mut calls = 0;
        loop {
            let removed = self
                .writer
                .run(move |writer| {
                    let removed = writer.remove_suspects(stamp, before, REMOVED_AT_ONCE);
                    removed.map(|removed| (removed, writer.row_counts()))
                })
                .await?;
            calls += removed.0;
            self.row_counts = removed.1;
            if removed.0 < REMOVED_AT_ONCE {
                break;
            }
        }
        info!(calls, "calls were deleted upstream, and are deleted here");
        self.planners.deletion_guard.removed(calls as u64, now.wall);
        self.planners.count_check.explained();
        self.judge();
        Ok(())
    }
}
