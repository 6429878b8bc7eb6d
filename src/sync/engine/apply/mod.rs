//! What an answer means for the replica: a file for each larger kind of answer.
//!
//! In the order of the ladder: `identity`, `feed`, `head`, `call` (also of the proxy's answers, and
//! open calls), `outbox`, `range`, `same_instant`, `detail`.

mod call;
mod detail;
mod feed;
mod head;
mod identity;
mod outbox;
mod range;
mod same_instant;

use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Timestamp, Verified};
use crate::store::StoreError;
use crate::sync::engine::Engine;
use crate::sync::plan::job::Job;
use crate::sync::settings::ApplyError;
use crate::upstream::{
    Answer, CallSource, ErrorKind, IdentityEndpoint, ListQuery, Request, UpstreamError,
};

const INSTANT: Duration = Duration::from_micros(1);

fn bad_answer(cause: impl Into<String>) -> ApplyError {
    ApplyError::Upstream(UpstreamError::new(ErrorKind::BadAnswer).caused_by(cause.into()))
}

impl<S: CallSource> Engine<S> {
    /// Applies one answer. A write that fails is not the upstream's failure: it is noted, and the
    /// plan sends the request again.
    pub(in crate::sync) async fn apply(
        &mut self,
        job: &Job,
        request: &Request,
        stamp: Verified,
        begun: Instant,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let no_list = ListQuery::default();
        let query = match request {
            Request::List(query) => query,
            _ => &no_list,
        };
        if let (Request::List(query), Answer::Page(page)) = (request, &answer) {
            let now = Instant::now();
            self.answer.list_age = match self.answer.is_cached {
                true => self.now().wall.since(stamp.at),
                false => self.answer.age,
            };
            if self.planners.page_size.served(query.limit, page.rows, now) {
                self.planners.set_page_limit();
            }
            // The call itself shows which of its two texts is right.
            self.planners
                .vanished
                .push_ids(page.doubled.iter().copied());
        }
        match (job, answer) {
            // Dates are not read as assumed, so what the page leaves out means nothing.
            (job, Answer::Page(page))
                if job.depends_on_dates()
                    && self.planners.date_format.is_refuted_by(page.starts()) =>
            {
                self.apply_incomplete(stamp, page).await
            }
            (Job::Identify, Answer::Identity(None))
                if *request == Request::Identity(IdentityEndpoint::User) =>
            {
                // A self-hosted server has no users. Another endpoint names the organization.
                self.planners.identity.identity_endpoint = IdentityEndpoint::Assistants;
                Ok(())
            }
            (Job::Identify, Answer::Identity(organization)) => {
                if organization.is_none() {
                    self.planners.identity.identity_endpoint = IdentityEndpoint::User;
                }
                self.apply_identity(stamp, organization).await?;
                self.planners.identity.is_known &= self.planners.feed.answered(organization);
                Ok(())
            }
            (Job::Feed, answer) => self.apply_feed(request, stamp, begun, answer).await,
            (Job::KeyWitness(_), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.apply_key_witness(answer).await
            }
            (Job::Head, Answer::Page(page)) => self.apply_head(query, stamp, begun, page).await,
            (Job::DateFormat(instant, form), Answer::Page(page)) => {
                // The client has already refused a page with other calls.
                self.note_probe((*instant, *form), !page.calls.is_empty());
                self.apply_incomplete(stamp, page).await
            }
            (Job::Range(range), Answer::Page(page)) => {
                self.apply_range(range, query, stamp, page).await
            }
            (Job::OpenCalls(group), Answer::Page(page)) => {
                self.apply_open(group, query, stamp, page).await
            }
            (Job::SameInstant(instant), answer) => {
                self.apply_same_instant(*instant, stamp, begun, answer)
                    .await
            }
            (Job::Assistants(_), Answer::Assistants(page)) => {
                self.apply_assistants(page).await;
                Ok(())
            }
            (Job::Total, Answer::Count(total)) => {
                self.planners.backfill.total = Some(total);
                Ok(())
            }
            (Job::Count(_), Answer::Count(_)) if !self.answer.age.is_zero() => {
                // A cached count is not compared with what is stored now.
                self.planners.count_check.give_up(Instant::now());
                Ok(())
            }
            (Job::Count(range), Answer::Count(count)) => {
                self.apply_count(range, count).await;
                Ok(())
            }
            (Job::Detail(id, kind), answer) => self.apply_detail(*id, *kind, stamp, answer).await,
            (Job::Canary(_), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.apply_canary(stamp, answer).await;
                Ok(())
            }
            (Job::Call(key), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.apply_call(key, stamp, answer).await;
                Ok(())
            }
            (Job::Review(id), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.apply_review(*id, stamp, answer).await;
                Ok(())
            }
            (Job::Write(id), answer) => self.apply_written(*id, stamp, answer).await,
            _ => Err(bad_answer("an answer to another question")),
        }
    }

    async fn apply_assistants(&mut self, page: Option<Vec<(i64, String)>>) {
        let now = self.now();
        self.planners
            .assistants
            .listed(page.as_deref(), now.instant);
        let told = page.unwrap_or_default();
        let kept = self
            .writer
            .run(move |writer| writer.keep_assistants(told, now.wall))
            .await;
        if let Err(error) = kept {
            self.store_failed(&error);
            self.planners.assistants.failed(now.instant);
        }
    }

    /// Compares a count with what is stored; the plan reads ranges that differ again.
    async fn apply_count(&mut self, range: &RangeInclusive<Timestamp>, upstream: u64) {
        let (from, to) = (*range.start(), *range.end());
        let held = self
            .writer
            .run(move |writer| writer.count_between(from, to))
            .await;
        let unread = self.never_read_within(range).await;
        let now = self.now();
        match held.and_then(|held| Ok(held + unread?)) {
            Ok(held) => {
                if self.planners.count_check.is_root(range)
                    && !self.planners.count_check.is_whole(range)
                {
                    self.planners
                        .deletion_guard
                        .lacks(held.saturating_sub(upstream));
                    self.judge();
                } else if !self.planners.head.has_total && self.planners.count_check.is_whole(range)
                {
                    self.planners
                        .deletion_guard
                        .counted(upstream, held + self.row_counts.suspects);
                    self.judge();
                    if self.planners.deletion_guard.is_held() {
                        // A hold has everything read again, twice.
                        self.planners.count_check.give_up(now.instant);
                    }
                }
                let found = self.planners.count_check.absorb(
                    range,
                    upstream,
                    held,
                    self.coverage.windows(),
                    now.instant,
                );
                self.planners.discrepancies.ranges.extend(found);
            }
            Err(error) => {
                self.planners.count_check.give_up(now.instant);
                self.store_failed(&error);
            }
        }
    }

    /// How many calls of the range the upstream counts but can't list, and that are not stored from
    /// when it could.
    pub(in crate::sync) async fn never_read_within(
        &self,
        range: &RangeInclusive<Timestamp>,
    ) -> Result<u64, StoreError> {
        let mut unread = 0;
        for hole in self.planners.unreadable.holes_within(range) {
            let (from, to) = (*hole.range.start(), *hole.range.end());
            let held = self
                .writer
                .run(move |writer| writer.count_between(from, to))
                .await?;
            unread += hole.rows.saturating_sub(held);
        }
        Ok(unread)
    }
}
