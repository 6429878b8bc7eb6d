//! One call, by id or by SID: from the replica, and from the upstream where the replica does not
//! have it or the request wants it fresher.
//!
//! The replica is read on the worker's own thread: a prepared lookup costs less than handing it to
//! another.

use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::web::Bytes;

use crate::http::caching::cache_control::Directives;
use crate::http::caching::call_cache::CachedCall;
use crate::http::caching::freshness::{EntityTag, Freshness, Origin};
use crate::http::edge::outbox::PENDING;
use crate::http::error::ApiError;
use crate::http::params;
use crate::http::params::CallId;
use crate::http::params::validation_error::Invalid;
use crate::http::reading::worker::{Lookup, Worker};
use crate::http::respond;
use crate::http::routing::path::Name;
use crate::model::CallKey;
use crate::sync::FetchOutcome;

/// A client waits this long for the upstream, at most.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// A client is told to come back after this long where the engine has no better word, in seconds.
pub const RETRY_AFTER: u64 = 5;

/// The replica does not hold the call, and the upstream gave no answer that can be passed on.
const UNAVAILABLE: ApiError = ApiError::Unavailable {
    retry_after: RETRY_AFTER,
};

/// The call a path names.
pub fn key(name: Name<'_>) -> Result<CallKey, ApiError> {
    match name {
        Name::Id(id) => id_key(id),
        Name::Sid(sid) => sid_key(sid),
    }
}

/// The key in a path's `{call_id}`.
pub fn id_key(text: &str) -> Result<CallKey, ApiError> {
    match params::call_id(text) {
        Ok(CallId::Possible(id)) => Ok(CallKey::Id(id)),
        Ok(CallId::Impossible(id)) => Err(ApiError::NoSuchCall {
            name: format!("ID {id}"),
            freshness: None,
        }),
        Err(problem) => Err(ApiError::Invalid(vec![Invalid {
            place: ["path", "call_id"],
            problem: problem.into(),
            input: text.to_owned(),
        }])),
    }
}

/// The key in a path's `{call_sid}`. The upstream can't be asked for a dot segment, which every
/// HTTP client resolves away, and its database holds no NUL.
pub fn sid_key(text: &str) -> Result<CallKey, ApiError> {
    if matches!(text, "" | "." | "..") || text.contains('\0') {
        return Err(ApiError::NoSuchCall {
            name: format!("SID {text}"),
            freshness: None,
        });
    }
    Ok(CallKey::Sid(text.to_owned()))
}

/// Answers `GET` and `HEAD`.
pub async fn get(
    worker: &Worker,
    headers: &HeaderMap,
    key: &CallKey,
) -> Result<HttpResponse, ApiError> {
    let found = resolve(worker, Directives::of(headers), key).await?;
    let freshness = Freshness {
        origin: found.origin,
        age: found.age,
        stored: found.stored,
    };
    let call = &found.call;
    let body = call.body.as_bytes().clone();
    let mut response = respond(headers, body, call.tag.clone(), freshness);
    if let Some(ids) = found.pending {
        response.headers_mut().insert(PENDING, ids);
    }
    Ok(response)
}

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
            return Err(absent(key, age, worker.origin()));
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
        FetchOutcome::NotFound => Err(absent(key, 0, asked)),
        FetchOutcome::NotFoundThen { age } => Err(absent(key, age, asked)),
        FetchOutcome::Unavailable { retry_after } => match worker.look_up(key)? {
            Lookup::Absent {
                age,
                may_be_new: false,
            } => Err(absent(key, age, Origin::ReplicaOffline)),
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
            retry_after: RETRY_AFTER,
        },
    }
}

/// The text, or that the client has it already.
pub fn respond(
    headers: &HeaderMap,
    body: impl Into<Bytes>,
    tag: EntityTag,
    freshness: Freshness,
) -> HttpResponse {
    let mut response = if tag.is_known_to(headers) {
        HttpResponse::new(StatusCode::NOT_MODIFIED)
    } else {
        respond::json_response(StatusCode::OK, body)
    };
    tag.write(response.headers_mut());
    freshness.write(response.headers_mut());
    response
}

/// The 404 of somebody who knows.
pub fn absent(key: &CallKey, age: u64, origin: Origin) -> ApiError {
    let name = match key {
        CallKey::Id(id) => format!("ID {id}"),
        CallKey::Sid(sid) => format!("SID {sid}"),
    };
    let freshness = Some(Freshness {
        origin,
        age,
        stored: false,
    });
    ApiError::NoSuchCall { name, freshness }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("..")]
    #[case("a\0b")]
    fn a_sid_that_cannot_be_asked_for_is_nobodys(#[case] sid: &str) {
        assert!(matches!(
            sid_key(sid),
            Err(ApiError::NoSuchCall {
                freshness: None,
                ..
            })
        ));
    }

    #[test]
    fn any_other_sid_is_taken_as_it_is() {
        for sid in ["CA1", "ca1", "v3:x", "...", " ", "é/b"] {
            assert_eq!(sid_key(sid).unwrap(), CallKey::Sid(sid.to_owned()));
        }
    }
}
