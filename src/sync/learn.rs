//! What an answer means for the replica, job by job.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use super::coverage::{HeadRead, NEVER};
use super::crowd::{Crowd, Progress};
use super::engine::{Engine, Failure, SyncError};
use super::handle::Fetched;
use super::plan::{self, Job};
use crate::model::{CallKey, Timestamp, Verified, Window};
use crate::store::{Complete, Learned, OpenCalls};
use crate::upstream::{Answer, CallSource, ErrorKind, PAGE_LIMIT, Page, UpstreamError};

const INSTANT: Duration = Duration::from_micros(1);

/// A list that leaves out many calls is believed if it still does after this long.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// How far down a page tells everything.
enum Reach {
    /// To the end of what was asked for.
    Whole,
    /// To just above this instant: the page may have cut it in two.
    Above(Timestamp),
    /// Nowhere: it holds nothing but calls without a start.
    Nowhere,
}

fn reach(page: &Page) -> Reach {
    let rows = page.calls.len();
    // A full page never counts as the last one, whatever the total says: the two are not counted
    // at the same time.
    if rows < PAGE_LIMIT && page.total.is_none_or(|total| total <= rows as u64) {
        return Reach::Whole;
    }
    match page.calls.last().and_then(|call| call.started_at) {
        Some(oldest) => Reach::Above(oldest),
        None => Reach::Nowhere,
    }
}

fn bad_answer(cause: impl Into<String>) -> Failure {
    Failure::Upstream(UpstreamError::new(ErrorKind::BadAnswer).caused_by(cause.into()))
}

impl<S: CallSource> Engine<S> {
    /// Takes in one answer. A write that fails is not the upstream's failure: it is noted, and the
    /// plan asks again.
    pub(super) async fn learn(
        &mut self,
        job: &Job,
        request: Verified,
        begun: Instant,
        answer: Answer,
    ) -> Result<(), Failure> {
        match (job, answer) {
            (Job::Identify, Answer::Identity(organization)) => {
                self.learn_identity(organization).await
            }
            (Job::Head, Answer::Page(page)) => self.learn_head(request, begun, page).await,
            (Job::Fill(range), Answer::Page(page)) => self.learn_range(range, request, page).await,
            (Job::Follow(group), Answer::Page(page)) => self.learn_open(group, request, page).await,
            (Job::Crowd(instant), answer) => self.learn_crowd(*instant, request, answer).await,
            (Job::Total, Answer::Count(total)) => {
                self.total = Some(total);
                Ok(())
            }
            (Job::Point(key), answer @ (Answer::Call(_) | Answer::NotFound)) => {
                self.learn_call(key, request, answer).await;
                Ok(())
            }
            _ => Err(bad_answer("an answer to another question")),
        }
    }

    /// Nothing is stored before it is known whose calls they are.
    async fn learn_identity(&mut self, organization: Option<i64>) -> Result<(), Failure> {
        match (organization, self.organization_id) {
            (Some(organization), _) => {
                let stamped = self
                    .writer
                    .run(move |writer| writer.identify(organization))
                    .await;
                stamped.map_err(|error| Failure::Fatal(SyncError::Refused(error)))?;
                self.organization_id = Some(organization);
            }
            (None, Some(_)) => {
                return Err(bad_answer(
                    "the server used to say whose key this is, and does not",
                ));
            }
            (None, None) => {}
        }
        self.identified = true;
        Ok(())
    }

    async fn learn_head(
        &mut self,
        request: Verified,
        begun: Instant,
        page: Page,
    ) -> Result<(), Failure> {
        let from = match reach(&page) {
            Reach::Whole => Timestamp::MIN,
            Reach::Above(oldest) => oldest + INSTANT,
            Reach::Nowhere if page.calls.is_empty() => {
                return Err(bad_answer("an empty page of a list that is not empty"));
            }
            Reach::Nowhere => {
                // They are read by count, as a crowd; the head goes on below them.
                self.ranged_head = true;
                let learned = Learned {
                    calls: page.calls,
                    ..self.learned(request)
                };
                self.commit(learned, None).await;
                return Ok(());
            }
        };
        let starts: Vec<_> = page
            .calls
            .iter()
            .filter_map(|call| call.started_at)
            .collect();
        let without_start = page.calls.len() - starts.len();
        let head = HeadRead {
            from,
            starts: starts.into_iter().filter(|start| *start >= from).collect(),
            without_start: (!self.ranged_head).then_some(without_start),
            verified: request,
        };
        if !self.ranged_head {
            self.total = page.total.or(self.total);
        }
        let complete = Complete {
            started: Some(from..=Timestamp::MAX),
            without_start: head.without_start.is_some(),
            listed: page.calls.iter().map(|call| call.id).collect(),
            believed: self
                .doubted_since
                .is_some_and(|since| begun - since >= LONG_ENOUGH),
        };
        let mut coverage = (*self.coverage).clone();
        coverage.insert_head(head);
        let learned = Learned {
            calls: page.calls,
            complete: Some(complete),
            ..self.learned(request)
        };
        let Some(merged) = self.commit(learned, Some(coverage)).await else {
            return Ok(());
        };
        if merged.unbelieved > 0 {
            self.doubted_since.get_or_insert(begun);
            let calls = merged.unbelieved;
            return Err(bad_answer(format!(
                "the list leaves out {calls} calls that are held"
            )));
        }
        self.doubted_since = None;
        self.head_at = Some(begun);
        // They leave too little of the page to the newest: the next head is read below them.
        self.ranged_head |= from > Timestamp::MIN && without_start > PAGE_LIMIT / 2;
        self.follow = match from {
            Timestamp::MIN => Vec::new(),
            from => self.open_calls_until(from - INSTANT).await,
        };
        Ok(())
    }

