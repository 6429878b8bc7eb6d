//! Read-through: a resource from the replica, or from the upstream if the replica lacks it or the
//! request wants it fresher. Calls and their details are looked up in this one way.

use std::future::Future;
use std::time::Duration;

use crate::http::caching::cache_control::Directives;
use crate::http::caching::freshness::{Freshness, Origin};
use crate::http::error::{ApiError, RETRY_SOON};
use crate::http::reading::worker::Worker;
use crate::model::{CallKey, Timestamp};
use crate::sync::FetchOutcome;

/// The longest time that a client waits for the upstream.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// What the replica knows of a resource. Ages are in seconds.
pub enum Known<T> {
    Stored(T, u64),
    /// There is none, unless its call is newer than what was read.
    Absent {
        age: u64,
        may_be_new: bool,
    },
    Nothing,
}

/// A resource of one call.
pub trait Resource {
    type Value;

    fn call(&self) -> &CallKey;

    fn look_up(&self) -> Result<Known<Self::Value>, ApiError>;

    /// True if a stored value needs no other reason to be served than what the request demands.
    fn is_current(&self, value: &Self::Value, age: u64) -> bool;

    /// Asks the upstream, which stores what it says.
    fn fetch(&self) -> impl Future<Output = FetchOutcome>;

    /// The value in the upstream's text of the instant `at`, which could not be stored.
    fn unstored(&self, text: &str, at: Timestamp) -> Result<Self::Value, ApiError>;

    /// The failure if there is neither a stored value nor an answer.
    fn unavailable(&self, retry_after: u64) -> ApiError;
}

/// A value that is as fresh as the request demands, or that says how old it is.
pub async fn resolve<R: Resource>(
    worker: &Worker,
    directives: Directives,
    resource: &R,
) -> Result<(R::Value, Freshness), ApiError> {
    let origin = match resource.look_up()? {
        Known::Stored(value, age)
            if directives.accept(age)
                && (directives.only_if_cached || resource.is_current(&value, age)) =>
        {
            return Ok((value, stored(age, worker.origin())));
        }
        // Without `only-if-cached` the upstream is asked: the call may be new.
        Known::Absent { age, .. } if directives.only_if_cached && directives.accept(age) => {
            return Err(ApiError::absent(resource.call(), age, worker.origin()));
        }
        _ if directives.only_if_cached => return Err(ApiError::OnlyIfCached),
        Known::Stored(..) => Origin::Request,
        Known::Absent { .. } | Known::Nothing => Origin::Miss,
    };
    // The replica is read again after the wait, because it may know more by now.
    match in_time(resource.fetch()).await {
        // If the call changed in between, the key may belong to no call.
        FetchOutcome::Found => match resource.look_up()? {
            Known::Stored(value, age) => Ok((value, stored(age, origin))),
            Known::Absent { .. } | Known::Nothing => Err(resource.unavailable(RETRY_SOON)),
        },
        FetchOutcome::Unstored { text, at } => {
            let freshness = Freshness {
                origin,
                age: worker.age(at),
                stored: false,
            };
            Ok((resource.unstored(&text, at)?, freshness))
        }
        FetchOutcome::NotFound => Err(ApiError::absent(resource.call(), 0, origin)),
        FetchOutcome::NotFoundAsOf { age } => Err(ApiError::absent(resource.call(), age, origin)),
        FetchOutcome::Unavailable { retry_after } => match resource.look_up()? {
            Known::Stored(value, age) => Ok((value, stored(age, Origin::ReplicaOffline))),
            Known::Absent {
                age,
                may_be_new: false,
            } => {
                let origin = Origin::ReplicaOffline;
                Err(ApiError::absent(resource.call(), age, origin))
            }
            Known::Absent { .. } | Known::Nothing => Err(resource.unavailable(retry_after)),
        },
        // Only details have this outcome.
        FetchOutcome::NoSuchDetail => Err(ApiError::UnknownPath),
    }
}

fn stored(age: u64, origin: Origin) -> Freshness {
    Freshness {
        origin,
        age,
        stored: true,
    }
}

/// The outcome, if it comes while the client waits.
async fn in_time(answer: impl Future<Output = FetchOutcome>) -> FetchOutcome {
    let in_time = tokio::time::timeout(FETCH_DEADLINE, answer).await;
    in_time.unwrap_or(FetchOutcome::Unavailable {
        retry_after: RETRY_SOON,
    })
}
