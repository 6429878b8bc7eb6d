//! `GET /api/v1/calls/{call_id}` and `/sid/{call_sid}`: one call.
//!
//! The replica is read on the worker's own thread: a prepared lookup costs less than handing it to
//! another.

use std::rc::Rc;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderValue};

use crate::http::caching::cache_control::Directives;
use crate::http::caching::call_cache::CachedCall;
use crate::http::caching::pending_header::PENDING;
use crate::http::calls::read_through::{Known, Resource, resolve};
use crate::http::error::{ApiError, RETRY_SOON};
use crate::http::reading::worker::{Lookup, Worker};
use crate::http::respond;
use crate::model::{CallKey, Timestamp};
use crate::sync::FetchOutcome;

/// Answers `GET` and `HEAD`.
pub async fn get(
    worker: &Worker,
    headers: &HeaderMap,
    key: &CallKey,
) -> Result<HttpResponse, ApiError> {
    let call = OneCall { worker, key };
    let ((call, pending), freshness) = resolve(worker, Directives::of(headers), &call).await?;
    let body = call.body.as_bytes().clone();
    let mut response = respond::validated(headers, body, call.tag.clone(), freshness);
    if let Some(ids) = pending {
        response.headers_mut().insert(PENDING, ids);
    }
    Ok(response)
}

/// A call of whatever age, for what belongs to it. A new one may be on its way.
///
/// # Errors
/// A 404 that is older than an `only-if-cached` request accepts is a 504.
pub async fn find(
    worker: &Worker,
    directives: Directives,
    key: &CallKey,
) -> Result<Rc<CachedCall>, ApiError> {
    let call = OneCall { worker, key };
    match resolve(worker, directives.of_any_age(), &call).await {
        Ok(((call, _), _)) => Ok(call),
        Err(ApiError::NoSuchCall {
            freshness: Some(freshness),
            ..
        }) if directives.only_if_cached && !directives.accept(freshness.age) => {
            Err(ApiError::OnlyIfCached)
        }
        Err(failure) => Err(failure),
    }
}

/// A call, by id or SID.
struct OneCall<'a> {
    worker: &'a Worker,
    key: &'a CallKey,
}

impl Resource for OneCall<'_> {
    /// The text, and the ids of the changes that it includes.
    type Value = (Rc<CachedCall>, Option<HeaderValue>);

    fn call(&self) -> &CallKey {
        self.key
    }

    fn look_up(&self) -> Result<Known<Self::Value>, ApiError> {
        Ok(match self.worker.look_up(self.key)? {
            Lookup::Call { call, age, pending } => Known::Stored((call, pending), age),
            Lookup::Absent { age, may_be_new } => Known::Absent { age, may_be_new },
            Lookup::Nothing => Known::Nothing,
        })
    }

    fn is_current(&self, _: &Self::Value, _: u64) -> bool {
        true
    }

    async fn fetch(&self) -> FetchOutcome {
        self.worker.shared().handle.fetch(self.key.clone()).await
    }

    fn unstored(&self, text: &str, at: Timestamp) -> Result<Self::Value, ApiError> {
        // The engine has parsed it as a call already.
        let call = CachedCall::unstored(text, at).map_err(|_| self.unavailable(RETRY_SOON))?;
        Ok(self.worker.overlaid(call))
    }

    fn unavailable(&self, retry_after: u64) -> ApiError {
        ApiError::Unavailable { retry_after }
    }
}
