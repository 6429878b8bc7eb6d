//! A queue of calls to request by id or SID: those that hints named, and those that left a list.

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
    /// A queue of at most `most` calls; further ones are dropped.
    pub fn new(most: usize) -> CallQueue {
        CallQueue {
            calls: VecDeque::new(),
            most,
        }
    }

    /// Adds a call that is not queued yet.
    pub fn push(&mut self, call: CallKey) {
        if self.calls.len() < self.most && !self.calls.contains(&call) {
            self.calls.push_back(call);
        }
    }

    /// Adds calls by id.
    pub fn push_ids(&mut self, ids: impl IntoIterator<Item = i64>) {
        for id in ids {
            self.push(CallKey::Id(id));
        }
    }

    pub fn contains(&self, call: &CallKey) -> bool {
        self.calls.contains(call)
    }

    /// Removes a call whose request is in flight. Returns whether it was queued.
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
