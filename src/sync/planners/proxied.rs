//! Client requests that the proxy passes on: they take their turn, their number and their budget from
//! the plan, and send themselves.

use std::collections::VecDeque;

use crate::sync::plan::step::Step;
use crate::sync::proxy_permits::PermitReply;

/// This many may wait.
const MOST_WAITING: usize = 64;

#[derive(Debug, Default)]
pub struct Proxied {
    /// Longest waiting first.
    waiting: VecDeque<PermitReply>,
}

impl Proxied {
    /// Returns the reply where too many wait already.
    pub fn wait(&mut self, reply: PermitReply) -> Result<(), PermitReply> {
        if self.waiting.len() >= MOST_WAITING {
            return Err(reply);
        }
        self.waiting.push_back(reply);
        Ok(())
    }

    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn next(&self) -> Step {
        match self.is_waiting() {
            true => Step::Permit,
            false => Step::Nothing,
        }
    }

    /// The one that has waited longest and is still there.
    pub fn take(&mut self) -> Option<PermitReply> {
        self.waiting.retain(|reply| !reply.is_closed());
        self.waiting.pop_front()
    }

    /// It goes first again: the budget did not allow it.
    pub fn put_back(&mut self, reply: PermitReply) {
        self.waiting.push_front(reply);
    }
}
