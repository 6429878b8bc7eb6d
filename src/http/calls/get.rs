//! One call, by id or by SID: from the replica, or from the upstream if the replica lacks it or the
//! request wants it fresher.
//!
//! The replica is read on the worker's own thread: a prepared lookup costs less than handing it to
//! another.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderMap;

use crate::http::caching::cache_control::Directives;
use crate::http::caching::freshness::Freshness;
use crate::http::caching::pending_header::PENDING;
use crate::http::calls::read_through::resolve;
use crate::http::error::ApiError;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::CallKey;

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
    let mut response = respond::validated(headers, body, call.tag.clone(), freshness);
    if let Some(ids) = found.pending {
        response.headers_mut().insert(PENDING, ids);
    }
    Ok(response)
}
