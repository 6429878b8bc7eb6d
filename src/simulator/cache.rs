//! A cache between the upstream and its client, which stores answers for a while.

use std::collections::HashMap;
use std::time::Duration;

use super::api::ApiResponse;
use crate::model::Timestamp;

/// The stored answers by request target, each with the instant of its origin.
#[derive(Debug)]
pub struct Cache {
    keep: Duration,
    kept: HashMap<String, (Timestamp, ApiResponse)>,
}

impl Cache {
    /// A cache that gives an answer again for this long.
    pub fn new(keep: Duration) -> Cache {
        Cache {
            keep,
            kept: HashMap::new(),
        }
    }

    /// The answer to `target`: the stored one, or the origin's of now. The second value is the
    /// header `Age` (RFC 9111 section 5.1) in whole seconds; `None` for a new answer.
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
