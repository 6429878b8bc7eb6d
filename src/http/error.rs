//! Every answer that is not the resource: one type, one mapping, the upstream's shapes.
//!
//! What went wrong inside the edge goes to the log; the client learns that it is a 500, no more.

use std::error::Error;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde::Serialize;

use super::freshness::Freshness;
use super::json;
use super::params::InvalidInteger;
use crate::store::StoreError;

/// Why a request gets no resource. What it displays is the `detail` that the client reads.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("Authentication required. Provide a valid API key or login session.")]
    Unauthorized,
    #[error("Not Found")]
    UnknownPath,
    #[error("Method Not Allowed")]
    MethodNotAllowed { allow: &'static str },
    #[error("This part of the Burki API is not served by this edge yet; ask the upstream for it")]
    NotServed,
    #[error("{}", problem.message())]
    InvalidCallId {
        problem: InvalidInteger,
        input: String,
    },
    #[error("Call with {name} not found in your organization")]
    NoSuchCall {
        /// `ID 5` or `SID CA1`.
        name: String,
        /// How that is known; `None` where no call can have the name.
        freshness: Option<Freshness>,
    },
    #[error(
        "This edge has no answer that satisfies the request's Cache-Control, which forbids asking \
         the upstream"
    )]
    OnlyIfCached,
    #[error(
        "This edge does not hold the call, and the upstream can't be asked about it now; try again"
    )]
    Unavailable {
        /// In seconds.
        retry_after: u64,
    },
    #[error("Internal Server Error")]
    Store(#[from] StoreError),
    #[error("Internal Server Error")]
    Panicked,
}

/// Entries of the upstream's 422, as the hosted version writes them (without `url`).
#[derive(Serialize)]
struct Invalid<'a> {
    r#type: &'static str,
    loc: [&'static str; 2],
    msg: &'static str,
    input: &'a str,
}

#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

impl InvalidInteger {
    fn kind(self) -> &'static str {
        match self {
            InvalidInteger::Malformed => "int_parsing",
            InvalidInteger::TooLong => "int_parsing_size",
        }
    }

    fn message(self) -> &'static str {
        match self {
            InvalidInteger::Malformed => {
                "Input should be a valid integer, unable to parse string as an integer"
            }
            InvalidInteger::TooLong => {
                "Unable to parse input string as an integer, exceeded maximum size"
            }
        }
    }
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Failure::Unauthorized => StatusCode::UNAUTHORIZED,
            Failure::UnknownPath | Failure::NoSuchCall { .. } => StatusCode::NOT_FOUND,
            Failure::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Failure::NotServed => StatusCode::NOT_IMPLEMENTED,
            Failure::InvalidCallId { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::OnlyIfCached => StatusCode::GATEWAY_TIMEOUT,
            Failure::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Store(_) | Failure::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The header that belongs to the status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Failure::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Failure::MethodNotAllowed { allow } => Some((ALLOW, HeaderValue::from_static(allow))),
            Failure::Unavailable { retry_after } => {
                Some((RETRY_AFTER, HeaderValue::from(*retry_after)))
            }
            _ => None,
        }
    }

    fn body(&self) -> String {
        match self {
            Failure::InvalidCallId { problem, input } => json(&Detail {
                detail: [Invalid {
                    r#type: problem.kind(),
                    loc: ["path", "call_id"],
                    msg: problem.message(),
                    input,
                }],
            }),
            other => json(&Detail {
                detail: other.to_string(),
            }),
        }
    }

    pub fn into_response(self) -> HttpResponse {
        match &self {
            Failure::Store(error) => {
                tracing::error!(error = error as &dyn Error, "the replica could not be read");
            }
            Failure::Panicked => tracing::error!("a request's handler panicked"),
            _ => {}
        }
        let mut response = super::json_response(self.status(), self.body());
        let headers = response.headers_mut();
        match self {
            Failure::NoSuchCall {
                freshness: Some(freshness),
                ..
            } => freshness.write(headers),
            // Some of these statuses may be kept by a cache that is not told otherwise.
            _ => {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
        }
        if let Some((name, value)) = self.header() {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;
    use actix_web::http::header::CONTENT_TYPE;

    use super::*;

    fn body(failure: Failure) -> String {
        let body = failure.into_response().into_body().try_into_bytes();
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_cause_inside_the_edge_is_not_told() {
        let error = StoreError::Foreign("/var/lib/secret.db".into());
        assert_eq!(
            body(Failure::Store(error)),
            r#"{"detail":"Internal Server Error"}"#
        );
    }

    #[test]
    fn an_error_repeats_the_clients_text_escaped_as_the_upstream_escapes_it() {
        let input = "\"\\\u{1}\n\u{7f}é\u{2028}".to_owned();
        let failure = Failure::InvalidCallId {
            problem: InvalidInteger::TooLong,
            input,
        };
        assert_eq!(
            body(failure),
            "{\"detail\":[{\"type\":\"int_parsing_size\",\"loc\":[\"path\",\"call_id\"],\"msg\":\
             \"Unable to parse input string as an integer, exceeded maximum size\",\"input\":\
             \"\\\"\\\\\\u0001\\n\u{7f}é\u{2028}\"}]}"
        );
    }

    #[test]
    fn an_error_is_json_that_no_cache_keeps() {
        let response = Failure::Unavailable { retry_after: 7 }.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let header = |name| response.headers().get(name).unwrap();
        assert_eq!(header(RETRY_AFTER), "7");
        assert_eq!(header(CONTENT_TYPE), "application/json");
        assert_eq!(header(CACHE_CONTROL), "no-store");
    }
}
