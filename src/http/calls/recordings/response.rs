//! A stored recording as an answer: all of it, a range, or a 304 (RFC 9110, sections 13 and 14).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, EntityTag, HeaderValue, HttpDate, IF_MATCH,
    IF_NONE_MATCH, IF_RANGE, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince,
    LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

use crate::http::caching::freshness::Freshness;
use crate::http::calls::recordings::download::blocking;
use crate::http::calls::recordings::file_name::{StoredRecording, system_time};
use crate::model::Timestamp;

/// Keeps browsers from guessing another type (the Fetch standard's `nosniff`).
pub const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// The bytes that are read at once.
const PIECE: u64 = 256 << 10;

/// The part of a recording that a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// From the first byte to the last, inclusive.
    Part(u64, u64),
    /// Only bytes that it does not have.
    Nothing,
}

pub fn answer(
    request: &HttpRequest,
    kept: &StoredRecording,
    file: File,
    freshness: Freshness,
) -> HttpResponse {
    let tag = EntityTag::new_strong(format!("{:016x}", kept.hash));
    // In whole seconds, as a client sends it back.
    let fraction = kept.fetched.as_micros().rem_euclid(1_000_000);
    let modified = Timestamp::from_micros(kept.fetched.as_micros() - fraction);
    let modified = HttpDate::from(system_time(modified));
    let status = condition(request, &tag, modified);
    let wanted = match request.headers().get(RANGE).map(|range| range.to_str()) {
        Some(Ok(range))
            if request.method() == Method::GET && may_be_part(request, &tag, modified) =>
        {
            wanted(range, kept.length)
        }
        _ => Wanted::All,
    };
    let mut response = HttpResponse::build(status.unwrap_or(match wanted {
        Wanted::All => StatusCode::OK,
        Wanted::Part(..) => StatusCode::PARTIAL_CONTENT,
        Wanted::Nothing => StatusCode::RANGE_NOT_SATISFIABLE,
    }));
    response
        .insert_header((ETAG, tag.to_string()))
        .insert_header((LAST_MODIFIED, modified.to_string()))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, NO_SNIFFING));
    let length = kept.length;
    let mut response = match (status, wanted) {
        (Some(_), _) => response.finish(),
        (None, Wanted::Nothing) => {
            let detail = format!("The recording has {length} bytes; ask for some of those");
            response
                .insert_header((CONTENT_RANGE, format!("bytes */{length}")))
                .insert_header((CONTENT_TYPE, "application/json"))
                .body(format!(r#"{{"detail":"{detail}"}}"#))
        }
        (None, wanted) => {
            let (start, end) = match wanted {
                Wanted::Part(first, last) => {
                    let range = format!("bytes {first}-{last}/{length}");
                    response.insert_header((CONTENT_RANGE, range));
                    (first, last + 1)
                }
                _ => (0, length),
            };
            response.insert_header((CONTENT_TYPE, kept.content_type.as_str()));
            // An answer to HEAD has no body, so the file is not read.
            let from = if request.method() == Method::HEAD {
                end
            } else {
                start
            };
            response.body(SizedStream::new(end - start, pieces(file, from, end)))
        }
    };
    freshness.write(response.headers_mut());
    response
}

fn pieces(file: File, start: u64, end: u64) -> impl Stream<Item = std::io::Result<Bytes>> {
    let file = Arc::new(file);
    stream::try_unfold(start, move |at| {
        let file = Arc::clone(&file);
        async move {
            if at >= end {
                return Ok(None);
            }
            let length = PIECE.min(end - at);
            let piece = blocking(move || {
                let mut piece = vec![0; length as usize];
                file.read_exact_at(&mut piece, at)?;
                Ok(Bytes::from(piece))
            });
            Ok(Some((piece.await?, at + length)))
        }
    })
    .boxed_local()
}

/// The status, if a condition of the request decides it.
fn condition(request: &HttpRequest, tag: &EntityTag, modified: HttpDate) -> Option<StatusCode> {
    let has = |name| request.headers().contains_key(name);
    let changed_since = |date: HttpDate| SystemTime::from(modified) > SystemTime::from(date);
    let failed = match request.get_header() {
        Some(IfMatch::Any) => false,
        Some(IfMatch::Items(tags)) => !tags.iter().any(|known| known.strong_eq(tag)),
        None if has(IF_MATCH) => true,
        None => (request.get_header()).is_some_and(|IfUnmodifiedSince(date)| changed_since(date)),
    };
    if failed {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    let is_known = match request.get_header() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        None if has(IF_NONE_MATCH) => false,
        None => (request.get_header()).is_some_and(|IfModifiedSince(date)| !changed_since(date)),
    };
    is_known.then_some(StatusCode::NOT_MODIFIED)
}

/// True if a range would be of the recording of which the client has the rest.
fn may_be_part(request: &HttpRequest, tag: &EntityTag, modified: HttpDate) -> bool {
    match request.get_header() {
        Some(IfRange::EntityTag(known)) => known.strong_eq(tag),
        Some(IfRange::Date(date)) => date == modified,
        None => !request.headers().contains_key(IF_RANGE),
    }
}

/// Several ranges, or an invalid one, mean all: a server may do so, and no player asks for several.
fn wanted(range: &str, length: u64) -> Wanted {
    let Some((unit, range)) = range.split_once('=') else {
        return Wanted::All;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::All;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    let (Some(first_byte), Some(last_byte)) = (number(first), number(last)) else {
        return Wanted::All;
    };
    match (first.is_empty(), last.is_empty()) {
        _ if !unit.trim().eq_ignore_ascii_case("bytes") => Wanted::All,
        (true, true) => Wanted::All,
        (true, false) if last_byte == 0 || length == 0 => Wanted::Nothing,
        (true, false) => Wanted::Part(length.saturating_sub(last_byte), length - 1),
        (false, false) if last_byte < first_byte => Wanted::All,
        (false, _) if first_byte >= length => Wanted::Nothing,
        (false, true) => Wanted::Part(first_byte, length - 1),
        (false, false) => Wanted::Part(first_byte, last_byte.min(length - 1)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bytes=0-", Wanted::Part(0, 9))]
    #[case("Bytes = 0-0", Wanted::Part(0, 0))]
    #[case("bytes=3-5", Wanted::Part(3, 5))]
    #[case("bytes=3-99999999999999999999999", Wanted::Part(3, 9))]
    #[case("bytes=-3", Wanted::Part(7, 9))]
    #[case("bytes=-99", Wanted::Part(0, 9))]
    #[case("bytes=9-", Wanted::Part(9, 9))]
    #[case("bytes=10-", Wanted::Nothing)]
    #[case("bytes=99999999999999999999999-", Wanted::Nothing)]
    #[case("bytes=-0", Wanted::Nothing)]
    #[case("bytes=5-3", Wanted::All)]
    #[case("bytes=0-1,3-4", Wanted::All)]
    #[case("bytes=-", Wanted::All)]
    #[case("bytes=+1-2", Wanted::All)]
    #[case("bytes=", Wanted::All)]
    #[case("seconds=0-1", Wanted::All)]
    #[case("", Wanted::All)]
    fn a_range_is_one_of_the_bytes_there_are(#[case] range: &str, #[case] part: Wanted) {
        assert_eq!(wanted(range, 10), part, "{range}");
    }

    #[test]
    fn of_nothing_there_is_no_range() {
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-5", 0), Wanted::Nothing);
    }
}
