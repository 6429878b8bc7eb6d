//! A call out of the replica, or of the upstream where the replica does not hold it or the request
//! wants it fresher: the one way by which any resource of a call is looked for.

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

/// A client waits this long for the upstream, at most.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// The replica does not hold the call, and the upstream gave no answer that can be passed on.
const UNAVAILABLE: ApiError = ApiError::Unavailable {
    retry_after: RETRY_SOON,
};

/// A call, and what is known of it.
pub struct Resolved {
    pub call: Rc<CachedCall>,
    /// The changes that are laid over its text.
    pub pending: Option<HeaderValue>,
    /// In seconds.
    pub age: u64,
    pub origin: Origin,
    /// The replica has this text.
    pub stored: bool,
}

impl Resolved {
    /// What the replica has, or `failure` where it does not hold the call.
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

/// The call: what a request demands of its freshness is asked for.
pub async fn resolve(
    worker: &Worker,
    directives: Directives,
    key: &CallKey,
) -> Result<Resolved, ApiError> {
    let asked = match worker.look_up(key)? {
        known @ Lookup::Call { age, .. } if directives.accept(age) => {
            return Resolved::held(known, worker.origin(), UNAVAILABLE);
        }
        // While the upstream can be asked, its word is better: the call may be a new one.
        Lookup::Absent { age, .. } if directives.only_if_cached && directives.accept(age) => {
            return Err(ApiError::absent(key, age, worker.origin()));
        }
        _ if directives.only_if_cached => return Err(ApiError::OnlyIfCached),
        Lookup::Call { .. } => Origin::Request,
        Lookup::Absent { .. } | Lookup::Nothing => Origin::Miss,
    };
    // Looked up again after the wait: the replica may know more by now.
    match in_time(worker.shared().handle.fetch(key.clone())).await {
        // Changed in between, the key may not be its any more.
        FetchOutcome::Found => Resolved::held(worker.look_up(key)?, asked, UNAVAILABLE),
        FetchOutcome::Unstored { text, at } => {
            // The engine has read it as a call already.
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
        FetchOutcome::NotFoundThen { age } => Err(ApiError::absent(key, age, asked)),
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
        // Said of details alone.
        FetchOutcome::NoSuchDetail => Err(ApiError::UnknownPath),
    }
}

/// What the upstream said, if it did so while the client waits.
pub async fn in_time(answer: impl Future<Output = FetchOutcome>) -> FetchOutcome {
    match tokio::time::timeout(FETCH_DEADLINE, answer).await {
        Ok(fetched) => fetched,
        Err(_) => FetchOutcome::Unavailable {
            retry_after: RETRY_SOON,
        },
    }
}
