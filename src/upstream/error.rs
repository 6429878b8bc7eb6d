//! Failures of the upstream, sorted by what to do about them.

use std::time::Duration;

/// When to retry a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once: the connection broke, which happens to an idle or recycled one without notice.
    Now,
    /// After this time, which the upstream itself asked for.
    After(Duration),
    /// After the backoff.
    Backoff,
}

/// The classes of failure. None of them proves anything about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    Unreachable,
    Tls,
    Reset,
    Timeout,
    BrokenOff,
    PageTooLong,
    Unauthorized,
    OtherOrganization,
    Throttled,
    ServerError,
    Redirected,
    Refused,
    BadAnswer,
    ShortList,
}

impl ErrorKind {
    /// What went wrong, in a sentence without payload.
    pub fn message(self) -> &'static str {
        match self {
            ErrorKind::Unreachable => "no connection to the upstream",
            ErrorKind::Tls => "no TLS connection to the upstream that can be trusted",
            ErrorKind::Reset => "the connection broke before an answer came",
            ErrorKind::BrokenOff => "the answer broke off",
            ErrorKind::PageTooLong => "the upstream does not serve so many rows on a page",
            ErrorKind::Timeout => "no complete answer within upstream.timeout",
            ErrorKind::Unauthorized => "the upstream refuses the API key",
            ErrorKind::OtherOrganization => {
                "the API key is of another organization than the replica"
            }
            ErrorKind::Throttled => "the upstream asks for fewer requests",
            ErrorKind::ServerError => "the upstream failed",
            ErrorKind::Redirected => "the upstream redirects elsewhere",
            ErrorKind::Refused => "the upstream refuses the request",
            ErrorKind::BadAnswer => "the answer is not the calls API's",
            ErrorKind::ShortList => "the list leaves out more calls than are believed to be gone",
        }
    }

    /// What an operator can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            ErrorKind::Unreachable | ErrorKind::Reset | ErrorKind::BrokenOff => {
                "check the line and upstream.base_url; reads go on from the replica"
            }
            ErrorKind::Tls => {
                "see that the upstream's certificate has not expired, is for the name in \
                 upstream.base_url and from an authority that this machine trusts, that this \
                 machine's clock is right, and that the port speaks TLS; reads go on from the \
                 replica"
            }
            ErrorKind::Timeout => "check the line; raise upstream.timeout if it is merely slow",
            ErrorKind::Unauthorized => {
                "if the key was replaced, set the new one; a server without its database answers \
                 the same, and then this passes"
            }
            ErrorKind::OtherOrganization => {
                "set the key of the organization the replica was made for, or give the other one \
                 its own store.path; nothing of its calls was taken in"
            }
            ErrorKind::PageTooLong => "nothing to do here; shorter pages are asked for",
            ErrorKind::Throttled => "lower upstream.max_requests_per_minute if this is frequent",
            ErrorKind::ServerError => "nothing to do here; it is retried",
            ErrorKind::Redirected => {
                "set upstream.base_url to the address the server itself uses; the key is never \
                 sent anywhere else"
            }
            ErrorKind::Refused => "check that upstream.base_url is the root of a Burki server",
            ErrorKind::BadAnswer => {
                "check that upstream.base_url is a Burki server and that no proxy answers for it"
            }
            ErrorKind::ShortList => {
                "it is believed if it does so for a minute; if the calls were meant to be deleted, \
                 `burki-edge release` lets them go now; all are served on until then"
            }
        }
    }
}

/// The failure of a request that got no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{}{}", kind.message(), status.map(|s| format!(" (status {s})")).unwrap_or_default())]
pub struct UpstreamError {
    pub kind: ErrorKind,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// `Retry-After`, which is honoured on any status.
    pub retry_after: Option<Duration>,
    /// The maximum of rows on a page, if the upstream refused more and named it.
    pub most_rows: Option<usize>,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl UpstreamError {
    pub fn new(kind: ErrorKind) -> UpstreamError {
        UpstreamError {
            kind,
            status: None,
            retry_after: None,
            most_rows: None,
            source: None,
        }
    }

    pub fn caused_by(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> UpstreamError {
        UpstreamError {
            source: Some(source.into()),
            ..self
        }
    }

    pub fn retry(&self) -> Retry {
        match (self.retry_after, self.kind) {
            (Some(wait), _) => Retry::After(wait),
            (None, ErrorKind::Reset) => Retry::Now,
            (None, _) => Retry::Backoff,
        }
    }
}
