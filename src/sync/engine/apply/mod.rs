//! What an answer means for the replica, job by job.

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
use crate::sync::plan::Job;
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource, ErrorKind, ListQuery, Request, Teller, UpstreamError};

const INSTANT: Duration = Duration::from_micros(1);

fn bad_answer(cause: impl Into<String>) -> ApplyError {
    ApplyError::Upstream(UpstreamError::new(ErrorKind::BadAnswer).caused_by(cause.into()))
}

impl<S: CallSource> Engine<S> {
    /// Takes in one answer. A write that fails is not the upstream's failure: it is noted, and the
    /// plan asks again.
    pub(in crate::sync) async fn learn(
        &mut self,
        job: &Job,
        asked: &Request,
        request: Verified,
        begun: Instant,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let no_list = ListQuery::default();
        let query = match asked {
            Request::List(query) => query,
            _ => &no_list,
        };
        if let (Request::List(query), Answer::Page(page)) = (asked, &answer) {
            let now = Instant::now();
            self.list_age = match self.answer_is_kept {
                true => self.now().wall.since(request.at),
                false => self.answer_age,
            };
            if self.page_size.served(query.limit, page.rows, now) {
                self.ask_for_shorter_pages();
            }
            // Which of two texts is right, the call itself says.
            self.ask_singly(page.doubled.iter().copied());
        }
        match (job, answer) {
            // What it leaves out says nothing.
            (job, Answer::Page(page))
                if job.depends_on_dates() && self.dates.is_refuted_by(page.starts()) =>
            {
                self.learn_loose(request, page).await
            }
            (Job::Identify, Answer::Identity(None))
                if *asked == Request::Identity(Teller::User) =>
            {
                // A self-hosted server has no users to tell it, and says so elsewhere.
                self.teller = Teller::Assistants;
                Ok(())
            }
            (Job::Identify, Answer::Identity(organization)) => {
                if organization.is_none() {
                    self.teller = Teller::User;
                }
                self.learn_identity(request, organization).await?;
                self.identified &= self.following.answered(organization);
                Ok(())
            }
            (Job::Feed, answer) => self.learn_feed(asked, request, begun, answer).await,
            (Job::KeyWitness(_), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.learn_vouched(answer).await
            }
            (Job::Head, Answer::Page(page)) => self.learn_head(query, request, begun, page).await,
            (Job::DateFormat(instant, form), Answer::Page(page)) => {
                // What a page of other calls is refused for is checked already.
                self.note_probe((*instant, *form), !page.calls.is_empty());
                self.learn_loose(request, page).await
            }
            (Job::Range(range), Answer::Page(page)) => {
                self.learn_range(range, query, request, page).await
            }
            (Job::OpenCalls(group), Answer::Page(page)) => {
                self.learn_open(group, query, request, page).await
            }
            (Job::SameInstant(instant), answer) => {
                self.learn_crowd(*instant, request, begun, answer).await
            }
            (Job::Assistants(_), Answer::Assistants(page)) => {
                self.learn_assistants(page).await;
                Ok(())
            }
            (Job::Total, Answer::Count(total)) => {
                self.total = Some(total);
                Ok(())
            }
            (Job::Count(_), Answer::Count(_)) if !self.answer_age.is_zero() => {
                // What was counted a while ago is not held against what is held now.
                self.counting.give_up(Instant::now());
                Ok(())
            }
            (Job::Count(range), Answer::Count(count)) => {
                self.learn_count(range, count).await;
                Ok(())
            }
            (Job::Detail(id, kind), answer) => self.learn_detail(*id, *kind, request, answer).await,
            (Job::Canary(_), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.learn_canary(request, answer).await;
                Ok(())
            }
            (Job::Call(key), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.learn_call(key, request, answer).await;
                Ok(())
            }
            (Job::Review(id), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.learn_review(*id, request, answer).await;
                Ok(())
            }
            (Job::Write(id), answer) => self.learn_written(*id, request, answer).await,
            _ => Err(bad_answer("an answer to another question")),
        }
    }

    async fn learn_assistants(&mut self, page: Option<Vec<(i64, String)>>) {
        let now = self.now();
        self.assistants.listed(page.as_deref(), now.instant);
        let told = page.unwrap_or_default();
        let kept = self
            .writer
            .run(move |writer| writer.keep_assistants(told, now.wall))
            .await;
        if let Err(error) = kept {
            self.health.store_failed(&error, now);
            self.assistants.failed(now.instant);
        }
    }

    /// What is counted is compared with what is held; the plan reads again what differs.
    async fn learn_count(&mut self, range: &RangeInclusive<Timestamp>, upstream: u64) {
        let (from, to) = (*range.start(), *range.end());
        let held = self
            .writer
            .run(move |writer| writer.count_between(from, to))
            .await;
        let unread = self.never_read_within(range).await;
        let now = self.now();
        match held.and_then(|held| Ok(held + unread?)) {
            Ok(held) => {
                if self.counting.is_root(range) && !self.counting.is_whole(range) {
                    self.holds.lacks(held.saturating_sub(upstream));
                    self.judge();
                } else if !self.head_has_total && self.counting.is_whole(range) {
                    self.holds.counted(upstream, held + self.census.suspects);
                    self.judge();
                    if self.holds.is_held() {
                        // Everything is read again, twice.
                        self.counting.give_up(now.instant);
                    }
                }
                let found = self.counting.absorb(
                    range,
                    upstream,
                    held,
                    self.coverage.windows(),
                    now.instant,
                );
                self.wanted.extend(found);
            }
            Err(error) => {
                self.counting.give_up(now.instant);
                self.health.store_failed(&error, now);
            }
        }
    }

    /// How many calls of the range the upstream counts but can't list, and which are not held from
    /// a time when it could.
    pub(in crate::sync) async fn never_read_within(
        &self,
        range: &RangeInclusive<Timestamp>,
    ) -> Result<u64, StoreError> {
        let mut unread = 0;
        for hole in self.troubles.holes_within(range) {
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
