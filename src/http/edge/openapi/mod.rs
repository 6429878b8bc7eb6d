//! `/openapi.json` and `/docs`: what can be requested. The document is the file beside this one, and
//! the page is rendered from it, so both work offline.

mod page;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::Value;

const FILE: &str = include_str!("openapi.json");

/// The file, parsed. A test reads it too, so it is never the null of a file that is not JSON.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(FILE).unwrap_or_default());

/// What is served: the document without the white space of the file, which is about half of it.
static JSON: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| page::render(&DOCUMENT, FILE));

/// Answers `GET /openapi.json`.
pub fn get() -> HttpResponse {
    fixed("application/json", &JSON)
}

/// Answers `GET /docs`.
pub fn get_page() -> HttpResponse {
    fixed("text/html; charset=utf-8", &PAGE)
}

/// The same for as long as the program runs. It says nothing of the calls.
fn fixed(media_type: &'static str, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, text).map_into_boxed_body();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests;
