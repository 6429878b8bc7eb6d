//! Proxied client requests: the plan gives them turn, number and budget, and the proxy sends them.

use std::collections::VecDeque;

use crate::sync::plan::step::Step;
use crate::sync::proxy_permits::PermitReply;

/// At most this many may wait.
const MOST_WAITING: usize = 64;

#[derive(Debug, Default)]
pub struct Proxied {
    /// Longest waiting first.
    waiting: VecDeque<PermitReply>,
}

impl Proxied {
    /// Queues a client, or returns its reply where too many wait already.
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

    /// The client that has waited longest and is still there.
    pub fn take(&mut self) -> Option<PermitReply> {
        self.waiting.retain(|reply| !reply.is_closed());
        self.waiting.pop_front()
    }

    /// Puts a client first again, whose request the budget did not allow.
    pub fn put_back(&mut self, reply: PermitReply) {
        self.waiting.push_front(reply);
    }
}
