//! The id of each request, in the answer and in the log, by which an operator finds the failure
//! that a client reports.

use std::cell::Cell;
use std::fmt;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id is replaced: it would fill the log.
const LONGEST: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

/// The source of a worker's new ids. No two workers, and no two starts, share a prefix.
pub struct RequestIds {
    prefix: u32,
    next: Cell<u64>,
}

impl RequestIds {
    pub fn new() -> RequestIds {
        RequestIds {
            prefix: rand::random(),
            next: Cell::new(0),
        }
    }

    /// The client's own id if it is valid, else a new one.
    pub fn of(&self, headers: &HeaderMap) -> RequestId {
        RequestId::sent(headers).unwrap_or_else(|| {
            let count = self.next.get();
            self.next.set(count.wrapping_add(1));
            RequestId::new(self.prefix, count)
        })
    }
}

impl RequestId {
    fn new(prefix: u32, count: u64) -> RequestId {
        // Hexadecimal digits and a dash are always a valid header value.
        let value = HeaderValue::try_from(format!("{prefix:08x}-{count:x}"));
        RequestId(value.unwrap_or(HeaderValue::from_static("none")))
    }

    /// The client's own id. Other characters could write anything to a log or a terminal.
    pub fn sent(headers: &HeaderMap) -> Option<RequestId> {
        let value = headers.get(X_REQUEST_ID)?;
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~-".contains(byte);
        let bytes = value.as_bytes();
        let is_name = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(harmless);
        is_name.then(|| RequestId(value.clone()))
    }

    pub fn write(self, headers: &mut HeaderMap) {
        headers.insert(X_REQUEST_ID, self.0);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Adds an id to an answer that was given before a worker saw the request: a browser's preflight.
pub fn stamp(headers: &mut HeaderMap, sent: Option<RequestId>) {
    if !headers.contains_key(X_REQUEST_ID) {
        let id = sent.unwrap_or_else(|| RequestId::new(rand::random(), 0));
        id.write(headers);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[rstest]
    #[case("a", true)]
    #[case("7c2f-A.b_c~9", true)]
    #[case("", false)]
    #[case("two words", false)]
    #[case("{\"json\"}", false)]
    #[case("a,b", false)]
    fn a_clients_name_is_kept_where_it_is_one(#[case] sent: &str, #[case] kept: bool) {
        let id = RequestIds::new().of(&with(sent)).to_string();
        assert_eq!(id == sent, kept, "{id}");
    }

    #[test]
    fn a_name_has_a_length() {
        let ids = RequestIds::new();
        let (longest, longer) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
        assert_eq!(ids.of(&with(&longest)).to_string(), longest);
        assert_ne!(ids.of(&with(&longer)).to_string(), longer);
    }

    #[test]
    fn no_two_requests_get_one_name() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let none = HeaderMap::new();
        let names = [one.of(&none), one.of(&none), other.of(&none)];
        assert_ne!(names[0], names[1]);
        assert_ne!(names[0], names[2]);
    }
}