    async fn learn_range(
        &mut self,
        range: &RangeInclusive<Timestamp>,
        request: Verified,
        page: Page,
    ) -> Result<(), Failure> {
        let (start, end) = (*range.start(), *range.end());
        let from = match reach(&page) {
            Reach::Whole => Some(start),
            Reach::Above(oldest) if oldest < end => {
                // The next page is asked for while this one is written.
                self.read_on(start..=oldest);
                Some(oldest + INSTANT)
            }
            Reach::Above(_) => None,
            Reach::Nowhere => return Err(bad_answer("an empty page of a range that is not empty")),
        };
        let mut coverage = (*self.coverage).clone();
        match from {
            Some(from) => {
                let within = page
                    .calls
                    .iter()
                    .filter(|call| call.started_at >= Some(from));
                let rows = within.count();
                let window = Window {
                    from,
                    to: end,
                    verified: request,
                    rows,
                    open_ended: false,
                };
                coverage.insert(window);
            }
            // No bound can part calls that start at the same instant.
            None => {
                self.crowds.entry(end).or_insert_with(|| Crowd::new(end));
            }
        }
        let learned = Learned {
            calls: page.calls,
            ..self.learned(request)
        };
        self.commit(learned, Some(coverage)).await;
        Ok(())
    }

    fn read_on(&mut self, range: RangeInclusive<Timestamp>) {
        let job = Job::Fill(range);
        let request = plan::request(&job, self.ranged_head, &self.crowds);
        if let Some(request) =
            request.filter(|_| self.clients.asked().is_empty() && !self.is_paused())
        {
            // Without room for it now, the plan finds the gap by itself.
            let _ = self.send(job, request, Instant::now());
        }
    }

    /// Calls of the group that are not on the list any more have ended, or are gone: each is asked
    /// for by id.
    async fn learn_open(
        &mut self,
        group: &OpenCalls,
        request: Verified,
        page: Page,
    ) -> Result<(), Failure> {
        let listed: HashSet<i64> = page.calls.iter().map(|call| call.id).collect();
        let read = match reach(&page) {
            Reach::Whole => group.clone(),
            Reach::Above(oldest) if oldest < group.newest => {
                self.follow.push(OpenCalls {
                    newest: oldest,
                    ..group.clone()
                });
                OpenCalls {
                    oldest: oldest + INSTANT,
                    ..group.clone()
                }
            }
            // More than a page of them at one instant: which are missing can't be told.
            Reach::Above(_) | Reach::Nowhere => return Ok(()),
        };
        let learned = Learned {
            calls: page.calls,
            ..self.learned(request)
        };
        self.commit(learned, None).await;
        match self
            .writer
            .run(move |writer| writer.open_call_ids(&read))
            .await
        {
            Ok(held) => {
                let gone = held
                    .into_iter()
                    .filter(|id| !listed.contains(id))
                    .map(CallKey::Id);
                let new = gone
                    .filter(|key| !self.vanished.contains(key))
                    .collect::<Vec<_>>();
                self.vanished.extend(new);
            }
            Err(error) => {
                let now = self.now();
                self.health.store_failed(&error, now);
            }
        }
        Ok(())
    }

    async fn learn_call(&mut self, key: &CallKey, request: Verified, answer: Answer) {
        let learned = Learned {
            singly: true,
            ..self.learned(request)
        };
        let (learned, fetched) = match answer {
            Answer::Call(call) => (
                Learned {
                    calls: vec![*call],
                    ..learned
                },
                Fetched::Found,
            ),
            _ => (
                Learned {
                    absent: Some(key.clone()),
                    ..learned
                },
                Fetched::NotFound,
            ),
        };
        let stored = self.commit(learned, None).await.is_some();
        self.clients
            .tell(key, if stored { fetched } else { self.unavailable() });
    }

    async fn learn_crowd(
        &mut self,
        instant: Timestamp,
        request: Verified,
        answer: Answer,
    ) -> Result<(), Failure> {
        let Some(mut crowd) = self.crowds.remove(&instant) else {
            return Ok(());
        };
        let progress = crowd.absorb(request, &answer);
        let calls = match answer {
            Answer::Page(page) => page.calls,
            _ => Vec::new(),
        };
        let learned = Learned {
            calls,
            ..self.learned(request)
        };
        match progress {
            Progress::More => {
                // What could not be stored was not seen: without the commit it begins anew.
                if self.commit(learned, None).await.is_some() {
                    self.crowds.insert(instant, crowd);
                }
            }
            Progress::Read(window) => {
                if instant == NEVER {
                    // Read on and on, they cost one request a poll.
                    let rest = self.settings.poll_interval * crowd.requests();
                    self.without_start_due = Some(Instant::now() + rest);
                }
                let complete = Complete {
                    started: (instant != NEVER).then_some(instant..=instant),
                    without_start: instant == NEVER,
                    listed: crowd.into_seen(),
                    // Passes agreed with the count, and with one another.
                    believed: true,
                };
                let learned = Learned {
                    request: window.verified,
                    complete: Some(complete),
                    ..learned
                };
                let mut coverage = (*self.coverage).clone();
                coverage.insert(window);
                self.commit(learned, Some(coverage)).await;
            }
            Progress::GivenUp => {
                return Err(bad_answer(
                    "the count of an instant's calls disagrees with the list",
                ));
            }
        }
        Ok(())
    }

    async fn open_calls_until(&mut self, until: Timestamp) -> Vec<OpenCalls> {
        match self
            .writer
            .run(move |writer| writer.open_calls(until))
            .await
        {
            Ok(groups) => groups,
            Err(error) => {
                let now = self.now();
                self.health.store_failed(&error, now);
                Vec::new()
            }
        }
    }
}
