//! Read-through: a call from the replica, or from the upstream if the replica lacks it or the
//! request wants it fresher. Every resource of a call is looked up in this way.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::HeaderValue;

use crate::http::caching::cache_control::Directives;
use crate::http::caching::call_cache::CachedCall;
use crate::http::caching::freshness::Origin;
use crate::http::error::{ApiError, RETRY_SOON};
use crate::http::reading::worker::{Lookup, Worker};
use crate::model::CallKey;
use crate::sync::FetchOutcome;

/// The longest time that a client waits for the upstream.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// The replica does not have the call, and the upstream gave no answer that can be passed on.
const UNAVAILABLE: ApiError = ApiError::Unavailable {
    retry_after: RETRY_SOON,
};

/// A call, and where it comes from.
pub struct Resolved {
    pub call: Rc<CachedCall>,
    /// The ids of the changes that its text includes.
    pub pending: Option<HeaderValue>,
    /// In seconds.
    pub age: u64,
    pub origin: Origin,
    /// True if the replica has this text.
    pub stored: bool,
}

impl Resolved {
    /// The replica's call, or `failure` if it has none.
    fn held(known: Lookup, origin: Origin, failure: ApiError) -> Result<Resolved, ApiError> {
        match known {
            Lookup::Call { call, age, pending } => Ok(Resolved {
                call,
                pending,
                age,
                origin,
                stored: true,
            }),
            Lookup::Absent { .. } | Lookup::Nothing => Err(failure),
        }
    }
}

/// Looks up a call that is as fresh as the request demands.
pub async fn resolve(
    worker: &Worker,
    directives: Directives,
    key: &CallKey,
) -> Result<Resolved, ApiError> {
    let asked = match worker.look_up(key)? {
        known @ Lookup::Call { age, .. } if directives.accept(age) => {
            return Resolved::held(known, worker.origin(), UNAVAILABLE);
        }
        // Without `only-if-cached` the upstream is asked: the call may be new.
        Lookup::Absent { age, .. } if directives.only_if_cached && directives.accept(age) => {
            return Err(ApiError::absent(key, age, worker.origin()));
        }
        _ if directives.only_if_cached => return Err(ApiError::OnlyIfCached),
        Lookup::Call { .. } => Origin::Request,
        Lookup::Absent { .. } | Lookup::Nothing => Origin::Miss,
    };
    // The replica is read again after the wait, because it may know more by now.
    match in_time(worker.shared().handle.fetch(key.clone())).await {
        // If the call changed in between, the key may belong to no call.
        FetchOutcome::Found => Resolved::held(worker.look_up(key)?, asked, UNAVAILABLE),
        FetchOutcome::Unstored { text, at } => {
            // The engine has parsed it as a call already.
            let call = CachedCall::unstored(&text, at).map_err(|_| UNAVAILABLE)?;
            let (call, pending) = worker.overlaid(call);
            Ok(Resolved {
                call,
                pending,
                age: worker.age(at),
                origin: asked,
                stored: false,
            })
        }
        FetchOutcome::NotFound => Err(ApiError::absent(key, 0, asked)),
        FetchOutcome::NotFoundAsOf { age } => Err(ApiError::absent(key, age, asked)),
        FetchOutcome::Unavailable { retry_after } => match worker.look_up(key)? {
            Lookup::Absent {
                age,
                may_be_new: false,
            } => Err(ApiError::absent(key, age, Origin::ReplicaOffline)),
            known => {
                let unavailable = ApiError::Unavailable { retry_after };
                Resolved::held(known, Origin::ReplicaOffline, unavailable)
            }
        },
        // Only details have this outcome.
        FetchOutcome::NoSuchDetail => Err(ApiError::UnknownPath),
    }
}

/// Whether there is such a call, of whatever age its text is. A new one may be on its way.
pub async fn exists(
    worker: &Worker,
    directives: Directives,
    key: &CallKey,
) -> Result<(), ApiError> {
    match resolve(worker, directives.of_any_age(), key).await {
        Ok(_) => Ok(()),
        Err(ApiError::NoSuchCall {
            freshness: Some(freshness),
            ..
        }) if directives.only_if_cached && !directives.accept(freshness.age) => {
            Err(ApiError::OnlyIfCached)
        }
        Err(failure) => Err(failure),
    }
}

/// The outcome, if it comes while the client waits.
pub async fn in_time(answer: impl Future<Output = FetchOutcome>) -> FetchOutcome {
    match tokio::time::timeout(FETCH_DEADLINE, answer).await {
        Ok(fetched) => fetched,
        Err(_) => FetchOutcome::Unavailable {
            retry_after: RETRY_SOON,
        },
    }
}
