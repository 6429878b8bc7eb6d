//! What the engine does of itself between requests: minds the clocks, carries deletions on from one
//! step of their proof to the next, and decides when to count.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt;
use tracing::{error, info};

use crate::model::{CallKey, Timestamp, Verified};
use crate::store::{Observation, StoreError};
use crate::sync::engine::Engine;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::plan::Job;
use crate::sync::planners::count_bisection::Discrepancy;
use crate::sync::planners::deletion_guard::Change;
use crate::sync::planners::deletion_proof;
use crate::sync::planners::deletion_proof::Proven;
use crate::upstream::CallSource;

const INSTANT: Duration = Duration::from_micros(1);

/// A clock that is put back by less is merely not quite exact.
const JUMP: Duration = Duration::from_secs(10);

/// The organization is confirmed at least this often, where the upstream tells it.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(3600);

/// So many calls are asked for by id where they can't be listed.
const MOST_SINGLY: usize = 20;

/// So many deletions of a mass deletion are one transaction.
const REMOVED_AT_ONCE: usize = 1000;

impl<S: CallSource> Engine<S> {
    /// Our clock may be put back while we run. What was verified a minute ago stays verified a
    /// minute ago, whatever the clock says now. Put forward, it only makes everything look older,
    /// which may be true: the machine may have slept.
    pub(in crate::sync) fn mind_the_clock(&mut self) {
        let now = self.now();
        let expected = self.looked.wall + now.instant.duration_since(self.looked.instant);
        self.looked = now;
        let back = expected.since(now.wall);
        if back < JUMP {
            return;
        }
        info!(seconds = back.as_secs(), "the system's clock was put back");
        self.put_back += back;
        let mut coverage = (*self.coverage).clone();
        coverage.put_back(back);
        self.know(coverage);
        self.holds.put_back(back);
        for crowd in self.crowds.values_mut() {
            crowd.put_back(back);
        }
    }

    /// Returns whether there is more to do at once.
    pub(in crate::sync) async fn run_errands(&mut self) -> bool {
        let now = self.now();
        if let Err(error) = self.mind_the_file().await {
            self.health.store_failed(&error, now);
        }
        if self.health.store_rests(now.instant) {
            return false;
        }
        if let Err(error) = self.choose_witness().await {
            self.health.store_failed(&error, now);
        }
        if !self.identified {
            return false;
        }
        self.give_up_writes().await;
        self.confirm_identity();
        self.pass_the_brake();
        self.begin_count();
        let kept = [
            self.keep_page_rows().await,
            self.follow_singly().await,
            self.mind_the_details().await,
        ];
        for error in kept.into_iter().filter_map(Result::err) {
            self.health.store_failed(&error, now);
        }
        match self.carry_on_proof().await {
            Ok(busy) => busy,
            Err(error) => {
                self.health.store_failed(&error, now);
                self.proof.give_up(now.instant);
                false
            }
        }
    }

