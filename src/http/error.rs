//! Answers without a resource: one error type, mapped once, in the upstream's shapes.
//!
//! The cause of a fault inside the edge goes to the log; the client gets a bare 500.

use std::error::Error;
use std::io;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde::Serialize;

use crate::http::caching::freshness::{Freshness, Origin};
use crate::http::middleware::request_id::RequestId;
use crate::http::params::validation_error::Invalid;
use crate::http::respond;
use crate::http::respond::json;
use crate::model::{CallKey, Scope};
use crate::store::StoreError;

/// The `Retry-After` where the engine has no better estimate, in seconds.
pub const RETRY_SOON: u64 = 5;

/// The `Retry-After` after a read that took too long, in seconds.
const RETRY_LONG_AFTER: u64 = 30;

/// The reason why a request gets no resource. Its `Display` is the `detail` of the answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("Authentication required. Provide a valid API key or login session.")]
    Unauthorized,
    #[error("Too many requests came from your address without a valid token; wait before the next")]
    TooManyGuesses {
        /// In seconds.
        retry_after: u64,
    },
    #[error(
        "The token does not let you do that: it needs the scope \"{}\" in auth.tokens; the Burki \
         API key may do everything", scope.as_str()
    )]
    OutOfScope { scope: Scope },
    #[error("Not Found")]
    UnknownPath,
    #[error("Method Not Allowed")]
    MethodNotAllowed { allow: &'static str },
    #[error(
        "This edge does not answer that itself, and passes it on with a Burki API key alone; the \
         token you sent is the edge's own"
    )]
    NotYours,
    #[error(
        "This edge does not answer that itself, and the upstream can't be asked now; nothing was \
         sent; try again"
    )]
    NotPassed {
        /// In seconds.
        retry_after: u64,
    },
    #[error("The upstream did not answer; the request may have reached it all the same")]
    Unanswered,
    #[error("The body is larger than {most} bytes; send less")]
    BodyTooLarge { most: usize },
    #[error("The body broke off or came too slowly; send it again")]
    BrokenBody,
    #[error("The header {header} is there more than once; send it once")]
    Repeated { header: &'static str },
    #[error("What is asked for is no path; begin it with a slash")]
    NoPath,
    #[error("The path is longer than {most} bytes; no resource has such a path")]
    PathTooLong { most: usize },
    #[error("The query is longer than {most} bytes; ask for less at once")]
    QueryTooLong { most: usize },
    #[error("There are more than {most} headers, or more than {bytes} bytes of them; send fewer")]
    HeadersTooLarge { most: usize, bytes: usize },
    #[error(
        "This edge keeps as many changes as it may; wait until the upstream has taken some, or \
         drop failed ones (/edge/writes)"
    )]
    QueueFull {
        /// In seconds.
        retry_after: u64,
    },
    #[error("This edge can't keep the change now; nothing was changed; try again")]
    NotKept {
        /// In seconds.
        retry_after: u64,
    },
    #[error("No such change is kept")]
    NoSuchWrite,
    #[error("The change is being sent; look again in a moment")]
    BeingSent,
    /// At least one parameter is invalid.
    #[error("Unprocessable Content")]
    Invalid(Vec<Invalid>),
    /// The same, with entries that are JSON already.
    #[error("Call with {name} not found in your organization")]
    NoSuchCall {
        /// `ID 5` or `SID CA1`.
        name: String,
        /// How the absence is known; `None` if no call can have the name.
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
    #[error(
        "This edge does not hold the {what} of this call, and the upstream can't be asked for them \
         now; try again"
    )]
    NotStored {
        /// `transcripts`
        what: &'static str,
        /// In seconds.
        retry_after: u64,
    },
    #[error(
        "This edge does not hold this recording, and the upstream can't be asked now; try again"
    )]
    RecordingUnavailable {
        /// In seconds.
        retry_after: u64,
    },
    #[error(
        "This edge does not know that the API key is of the organization whose calls it holds; it \
         asks the upstream; try again"
    )]
    StrangeKey {
        /// In seconds.
        retry_after: u64,
    },
    #[error("This edge has read nothing yet, and the upstream can't be asked now; try again")]
    NothingRead {
        /// In seconds.
        retry_after: u64,
    },
    #[error("This edge is busy with other long reads; try again")]
    Busy {
        /// In seconds.
        retry_after: u64,
    },
    #[error("This edge has as many connections as it serves; try again")]
    Full {
        /// In seconds.
        retry_after: u64,
    },
    #[error("This read took longer than this edge allows; narrow it down, or try again")]
    TooLong {
        /// In seconds.
        retry_after: u64,
    },
    #[error("Internal Server Error")]
    Store(StoreError),
    /// Answers are written to memory only, which does not fail.
    #[error("Internal Server Error")]
    Unwritten(#[from] io::Error),
    #[error("Internal Server Error")]
    Panicked,
}

#[derive(Serialize)]
struct Detail<T> {
    detail: T,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error {
            StoreError::TooLong => ApiError::TooLong {
                retry_after: RETRY_LONG_AFTER,
            },
            error => ApiError::Store(error),
        }
    }
}

impl ApiError {
    /// The 404 for a call that the replica or the upstream is known not to have. `age` is in
    /// seconds.
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

