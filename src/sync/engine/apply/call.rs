//! Answers about single calls, and lists of open calls.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Call, CallKey, Verified};
use crate::store::{Observation, OpenCalls};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::INSTANT;
use crate::sync::handle::messages::FetchOutcome;
use crate::sync::handle::messages::Miss;
use crate::sync::planners::page_extent::Reach;
use crate::sync::proxy_permits::Permit;
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource, ListQuery, Page};

impl<S: CallSource> Engine<S> {
    /// Stores a list of open calls, and has each stored call of the group requested by id that it
    /// lacks.
    pub(in crate::sync) async fn apply_open(
        &mut self,
        group: &OpenCalls,
        query: &ListQuery,
        stamp: Verified,
        page: Page,
    ) -> Result<(), ApplyError> {
        let listed: HashSet<i64> = page.calls.iter().map(|call| call.id).collect();
        let read = match self.planners.page_size.reach(query, &page) {
            Reach::Whole => group.clone(),
            Reach::Above(oldest) if oldest < group.newest => {
                self.planners.open_calls.groups.push(OpenCalls {
                    newest: oldest,
                    ..group.clone()
                });
                OpenCalls {
                    oldest: oldest + INSTANT,
                    ..group.clone()
                }
            }
            // More than a page of them start at one instant, so which are missing is unknown.
            Reach::Above(_) | Reach::Nowhere => return Ok(()),
        };
        let learned = Observation {
            calls: page.calls,
            ..self.learned(stamp)
        };
        self.commit(learned, None).await;
        match self
            .writer
            .run(move |writer| writer.open_call_ids(&read))
            .await
        {
            Ok(held) => {
                let gone = held.into_iter().filter(|id| !listed.contains(id));
                self.planners.vanished.push_ids(gone);
            }
            Err(error) => {
                self.store_failed(&error);
            }
        }
        Ok(())
    }

    /// Stores calls of an answer that was passed on to a client. They are the organization's as
    /// long as the client's key is the upstream's, which the caller checks.
    pub(in crate::sync) async fn apply_passed(
        &mut self,
        permit: &Permit,
        calls: Vec<Call>,
    ) -> bool {
        if !self.planners.identity.is_known || !self.in_flight.knows(permit) {
            return false;
        }
        let learned = Observation {
            calls,
            ..self.learned(permit.request)
        };
        self.commit(learned, None).await.is_some()
    }

    /// Stores a call as a proxied change left it. Requests in flight may have read it before the
    /// change, so the answer gets a number above theirs. Those that read it after the change do not
    /// count then either, so the call is read once more.
    pub(in crate::sync) async fn apply_changed(&mut self, permit: &Permit, call: Call) -> bool {
        if !self.planners.identity.is_known || !self.in_flight.knows(permit) {
            return false;
        }
        let stamp = Verified {
            seq: self.in_flight.number(),
            ..permit.request
        };
        let key = CallKey::Id(call.id);
        let learned = Observation {
            singly: true,
            calls: vec![call],
            ..self.learned(stamp)
        };
        self.planners.hints.push(key);
        self.commit(learned, None).await.is_some()
    }

    pub(in crate::sync) async fn apply_call(
        &mut self,
        key: &CallKey,
        stamp: Verified,
        answer: Answer,
    ) {
        let learned = Observation {
            singly: true,
            ..self.learned(stamp)
        };
        let (learned, stored, unstored) = match answer {
            Answer::Call(call) => {
                self.planners.deletion_proof.found(call.id);
                let text = Arc::from(&*call.body);
                let learned = Observation {
                    calls: vec![*call],
                    ..learned
                };
                let at = stamp.at;
                (
                    learned,
                    FetchOutcome::Found,
                    FetchOutcome::Unstored { text, at },
                )
            }
            _ => {
                if let CallKey::Id(id) = key {
                    self.planners.deletion_proof.denied(*id, stamp);
                }
                let learned = Observation {
                    absent: Some(key.clone()),
                    ..learned
                };
                (learned, self.not_found(), self.not_found())
            }
        };
        let fetched = match self.commit(learned, None).await {
            Some(_) => stored,
            None => unstored,
        };
        let wanted = Miss::Call(key.clone());
        self.planners.misses.tell(&wanted, &fetched);
        self.judge();
    }

    /// Takes in a canary. A missing one proves nothing about itself: the list does.
    pub(in crate::sync) async fn apply_canary(&mut self, stamp: Verified, answer: Answer) {
        match answer {
            Answer::Call(call) => {
                let learned = Observation {
                    calls: vec![*call],
                    ..self.learned(stamp)
                };
                if self.commit(learned, None).await.is_some() {
                    self.planners.deletion_proof.canary_found(stamp);
                    self.planners.deletion_guard.witness(stamp.seq);
                }
            }
            _ => self
                .planners
                .deletion_proof
                .canary_missing(self.now().instant),
        }
    }
}
