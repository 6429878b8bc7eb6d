//! The head: the newest page of the list.

use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::model::{Timestamp, Verified};
use crate::store::{Complete, Observation, OpenCalls, Trust};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::INSTANT;
use crate::sync::engine::apply::bad_answer;
use crate::sync::knowledge::coverage::{HeadRead, NEVER};
use crate::sync::planners::page_extent::Reach;
use crate::sync::settings::ApplyError;
use crate::upstream::{CallSource, ErrorKind, ListQuery, Page, UpstreamError};

/// A call that has been open for longer is not listed at every poll.
const OPEN_FOR: Duration = Duration::from_secs(86_400);

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn apply_head(
        &mut self,
        query: &ListQuery,
        stamp: Verified,
        begun: Instant,
        page: Page,
    ) -> Result<(), ApplyError> {
        let from = match self.planners.page_size.reach(query, &page) {
            Reach::Whole => Timestamp::MIN,
            Reach::Above(oldest) => oldest + INSTANT,
            Reach::Nowhere if page.calls.is_empty() => {
                return Err(bad_answer("an empty page of a list that is not empty"));
            }
            Reach::Nowhere => {
                // Calls without a start fill the page: they are read as a group, and the head below
                // them.
                self.planners.head.page.range();
                return self.apply_incomplete(stamp, page).await;
            }
        };
        if self
            .planners
            .deletion_guard
            .is_too_short(query.limit, self.now().instant)
        {
            self.apply_incomplete(stamp, page).await?;
            self.go_on_with_head(begun);
            return Ok(());
        }
        let ranged = query.from.is_some();
        // Rows were skipped: the page says nothing of calls that start as late as those may.
        let until = match query.skip {
            0 => None,
            _ => Some(page.calls.iter().find_map(|call| call.started_at)),
        };
        let until = until.map(|newest| newest.map_or(Timestamp::MIN, |newest| newest - INSTANT));
        if until.is_some_and(|until| until < from || page.calls.is_empty()) {
            self.apply_incomplete(stamp, page).await?;
            self.go_on_with_head(begun);
            return Ok(());
        }
        let is_within =
            |start: &Timestamp| *start >= from && until.is_none_or(|until| *start <= until);
        let starts: Vec<_> = page.starts().collect();
        let without_start = page.calls.len() - starts.len();
        let head = HeadRead {
            from,
            until,
            starts: starts.iter().copied().filter(is_within).collect(),
            without_start: (!ranged && query.skip == 0).then_some(without_start),
            verified: stamp,
        };
        let now = self.now();
        let complete = Complete {
            started: Some(from..=until.unwrap_or(Timestamp::MAX)),
            without_start: head.without_start.is_some(),
            listed: page.calls.iter().map(|call| call.id).collect(),
            belief: match self.planners.deletion_guard.believes_list(now.instant) {
                true => Trust::Whole,
                false => Trust::UnlessMany,
            },
        };
        let (rows, cut_unseen) = (
            page.calls.len(),
            page.total.is_none() && !page.calls.is_empty(),
        );
        let total = page.total.filter(|_| !ranged);
        let mut coverage = (*self.coverage).clone();
        coverage.insert_head(head);
        let learned = Observation {
            calls: page.calls,
            complete: Some(complete),
            ..self.learned(stamp)
        };
        let Some(merged) = self.commit(learned, Some(coverage)).await else {
            return Ok(());
        };
        if merged.unbelieved > 0 {
            if cut_unseen
                && self.planners.deletion_guard.is_list_doubted()
                && !self.planners.deletion_guard.lacks_witness()
            {
                // It is the right upstream, and has more than it lists: it now cuts its pages.
                self.planners.page_size.was_cut_at(rows);
            }
            self.doubt(merged.unbelieved, begun, stamp.seq, query.limit);
            let error = UpstreamError::new(ErrorKind::ShortList);
            let missing = format!("{} that are held", merged.unbelieved);
            return Err(ApplyError::Upstream(error.caused_by(missing)));
        }
        // Judged before the release ends with the list: it covers the deletions of what the list
        // leaves out.
        self.judge();
        self.planners.deletion_guard.list_believed();
        self.planners.unreadable.head_read(from);
        if !ranged && until.is_none() {
            // The head lists calls without a start too, and no reading of their own will end their
            // hole.
            self.planners.unreadable.answered(&(NEVER..=NEVER));
        }
        if let Some(until) = until {
            let above = until + INSTANT..=Timestamp::MAX;
            self.planners
                .unreadable
                .add_hole_above_head(above.clone(), query.skip, begun);
            self.look_above_head(above, begun).await;
        }
        self.planners.head.was_read = true;
        self.go_on_with_head(begun);
        self.planners.date_format.head_read(&starts);
        self.compare_total(total).await;
        // Calls without a start leave too little room: the next head is read below them.
        if from > Timestamp::MIN && without_start > self.planners.page_size.room() / 2 {
            self.planners.head.page.range();
        }
        self.planners.open_calls.groups = match from {
            Timestamp::MIN => Vec::new(),
            from => self.open_calls_until(from - INSTANT).await,
        };
        self.judge();
        Ok(())
    }

    /// Has the next head read after a poll, or at once if a longer page is to be tried.
    fn go_on_with_head(&mut self, begun: Instant) {
        self.planners.head.read_at = match self.planners.head.page.succeeded() {
            true => None,
            false => Some(begun),
        };
    }

    /// Has stored calls above the head requested by id now and then: rows there can't be read.
    async fn look_above_head(&mut self, above: RangeInclusive<Timestamp>, now: Instant) {
        const MOST: usize = 20;
        if self.planners.head.above_due.is_some_and(|due| due > now) {
            return;
        }
        self.planners.head.above_due = Some(now + self.hole_rest(*above.start()));
        let (from, to) = above.into_inner();
        let held = self
            .writer
            .run(move |writer| writer.ids_between(from, to, MOST))
            .await;
        match held {
            Ok(ids) => self.planners.vanished.push_ids(ids),
            Err(error) => {
                self.store_failed(&error);
            }
        }
    }

    fn doubt(&mut self, missing: usize, begun: Instant, seq: u64, limit: usize) {
        self.planners.identity.is_due |= self.planners.identity.organization_id.is_some();
        if self.planners.deletion_guard.doubt_list(begun, seq, limit) {
            warn!(
                missing,
                "the list leaves out so many held calls that it is not believed until it does so \
                 for a minute; `burki-edge release` believes it now"
            );
        }
    }

    /// Compares the total of a page with what is stored, once the page is merged.
    async fn compare_total(&mut self, total: Option<u64>) {
        self.planners.head.has_total = total.is_some();
        // A cached total is not compared with what is stored now.
        let total = total.filter(|_| self.answer.age.is_zero());
        let Some(total) = total else {
            return;
        };
        self.planners.backfill.total = Some(total);
        if !self.has_read_all() || self.settings.history.is_some() {
            return;
        }
        let all = Timestamp::MIN..=Timestamp::MAX;
        let unreadable = match self.never_read_within(&all).await {
            Ok(unreadable) => unreadable,
            Err(error) => {
                return self.store_failed(&error);
            }
        };
        self.planners
            .deletion_guard
            .counted(total, self.row_counts.calls + unreadable);
        let held = self.row_counts.calls - self.row_counts.suspects + unreadable;
        let difference = total.cast_signed() - held.cast_signed();
        self.planners
            .count_check
            .head_counted(difference, self.row_counts.suspects == 0);
    }

    /// The young open calls below the head. An older one's status may be final: it is only
    /// revalidated.
    async fn open_calls_until(&mut self, until: Timestamp) -> Vec<OpenCalls> {
        let since = self.now().wall - OPEN_FOR;
        match self
            .writer
            .run(move |writer| writer.open_calls(since, until))
            .await
        {
            Ok(groups) => groups,
            Err(error) => {
                self.store_failed(&error);
                Vec::new()
            }
        }
    }
}
