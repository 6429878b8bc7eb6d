//! What the engine does between requests: checks clock and file, advances deletions, starts counts.

use tracing::info;

use crate::store::StoreError;
use crate::sync::engine::Engine;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::ranges::INSTANT;
use crate::upstream::CallSource;

/// At most this many calls are requested by id where they can't be listed.
const MOST_SINGLY: usize = 20;

impl<S: CallSource> Engine<S> {
    /// Moves dates of verification back if the system's clock was put back: what was verified a
    /// minute ago stays verified a minute ago. A clock that is put forward makes everything look
    /// older, which may be true, since the machine may have slept.
    pub(in crate::sync) fn check_clock(&mut self) {
        let Some(back) = self.clock.check() else {
            return;
        };
        info!(seconds = back.as_secs(), "the system's clock was put back");
        let mut coverage = (*self.coverage).clone();
        coverage.put_back(back);
        self.publish_coverage(coverage);
        self.planners.deletion_guard.put_back(back);
        self.planners.same_instant.put_back(back);
    }

    /// Does what is due between requests. Returns whether there is more to do at once.
    pub(in crate::sync) async fn housekeep(&mut self) -> bool {
        let now = self.now();
        if let Err(error) = self.keep_file().await {
            self.store_failed(&error);
        }
        if self.health.store_rests(now.instant) {
            return false;
        }
        if let Err(error) = self.choose_witness().await {
            self.store_failed(&error);
        }
        if !self.planners.identity.is_known {
            return false;
        }
        self.give_up_writes().await;
        let proof = self.planners.deletion_proof.needs_identity();
        let denied = self.planners.outbox.denial();
        self.planners
            .identity
            .confirm_after(proof.into_iter().chain(denied));
        self.advance_hold();
        self.begin_count();
        let kept = [
            self.keep_page_rows().await,
            self.follow_singly().await,
            self.prepare_details().await,
        ];
        for error in kept.into_iter().filter_map(Result::err) {
            self.store_failed(&error);
        }
        match self.carry_on_proof().await {
            Ok(busy) => busy,
            Err(error) => {
                self.store_failed(&error);
                self.planners.deletion_proof.give_up(now.instant);
                false
            }
        }
    }

    /// Whether everything but unreadable rows was read.
    pub(in crate::sync) fn has_read_all(&self) -> bool {
        self.coverage.is_read(self.since())
    }

    /// Publishes the ranges that the upstream can't list: they do not count as gaps.
    pub(in crate::sync) fn note_holes(&mut self) {
        let holes = self
            .planners
            .unreadable
            .holes()
            .iter()
            .map(|hole| &hole.range);
        if holes.clone().eq(self.coverage.holes()) {
            return;
        }
        let holes = holes.cloned().collect();
        let mut coverage = (*self.coverage).clone();
        coverage.set_holes(holes);
        self.publish_coverage(coverage);
    }

    fn begin_count(&mut self) {
        let now = self.now();
        let has_totals = self.planners.head.has_total
            && !self.planners.head.page.is_ranged()
            && self.settings.history.is_none();
        // A hole is tried again at its revalidation interval, not sooner.
        let holes: Vec<_> = self
            .planners
            .unreadable
            .holes()
            .iter()
            .map(|hole| hole.range.clone())
            .collect();
        for hole in holes {
            self.planners.discrepancies.resolve(&(hole), 0);
        }
        // Where no head reports the total, only a count can show that calls under a hold still
        // exist.
        let counts = !self.planners.deletion_guard.is_held()
            || (!has_totals && !self.planners.deletion_guard.is_list_doubted());
        let quiet = self.planners.discrepancies.ranges.is_empty() && counts;
        if !quiet || !self.planners.date_format.is_known() || !self.has_read_all() {
            return;
        }
        let Some(head) = self.coverage.head() else {
            return;
        };
        let root = self.since()..=head.from - INSTANT;
        if root.start() >= root.end() {
            return;
        }
        if self.planners.count_check.is_due(has_totals, now.instant) {
            self.planners
                .count_check
                .begin(root, self.planners.page_size.limit());
        } else if let Some(part) = self.planners.count_check.cut_due(now.instant) {
            match self.coverage.cut(&root, part) {
                Some(cut) => {
                    let range = *root.start()..=cut;
                    self.planners.count_check.begin_cut(
                        range,
                        self.planners.page_size.limit(),
                        now.instant,
                    );
                }
                None => self.planners.count_check.skip_cut(now.instant),
            }
        }
    }

    /// Stores the page length, where a new one was learned.
    async fn keep_page_rows(&mut self) -> Result<(), StoreError> {
        let Some(rows) = self.planners.page_size.news() else {
            return Ok(());
        };
        info!(rows, "the upstream serves pages of this length");
        let now = self.now().wall;
        self.writer
            .run(move |writer| writer.keep_page_rows(rows, now))
            .await
    }

    /// Queues open calls by id whose list failed.
    async fn follow_singly(&mut self) -> Result<(), StoreError> {
        for group in std::mem::take(&mut self.planners.open_calls.unlisted) {
            let ids = self
                .writer
                .run(move |writer| writer.open_call_ids(&group))
                .await?;
            self.planners
                .vanished
                .push_ids(ids.into_iter().take(MOST_SINGLY));
        }
        Ok(())
    }

    /// The coverage without what lies below the head, which was read under a wrong assumption.
    pub(in crate::sync) fn forget_history(&self) -> Coverage {
        let mut coverage = (*self.coverage).clone();
        coverage.forget_below_head();
        coverage
    }
}
