//! An intermediary between the upstream and who asks, which keeps answers for a while.

use std::collections::HashMap;
use std::time::Duration;

use super::api::ApiResponse;
use crate::model::Timestamp;

/// Answers by what was asked, each with the instant of its origin.
#[derive(Debug)]
pub struct Cache {
    keep: Duration,
    kept: HashMap<String, (Timestamp, ApiResponse)>,
}

impl Cache {
    /// One that gives an answer again for so long.
    pub fn new(keep: Duration) -> Cache {
        Cache {
            keep,
            kept: HashMap::new(),
        }
    }

    /// The answer to `target`: the one that is kept, or what `origin` says now. With it the header
    /// `Age` (RFC 9111 section 5.1), in whole seconds; `None` for one that is new.
    pub fn answer(
        &mut self,
        target: &str,
        now: Timestamp,
        origin: impl FnOnce() -> ApiResponse,
    ) -> (ApiResponse, Option<Duration>) {
        if let Some((at, answer)) = self.kept.get(target)
            && now.since(*at) < self.keep
        {
            let age = Duration::from_secs(now.since(*at).as_secs());
            return (answer.clone(), Some(age));
        }
        let answer = origin();
        if answer.status == 200 {
            self.kept.insert(target.to_owned(), (now, answer.clone()));
        }
        (answer, None)
    }
}
