//! How much of a request is looked at: its path, its query and its headers have an end, which is
//! checked before anything else is.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, CONNECTION};

use crate::http::error::ApiError;

/// Bytes, as they were sent. The longest path that is anybody's has a SID of some 80 characters.
const LONGEST_PATH: usize = 2 << 10;

/// Bytes, as they were sent.
const LONGEST_QUERY: usize = 8 << 10;

const MOST_HEADERS: usize = 64;

/// Bytes of names and values, with the four between and behind them.
const MOST_HEADER_BYTES: usize = 32 << 10;

/// Returns whether there is a `Connection` among the headers, since all of them are looked at.
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
    // Whose it is would be one's to say here, and another's where it is passed on to.
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
