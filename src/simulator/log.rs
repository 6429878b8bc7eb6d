//! The requests that the simulated upstream received, for tests that count them.

use std::collections::VecDeque;

use super::api::ApiRequest;

/// How many requests the log stores: a demonstration may run for days.
const LOGGED: usize = 100_000;

/// One request to the API, in the order of arrival. Control requests are not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// From 1 on, not reset by [`Simulator::clear_requests`](super::Simulator::clear_requests).
    pub sequence: u64,
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// `None` if the connection was closed or left without an answer.
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

    /// How many requests have this text in their path and query.
    pub(super) fn count(&self, part: &str) -> usize {
        let meant = |logged: &&Logged| logged.target.contains(part);
        self.requests.iter().filter(meant).count()
    }

    pub(super) fn clear(&mut self) {
        self.requests.clear();
    }
}
