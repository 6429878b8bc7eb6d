//! Responses with a JSON body: a resource's, and the edge's own.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use serde::Serialize;

use crate::http::caching::freshness::{EntityTag, Freshness};

pub fn json_response(status: StatusCode, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body.into()).map_into_boxed_body();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer about the edge itself. It is true now only, so no cache may store it.
pub fn own_response(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    own_text(status, json(body))
}

/// The same, of a text that is JSON already.
pub fn own_text(status: StatusCode, body: String) -> HttpResponse {
    let mut response = json_response(status, body);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub fn json(value: &impl Serialize) -> String {
    // These are structs of plain values, which always serialize.
    serde_json::to_string(value).unwrap_or_default()
}

/// The text with its validator, or a 304 if the client has it already.
pub fn validated(
    headers: &HeaderMap,
    body: impl Into<Bytes>,
    tag: EntityTag,
    freshness: Freshness,
) -> HttpResponse {
    let mut response = if tag.is_known_to(headers) {
        HttpResponse::new(StatusCode::NOT_MODIFIED)
    } else {
        json_response(StatusCode::OK, body)
    };
    tag.write(response.headers_mut());
    freshness.write(response.headers_mut());
    response
}