    fn status(&self) -> StatusCode {
        match self {
            ApiError::Unauthorized => StatusCode::UNAUTHORIZED,
            ApiError::UnknownPath | ApiError::NoSuchCall { .. } | ApiError::NoSuchWrite => {
                StatusCode::NOT_FOUND
            }
            ApiError::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::NotYours | ApiError::OutOfScope { .. } => StatusCode::FORBIDDEN,
            ApiError::TooManyGuesses { .. } => StatusCode::TOO_MANY_REQUESTS,
            ApiError::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::BrokenBody => StatusCode::REQUEST_TIMEOUT,
            ApiError::BeingSent => StatusCode::CONFLICT,
            ApiError::Repeated { .. } | ApiError::NoPath => StatusCode::BAD_REQUEST,
            ApiError::PathTooLong { .. } | ApiError::QueryTooLong { .. } => {
                StatusCode::URI_TOO_LONG
            }
            ApiError::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ApiError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::OnlyIfCached | ApiError::Unanswered => StatusCode::GATEWAY_TIMEOUT,
            ApiError::Unavailable { .. }
            | ApiError::StrangeKey { .. }
            | ApiError::NothingRead { .. }
            | ApiError::NotStored { .. }
            | ApiError::RecordingUnavailable { .. }
            | ApiError::Busy { .. }
            | ApiError::Full { .. }
            | ApiError::NotPassed { .. }
            | ApiError::QueueFull { .. }
            | ApiError::NotKept { .. }
            | ApiError::TooLong { .. } => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Store(_) | ApiError::Unwritten(_) | ApiError::Panicked => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The header that belongs to the status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            ApiError::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            // RFC 6750, section 3.1.
            ApiError::OutOfScope { scope } => {
                let told = match scope {
                    Scope::Read => "Bearer error=\"insufficient_scope\", scope=\"read\"",
                    Scope::Write => "Bearer error=\"insufficient_scope\", scope=\"write\"",
                    Scope::Operate => "Bearer error=\"insufficient_scope\", scope=\"operate\"",
                };
                Some((WWW_AUTHENTICATE, HeaderValue::from_static(told)))
            }
            ApiError::MethodNotAllowed { allow } => Some((ALLOW, HeaderValue::from_static(allow))),
            ApiError::Unavailable { retry_after }
            | ApiError::StrangeKey { retry_after }
            | ApiError::NothingRead { retry_after }
            | ApiError::NotStored { retry_after, .. }
            | ApiError::RecordingUnavailable { retry_after }
            | ApiError::Busy { retry_after }
            | ApiError::Full { retry_after }
            | ApiError::NotPassed { retry_after }
            | ApiError::QueueFull { retry_after }
            | ApiError::NotKept { retry_after }
            | ApiError::TooManyGuesses { retry_after }
            | ApiError::TooLong { retry_after } => {
                Some((RETRY_AFTER, HeaderValue::from(*retry_after)))
            }
            _ => None,
        }
    }

    fn body(&self) -> String {
        match self {
            ApiError::Invalid(problems) => json(&Detail {
                detail: problems.iter().map(Invalid::entry).collect::<Vec<_>>(),
            }),
            other => json(&Detail {
                detail: other.to_string(),
            }),
        }
    }

    /// Logs the cause that the client does not see, with the request's id.
    pub fn log(&self, request: &RequestId) {
        match self {
            ApiError::Store(error) => {
                let error = error as &dyn Error;
                tracing::error!(error, %request, "the replica could not be read");
            }
            ApiError::Unwritten(error) => {
                let error = error as &dyn Error;
                tracing::error!(error, %request, "an answer could not be written");
            }
            ApiError::Panicked => tracing::error!(%request, "a request's handler panicked"),
            _ => {}
        }
    }

    pub fn into_response(self) -> HttpResponse {
        let mut response = respond::json_response(self.status(), self.body());
        let headers = response.headers_mut();
        match self {
            ApiError::NoSuchCall {
                freshness: Some(freshness),
                ..
            } => freshness.write(headers),
            // A cache may store some of these statuses by default (RFC 9110, section 15.1).
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
    use crate::http::params::InvalidInteger;

    fn body(failure: ApiError) -> String {
        let body = failure.into_response().into_body().try_into_bytes();
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_cause_inside_the_edge_is_not_told() {
        let error = StoreError::Foreign("/var/lib/secret.db".into());
        assert_eq!(
            body(ApiError::Store(error)),
            r#"{"detail":"Internal Server Error"}"#
        );
    }

    #[test]
    fn an_error_repeats_the_clients_text_escaped_as_the_upstream_escapes_it() {
        let input = "\"\\\u{1}\n\u{7f}é\u{2028}".to_owned();
        let problem = InvalidInteger::TooLong;
        let failure = ApiError::Invalid(vec![Invalid::path("call_id", problem, &input)]);
        assert_eq!(
            body(failure),
            "{\"detail\":[{\"type\":\"int_parsing_size\",\"loc\":[\"path\",\"call_id\"],\"msg\":\
             \"Unable to parse input string as an integer, exceeded maximum size\",\"input\":\
             \"\\\"\\\\\\u0001\\n\u{7f}é\u{2028}\"}]}"
        );
    }

    #[test]
    fn an_error_is_json_that_no_cache_keeps() {
        let response = ApiError::Unavailable { retry_after: 7 }.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let header = |name| response.headers().get(name).unwrap();
        assert_eq!(header(RETRY_AFTER), "7");
        assert_eq!(header(CONTENT_TYPE), "application/json");
        assert_eq!(header(CACHE_CONTROL), "no-store");
    }
}
