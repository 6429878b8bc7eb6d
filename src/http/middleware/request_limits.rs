//! The limits of a request's path, query and headers, which are checked before anything else.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, CONNECTION};

use crate::http::error::ApiError;

/// In bytes as sent. The longest path in use has a SID of some 80 characters.
const LONGEST_PATH: usize = 2 << 10;

/// In bytes as sent.
const LONGEST_QUERY: usize = 8 << 10;

const MOST_HEADERS: usize = 64;

/// In bytes of names and values, with the four between and after them.
const MOST_HEADER_BYTES: usize = 32 << 10;

/// Returns whether there is a `Connection` among the headers, because all of them are visited.
pub fn check(request: &HttpRequest) -> Result<bool, ApiError> {
    let uri = request.uri();
    if uri.path().len() > LONGEST_PATH {
        return Err(ApiError::PathTooLong { most: LONGEST_PATH });
    }
    if uri.query().unwrap_or_default().len() > LONGEST_QUERY {
        let most = LONGEST_QUERY;
        return Err(ApiError::QueryTooLong { most });
    }
    let headers = request.headers();
    let (mut bytes, mut tokens, mut names_connection) = (0, 0, false);
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len() + 4;
        tokens += usize::from(name == AUTHORIZATION);
        names_connection |= name == CONNECTION;
    }
    // The edge could authenticate by one of them, and the server behind it by the other.
    if tokens > 1 {
        return Err(ApiError::Repeated {
            header: "Authorization",
        });
    }
    if headers.len() > MOST_HEADERS || bytes > MOST_HEADER_BYTES {
        return Err(ApiError::HeadersTooLarge {
            most: MOST_HEADERS,
            bytes: MOST_HEADER_BYTES,
        });
    }
    Ok(names_connection)
}
