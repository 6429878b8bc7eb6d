//! Pages from elsewhere (the Fetch standard's CORS protocol): which may read, and what.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, RETRY_AFTER,
};
use actix_web::middleware::Condition;

use super::freshness::CACHE_STATUS;
use super::request_id::X_REQUEST_ID;

/// A browser asks again after this long, in seconds; some never wait longer than this.
const MAX_AGE: usize = 2 * 3600;

/// Lets pages of these origins read, `*` being every one. Where there is none, it does nothing.
///
/// No cookies are spoken of: a token is in the `Authorization` header or nowhere, so that a page
/// can do no more than who holds a token.
pub fn cors(origins: &[String]) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
        ])
        .allowed_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            CACHE_CONTROL,
            IF_NONE_MATCH,
            X_REQUEST_ID,
        ])
        .expose_headers([
            ETAG,
            AGE,
            CACHE_STATUS,
            HeaderName::from_static("burki-edge-coverage"),
            HeaderName::from_static("burki-edge-pending"),
            RETRY_AFTER,
            X_REQUEST_ID,
            CONTENT_DISPOSITION,
        ])
        .max_age(MAX_AGE);
    let cors = match origins.iter().any(|origin| origin == "*") {
        true => cors.allow_any_origin().send_wildcard(),
        false => origins
            .iter()
            .fold(cors, |cors, origin| cors.allowed_origin(origin)),
    };
    Condition::new(!origins.is_empty(), cors)
}
