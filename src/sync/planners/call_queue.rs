//! Calls that are asked for by id or SID, one after the other: those that hints named, and those
//! that left a list.

use std::collections::VecDeque;

use crate::model::CallKey;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

#[derive(Debug)]
pub struct CallQueue {
    /// Longest waiting first.
    calls: VecDeque<CallKey>,
    most: usize,
}

impl CallQueue {
    /// Holds `most` calls; further ones are dropped.
    pub fn new(most: usize) -> CallQueue {
        CallQueue {
            calls: VecDeque::new(),
            most,
        }
    }

    /// Adds a call that is not in the queue.
    pub fn push(&mut self, call: CallKey) {
        if self.calls.len() < self.most && !self.calls.contains(&call) {
            self.calls.push_back(call);
        }
    }

    /// The same for calls of these ids.
    pub fn push_ids(&mut self, ids: impl IntoIterator<Item = i64>) {
        for id in ids {
            self.push(CallKey::Id(id));
        }
    }

    pub fn contains(&self, call: &CallKey) -> bool {
        self.calls.contains(call)
    }

    /// The request for this call is in flight. Returns whether it was in the queue.
    pub fn sent(&mut self, call: &CallKey) -> bool {
        let before = self.calls.len();
        self.calls.retain(|queued| queued != call);
        self.calls.len() < before
    }

    pub fn next(&self, context: &Context<'_>) -> Step {
        let mut jobs = self.calls.iter().cloned().map(Job::Call);
        Step::send(jobs.find_map(|job| context.idle(job)))
    }
}
