//! What was asked of the upstream, for tests that count requests.

use std::collections::VecDeque;

use super::api::ApiRequest;

/// How many requests the log remembers: a demonstration may run for days.
const LOGGED: usize = 100_000;

/// One request the API was asked, in the order they arrived. Control requests are not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// From 1, and not reset by [`Simulator::clear_requests`](super::Simulator::clear_requests).
    pub sequence: u64,
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// None where the connection was closed or left without an answer.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    last: u64,
    requests: VecDeque<Logged>,
}

impl Log {
    pub(super) fn push(&mut self, request: &ApiRequest, status: Option<u16>) {
        self.last += 1;
        if self.requests.len() == LOGGED {
            self.requests.pop_front();
        }
        self.requests.push_back(Logged {
            sequence: self.last,
            method: request.method.clone(),
            target: request.target(),
            status,
        });
    }

    pub(super) fn all(&self) -> Vec<Logged> {
        self.requests.iter().cloned().collect()
    }

    /// How many have this text in their path and query.
    pub(super) fn count(&self, part: &str) -> usize {
        let meant = |logged: &&Logged| logged.target.contains(part);
        self.requests.iter().filter(meant).count()
    }

    pub(super) fn clear(&mut self) {
        self.requests.clear();
    }
}
