//! Details of a call; and, between answers, the calls whose details are requested next.

use std::sync::Arc;

use crate::model::{CallKey, Detail, Verified};
use crate::store::{Again, DetailObservation, StoreError};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::bad_answer;
use crate::sync::handle::messages::FetchOutcome;
use crate::sync::handle::messages::Miss;
use crate::sync::planners::details::{self, BATCH};
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource};

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn apply_detail(
        &mut self,
        id: i64,
        kind: Detail,
        stamp: Verified,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let (body, fetched) = match answer {
            Answer::Detail(body) => (Some(body), FetchOutcome::Found),
            Answer::NoSuchDetail => {
                self.planners.details.is_missing(kind);
                (None, FetchOutcome::NoSuchDetail)
            }
            Answer::NotFound => {
                self.apply_call_not_found(id, kind);
                return Ok(());
            }
            _ => return Err(bad_answer("an answer to another question")),
        };
        let unstored = body.as_deref().map(|body| FetchOutcome::Unstored {
            text: Arc::from(body),
            at: stamp.at,
        });
        let learned = DetailObservation {
            request: stamp,
            newest_seq: self.in_flight.newest_seq(),
            call_id: id,
            kind,
            body,
        };
        let (kinds, again) = (self.planners.details.kinds(), self.again());
        let written = self.writer.run(move |writer| {
            let ended = writer.keep_detail(&learned, &kinds, &again)?;
            Ok::<_, StoreError>((ended, writer.details_counts()))
        });
        let now = self.now();
        let fetched = match written.await {
            Ok((ended, books)) => {
                self.stored();
                self.planners.details.books = books;
                self.planners.details.answered(id, kind, ended, now.wall);
                fetched
            }
            Err(error) => {
                self.store_failed(&error);
                self.planners
                    .details
                    .failed(id, kind, now.instant, now.wall);
                unstored.unwrap_or(fetched)
            }
        };
        self.planners.misses.tell(&Miss::Detail(id, kind), &fetched);
        Ok(())
    }

    /// Takes in a 404 for the call itself, which is only a hint: the call is requested by id, and
    /// its deletion is proven like any other.
    fn apply_call_not_found(&mut self, id: i64, kind: Detail) {
        let now = self.now();
        self.planners
            .details
            .failed(id, kind, now.instant, now.wall);
        self.planners.hints.push(CallKey::Id(id));
        let fetched = self.not_found();
        self.planners.misses.tell(&Miss::Detail(id, kind), &fetched);
    }

    fn again(&self) -> Again {
        let now = self.now().wall;
        Box::new(move |started_at| details::again(started_at, now))
    }

    /// Stores which calls were put off, and reads the next batch from the file when one is due.
    pub(in crate::sync) async fn prepare_details(&mut self) -> Result<(), StoreError> {
        if !self.planners.details.recorded {
            let kinds = self.planners.details.configured().clone();
            let recorded = self.writer.run(move |writer| {
                writer.keep_kinds(&kinds)?;
                Ok::<_, StoreError>(writer.details_counts())
            });
            self.planners.details.books = recorded.await?;
            self.planners.details.recorded = true;
        }
        let put_off = self.planners.details.to_put_off();
        if !put_off.is_empty() {
            self.writer
                .run(move |writer| writer.put_off(&put_off))
                .await?;
            self.planners.details.were_put_off();
        }
        let now = self.now();
        let head_read_at = self.planners.head.read_at;
        let at = self
            .planners
            .details
            .due_at(&self.context(now), head_read_at);
        let may_send = at.is_some_and(|at| at <= now.instant) && !self.is_paused();
        if !may_send || self.health.is_out() || !self.planners.details.wants_batch(now.wall) {
            return Ok(());
        }
        let due = self
            .writer
            .run(move |writer| writer.due_details(now.wall, BATCH));
        let (calls, next_due) = due.await?;
        let over = self.planners.details.take_batch(calls, next_due, now.wall);
        if !over.is_empty() {
            let (kinds, again) = (self.planners.details.kinds(), self.again());
            let ended = self.writer.run(move |writer| {
                writer.end_rounds(&over, &kinds, &again)?;
                Ok::<_, StoreError>(writer.details_counts())
            });
            self.planners.details.books = ended.await?;
        }
        Ok(())
    }
}
