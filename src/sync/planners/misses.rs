//! Misses: clients that wait for a call or a detail. Those that want the same share one request.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use crate::sync::handle::messages::{FetchOutcome, Miss};
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

/// At most this many misses may wait to be requested. At the default budget the last of them would
/// wait for longer than any client does.
const MOST_ASKED: usize = 256;

#[derive(Default)]
pub struct Misses {
    /// Not sent yet, longest waiting first.
    asked: VecDeque<Miss>,
    waiting: HashMap<Miss, Vec<oneshot::Sender<FetchOutcome>>>,
}

impl Misses {
    pub fn next(&self, context: &Context<'_>) -> Step {
        let mut jobs = self.asked.iter().map(Job::for_client);
        Step::send(jobs.find_map(|job| context.idle(job)))
    }

    /// Whether no client waits for a request that is not in flight.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Adds a client, which gets `unavailable` if too many wait for other requests already.
    pub fn wait(
        &mut self,
        key: Miss,
        reply: oneshot::Sender<FetchOutcome>,
        unavailable: FetchOutcome,
    ) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.push(reply);
        } else if self.asked.len() < MOST_ASKED {
            self.asked.push_back(key.clone());
            self.waiting.insert(key, vec![reply]);
        } else {
            let _ = reply.send(unavailable);
        }
    }

    /// Drops what was not sent and no client waits for any more: it would only spend budget.
    pub fn forget_gone(&mut self) {
        self.asked.retain(|key| {
            let waiting = self
                .waiting
                .get(key)
                .is_some_and(|waiting| waiting.iter().any(|reply| !reply.is_closed()));
            if !waiting {
                self.waiting.remove(key);
            }
            waiting
        });
    }

    /// Notes that the request for this is in flight. Returns whether a client had asked for it.
    pub fn sent(&mut self, key: &Miss) -> bool {
        let before = self.asked.len();
        self.asked.retain(|asked| asked != key);
        self.asked.len() < before
    }

    /// Whether a client waits for this.
    pub fn wait_for(&self, key: &Miss) -> bool {
        self.waiting.contains_key(key)
    }

    /// Answers every client that waits for this.
    pub fn tell(&mut self, key: &Miss, fetched: &FetchOutcome) {
        for reply in self.waiting.remove(key).into_iter().flatten() {
            // A send fails only where the client has gone.
            let _ = reply.send(fetched.clone());
        }
    }

    /// Answers every client whose request was not sent.
    pub fn dismiss(&mut self, fetched: &FetchOutcome) {
        for key in std::mem::take(&mut self.asked) {
            self.tell(&key, fetched);
        }
    }
}
