//! What belongs to a call; and, between answers, which calls it is to be asked for.

use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{CallKey, Detail, Verified};
use crate::store::{Again, DetailObservation, StoreError};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::bad_answer;
use crate::sync::handle::FetchOutcome;
use crate::sync::planners::details::{self, BATCH};
use crate::sync::planners::misses::Miss;
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource};

impl<S: CallSource> Engine<S> {
    /// What nobody waits for is asked for by at most this part of the requests under way.
    const PART_UNDER_WAY: usize = 2;

    pub(in crate::sync) async fn learn_detail(
        &mut self,
        id: i64,
        kind: Detail,
        request: Verified,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let (body, fetched) = match answer {
            Answer::Detail(body) => (Some(body), FetchOutcome::Found),
            Answer::NoSuchDetail => {
                self.details.is_missing(kind);
                (None, FetchOutcome::NoSuchDetail)
            }
            Answer::NotFound => {
                self.learn_that_it_is_nobodys(id, kind);
                return Ok(());
            }
            _ => return Err(bad_answer("an answer to another question")),
        };
        let unstored = body.as_deref().map(|body| FetchOutcome::Unstored {
            text: Arc::from(body),
            at: request.at,
        });
        let learned = DetailObservation {
            request,
            newest_seq: self.requests.newest_seq(),
            call_id: id,
            kind,
            body,
        };
        let (kinds, again) = (self.details.kinds(), self.again());
        let written = self.writer.run(move |writer| {
            let ended = writer.keep_detail(&learned, &kinds, &again)?;
            Ok::<_, StoreError>((ended, writer.details_books()))
        });
        let now = self.now();
        let fetched = match written.await {
            Ok((ended, books)) => {
                self.stored();
                self.details.books = books;
                self.details.answered(id, kind, ended, now.wall);
                fetched
            }
            Err(error) => {
                self.health.store_failed(&error, now);
                self.details.failed(id, kind, now.instant, now.wall);
                unstored.unwrap_or(fetched)
            }
        };
        self.clients.tell(&Miss::Detail(id, kind), &fetched);
        Ok(())
    }

    /// A denial of the call itself is no more than a hint: it is asked for by id, and its deletion
    /// is proven as every other one's.
    fn learn_that_it_is_nobodys(&mut self, id: i64, kind: Detail) {
        let now = self.now();
        self.details.failed(id, kind, now.instant, now.wall);
        self.hint(CallKey::Id(id));
        let fetched = self.not_found();
        self.clients.tell(&Miss::Detail(id, kind), &fetched);
    }

    fn again(&self) -> Again {
        let now = (self.clock)();
        Box::new(move |started_at| details::again(started_at, now))
    }

    /// The detail that is asked for next, and when: from the half of the budget that is spare.
    pub(in crate::sync) fn next_detail(
        &self,
        now: Instant,
    ) -> (Option<(i64, Detail)>, Option<Instant>) {
        let needed = self
            .head_at
            .map_or(now, |at| at + self.settings.poll_interval);
        let spare = self.requests.spare_at(now, needed);
        let at_once = (self.settings.max_concurrency / Self::PART_UNDER_WAY).max(1);
        let next = self.details.next(self.requests.under_way(), at_once);
        (next, self.details.at(spare, (self.clock)()))
    }

    /// Writes down what was put off, and takes the next calls from the file when some can be asked
    /// about.
    pub(in crate::sync) async fn mind_the_details(&mut self) -> Result<(), StoreError> {
        if !self.details.recorded {
            let kinds = self.details.configured().clone();
            let recorded = self.writer.run(move |writer| {
                writer.keep_kinds(&kinds)?;
                Ok::<_, StoreError>(writer.details_books())
            });
            self.details.books = recorded.await?;
            self.details.recorded = true;
        }
        let put_off = self.details.to_put_off();
        if !put_off.is_empty() {
            self.writer
                .run(move |writer| writer.put_off(&put_off))
                .await?;
            self.details.were_put_off();
        }
        let now = self.now();
        let (_, at) = self.next_detail(now.instant);
        let may_send = at.is_some_and(|at| at <= now.instant) && !self.is_paused();
        if !may_send || self.health.is_out() || !self.details.wants_batch(now.wall) {
            return Ok(());
        }
        let due = self
            .writer
            .run(move |writer| writer.due_details(now.wall, BATCH));
        let (calls, next_due) = due.await?;
        let over = self.details.take_batch(calls, next_due, now.wall);
        if !over.is_empty() {
            let (kinds, again) = (self.details.kinds(), self.again());
            let ended = self.writer.run(move |writer| {
                writer.end_rounds(&over, &kinds, &again)?;
                Ok::<_, StoreError>(writer.details_books())
            });
            self.details.books = ended.await?;
        }
        Ok(())
    }
}