    /// Puts the brake on or lifts it, by what the last answer changed.
    pub(in crate::sync) fn judge(&mut self) {
        let now = self.now();
        match self.holds.judge(self.census, now.wall) {
            Some(Change::Held(calls)) => {
                self.proof.give_up(now.instant);
                if self.holds.is_released() {
                    // The operator vouched for these before they were known to be so many.
                    self.proof.end_rest();
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

    fn confirm_identity(&mut self) {
        if self.organization_id.is_none() {
            return;
        }
        let confirmed = self.confirmed;
        let old = confirmed.is_none_or(|(_, at)| at.elapsed() >= IDENTITY_INTERVAL);
        let needed = self.proof.needs_identity();
        let newer = |after| confirmed.is_none_or(|(seq, _)| seq <= after);
        let denied = self.replay.denial();
        self.identity_due |= old || needed.is_some_and(newer) || denied.is_some_and(newer);
    }

    fn pass_the_brake(&mut self) {
        if !self.holds.is_braked() || !self.has_read_all() {
            return;
        }
        let now = self.now();
        if let Some(edge) = self.following.edge() {
            if edge.pass_the_brake(&mut self.holds, self.census.suspects, now) {
                self.head_at = None;
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
            self.holds.verified_since(oldest, self.census.suspects, now);
            self.judge();
        }
    }

    /// Whether everything but unreadable rows was read.
    pub(in crate::sync) fn has_read_all(&self) -> bool {
        self.coverage.is_read(self.since())
    }

    /// Publishes the ranges that the upstream can't list: they are no gaps in what was read.
    pub(in crate::sync) fn note_holes(&mut self) {
        let holes = self.troubles.holes().iter().map(|hole| &hole.range);
        if holes.clone().eq(self.coverage.holes()) {
            return;
        }
        let holes = holes.cloned().collect();
        let mut coverage = (*self.coverage).clone();
        coverage.set_holes(holes);
        self.know(coverage);
    }

    fn begin_count(&mut self) {
        let now = self.now();
        let has_totals =
            self.head_has_total && !self.newest.is_ranged() && self.settings.history.is_none();
        // A hole is tried again on its tier, not sooner.
        let holes: Vec<_> = self
            .troubles
            .holes()
            .iter()
            .map(|hole| hole.range.clone())
            .collect();
        for hole in holes {
            self.forget_wanted(hole, 0);
        }
        // Where no head tells the total, only a count can tell that what is held is there after all.
        let counts = !self.holds.is_held() || (!has_totals && !self.holds.is_list_doubted());
        let quiet = self.wanted.is_empty() && counts;
        if !quiet || !self.dates.is_known() || !self.has_read_all() {
            return;
        }
        let Some(head) = self.coverage.head() else {
            return;
        };
        let root = self.since()..=head.from - INSTANT;
        if root.start() >= root.end() {
            return;
        }
        if self.counting.is_due(has_totals, now.instant) {
            self.counting.begin(root, self.page_size.limit());
        } else if let Some(part) = self.counting.cut_due(now.instant) {
            match self.coverage.cut(&root, part) {
                Some(cut) => {
                    let range = *root.start()..=cut;
                    self.counting
                        .begin_cut(range, self.page_size.limit(), now.instant);
                }
                None => self.counting.skip_cut(now.instant),
            }
        }
    }

    /// Takes down that what was read added calls where the upstream counts differently.
    pub(in crate::sync) fn note_explained(&mut self, read: &RangeInclusive<Timestamp>, new: usize) {
        let overlaps = |found: &Discrepancy| {
            found.range.start() <= read.end() && read.start() <= found.range.end()
        };
        if new > 0 && self.wanted.iter().any(overlaps) {
            self.counting.explained();
        }
    }

    async fn carry_on_proof(&mut self) -> Result<bool, StoreError> {
        let now = self.now();
        self.forget_unasked();
        let is_braked = self.holds.is_braked();
        if self.proof.is_idle(now.instant)
            && self.census.suspects > 0
            && (!is_braked || self.holds.may_be_proven())
        {
            let sample = is_braked && self.census.suspects > deletion_proof::EACH;
            let draw = self.random.random();
            let chosen = self
                .writer
                .run(move |writer| writer.sample_suspects(deletion_proof::AT_ONCE, draw))
                .await?;
            self.vanished
                .extend(chosen.iter().copied().map(CallKey::Id));
            self.proof.begin(chosen, sample);
        }
        let witness = self.holds.lacks_witness() && self.proof.is_rested(now.instant);
        if self.proof.lacks_canary() || (witness && self.proof.canary().is_none()) {
            let draw = self.random.random();
            match self.writer.run(move |writer| writer.canary(draw)).await? {
                Some(id) => self.proof.choose_canary(id),
                None if self.holds.is_released() => {}
                None => {
                    if self.holds.is_alone() {
                        error!(
                            "every call that is held seems to be gone, so that none can vouch for \
                             it; `burki-edge release` lets the deletion through"
                        );
                    }
                    self.proof.give_up(now.instant);
                }
            }
        }
        if self.proof.is_disproved() {
            self.holds.disproved(now.wall);
        }
        let identified = self.organization_id.and(self.confirmed).map(|(seq, _)| seq);
        let identified = self.organization_id.map(|_| identified.unwrap_or(0));
        match self
            .proof
            .conclude(identified, self.holds.is_released(), now.instant)
        {
            Some(Proven::Gone(ids)) => self.remove(ids).await,
            Some(Proven::AllGone) => self.remove_all().await?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// A suspect that is neither asked for nor going to be does not keep the round open.
    fn forget_unasked(&mut self) {
        let lost: Vec<i64> = self
            .proof
            .unanswered()
            .filter(|id| {
                let key = CallKey::Id(*id);
                let job = Job::Call(key.clone());
                !self.vanished.contains(&key)
                    && !self.requests.again().contains(&job)
                    && !self.requests.is_under_way(&job)
            })
            .collect();
        for id in lost {
            self.proof.failed(id);
        }
    }

    async fn remove(&mut self, gone: Vec<(i64, Verified)>) {
        let Some(request) = gone
            .iter()
            .map(|(_, request)| *request)
            .max_by_key(|r| r.seq)
        else {
            return;
        };
        let (calls, now) = (gone.len(), self.now());
        let learned = Observation {
            denied: gone,
            ..self.learned(request)
        };
        if self.commit(learned, None).await.is_some() {
            info!(calls, "calls were deleted upstream, and are deleted here");
            self.counting.explained();
            self.holds.removed(calls as u64, now.wall);
            self.judge();
        }
    }

    async fn remove_all(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        let request = Verified {
            at: now.wall,
            seq: self.requests.newest_seq(),
        };
        // Those that one complete read left out, and another that began later.
        let before = match self.holds.is_released() {
            true => request.seq + 1,
            false => self.coverage.oldest_seq().unwrap_or(0),
        };
        let mut calls = 0;
        loop {
            let removed = self
                .writer
                .run(move |writer| {
                    let removed = writer.remove_suspects(request, before, REMOVED_AT_ONCE);
                    removed.map(|removed| (removed, writer.census()))
                })
                .await?;
            calls += removed.0;
            self.census = removed.1;
            if removed.0 < REMOVED_AT_ONCE {
                break;
            }
        }
        info!(calls, "calls were deleted upstream, and are deleted here");
        self.holds.removed(calls as u64, now.wall);
        self.counting.explained();
        self.judge();
        Ok(())
    }

    /// Writes down how long a page may be, where that was learned.
    async fn keep_page_rows(&mut self) -> Result<(), StoreError> {
        let Some(rows) = self.page_size.news() else {
            return Ok(());
        };
        info!(rows, "the upstream serves pages of this length");
        let now = (self.clock)();
        self.writer
            .run(move |writer| writer.keep_page_rows(rows, now))
            .await
    }

    /// Open calls that could not be listed are asked for by id.
    async fn follow_singly(&mut self) -> Result<(), StoreError> {
        for group in std::mem::take(&mut self.unlisted) {
            let ids = self
                .writer
                .run(move |writer| writer.open_call_ids(&group))
                .await?;
            self.ask_singly(ids.into_iter().take(MOST_SINGLY));
        }
        Ok(())
    }

    /// Asks for calls by id, if they are not going to be already.
    pub(in crate::sync) fn ask_singly(&mut self, ids: impl Iterator<Item = i64>) {
        for key in ids.map(CallKey::Id) {
            if !self.vanished.contains(&key) {
                self.vanished.push_back(key);
            }
        }
    }

    /// Forgets what was read below the head: it was read under a wrong belief.
    pub(in crate::sync) fn forget_history(&self) -> Coverage {
        let mut coverage = (*self.coverage).clone();
        coverage.forget_below_head();
        coverage
    }
}
