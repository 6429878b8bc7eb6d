//! Every answer that is not the resource: one type, one mapping, the upstream's shapes.
//!
//! What went wrong inside the edge goes to the log; the client learns that it is a 500, no more.

use std::borrow::Cow;
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
    /// Of at least one parameter.
    #[error("Unprocessable Content")]
    Invalid(Vec<Invalid>),
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
    #[error("This edge is busy with other long reads; try again")]
    Busy {
        /// In seconds.
        retry_after: u64,
    },
    #[error("Internal Server Error")]
    Store(#[from] StoreError),
    #[error("Internal Server Error")]
    Panicked,
}

/// A parameter that can't be read.
#[derive(Debug)]
pub struct Invalid {
    /// `["path", "call_id"]`
    pub place: [&'static str; 2],
    pub problem: InvalidInteger,
    pub input: String,
}

/// An entry of the upstream's 422, as the hosted version writes it (without `url`).
#[derive(Serialize)]
struct Entry<'a> {
    r#type: &'static str,
    loc: [&'static str; 2],
    msg: Cow<'static, str>,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Bound>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Bound {
    Ge(i64),
    Le(i64),
}

#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

impl Invalid {
    fn entry(&self) -> Entry<'_> {
        let (kind, msg, ctx): (_, Cow<'static, str>, _) = match self.problem {
            InvalidInteger::Malformed => (
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer".into(),
                None,
            ),
            InvalidInteger::TooLong => (
                "int_parsing_size",
                "Unable to parse input string as an integer, exceeded maximum size".into(),
                None,
            ),
            InvalidInteger::Below(least) => (
                "greater_than_equal",
                format!("Input should be greater than or equal to {least}").into(),
                Some(Bound::Ge(least)),
            ),
            InvalidInteger::Above(most) => (
                "less_than_equal",
                format!("Input should be less than or equal to {most}").into(),
                Some(Bound::Le(most)),
            ),
        };
        Entry {
            r#type: kind,
            loc: self.place,
            msg,
            input: &self.input,
            ctx,
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
            Failure::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::OnlyIfCached => StatusCode::GATEWAY_TIMEOUT,
            Failure::Unavailable { .. } | Failure::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Store(_) | Failure::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The header that belongs to the status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Failure::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Failure::MethodNotAllowed { allow } => Some((ALLOW, HeaderValue::from_static(allow))),
            Failure::Unavailable { retry_after } | Failure::Busy { retry_after } => {
                Some((RETRY_AFTER, HeaderValue::from(*retry_after)))
            }
            _ => None,
        }
    }

    fn body(&self) -> String {
        match self {
            Failure::Invalid(problems) => json(&Detail {
                detail: problems.iter().map(Invalid::entry).collect::<Vec<_>>(),
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
        let failure = Failure::Invalid(vec![Invalid {
            place: ["path", "call_id"],
            problem: InvalidInteger::TooLong,
            input,
        }]);
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
