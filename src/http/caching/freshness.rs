//! Where an answer comes from and when it was last known to be true, as headers.
//!
//! Every answer about a call is `Cache-Control: private, no-cache`: the client may store it, but
//! has to revalidate it by its `ETag` before each use. There is no `Vary`: shared caches must not
//! store it at all, and a private one can't use it for another token without a revalidation, which
//! checks the token.

use actix_web::http::header::{
    AGE, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
};

/// RFC 9211.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The source of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The replica, while the upstream can be asked.
    Replica,
    /// The replica, because the upstream can't be asked.
    ReplicaOffline,
    /// The upstream, because the replica does not have the call.
    Miss,
    /// The upstream, because the request demanded a fresher answer than the replica's.
    Request,
}

/// What an answer's headers say about its freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub origin: Origin,
    /// Seconds since it was last verified.
    pub age: u64,
    /// True if the replica has it now. Reported if the upstream was asked.
    pub stored: bool,
}

impl Freshness {
    pub fn write(self, headers: &mut HeaderMap) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(AGE, HeaderValue::from(self.age));
        headers.insert(CACHE_STATUS, self.cache_status());
    }

    /// The edge declares no answer fresh for any time, so `ttl` is minus the age.
    fn cache_status(self) -> HeaderValue {
        HeaderValue::from_static(match (self.origin, self.stored) {
            (Origin::Replica, _) => "burki-edge; hit",
            (Origin::ReplicaOffline, _) => return offline(self.age),
            (Origin::Miss, true) => "burki-edge; fwd=miss; stored",
            (Origin::Miss, false) => "burki-edge; fwd=miss",
            (Origin::Request, true) => "burki-edge; fwd=request; stored",
            (Origin::Request, false) => "burki-edge; fwd=request",
        })
    }
}

fn offline(age: u64) -> HeaderValue {
    let sign = if age > 0 { "-" } else { "" };
    let text = format!("burki-edge; hit; ttl={sign}{age}; detail=offline");
    // Visible ASCII is always a valid header value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("burki-edge; hit"))
}

/// A strong entity tag, with its quotes: 64 bits of a hash of the body in hexadecimal and, for a
/// compressed body, the coding's suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(HeaderValue);

/// Quotes, 16 digits, and a suffix of four.
const LONGEST_TAG: usize = 22;

impl EntityTag {
    pub fn new(body_hash: i64) -> EntityTag {
        EntityTag::coded(body_hash, "")
    }

    /// The tag of the same body in a coding, whose suffix has at most four characters.
    pub fn coded(body_hash: i64, suffix: &str) -> EntityTag {
        let mut text = [b'"'; LONGEST_TAG];
        for (pair, byte) in text[1..17].chunks_exact_mut(2).zip(body_hash.to_be_bytes()) {
            pair[0] = hex_digit(byte >> 4);
            pair[1] = hex_digit(byte & 0xF);
        }
        for (place, byte) in text[17..21].iter_mut().zip(suffix.bytes()) {
            *place = byte;
        }
        let text = &text[..LONGEST_TAG.min(18 + suffix.len())];
        // Hexadecimal digits, these suffixes and quotes are always a valid header value.
        EntityTag(HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    pub fn write(self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.0);
    }

    /// True if the client has this body: `If-None-Match` lists its tag, or is `*`. The comparison
    /// is weak (RFC 9110, section 13.1.2). A malformed list counts up to where it can be read.
    pub fn is_known_to(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(IF_NONE_MATCH)
            .any(|value| self.is_in(value.as_bytes()))
    }

    fn is_in(&self, list: &[u8]) -> bool {
        if list.trim_ascii() == b"*" {
            return true;
        }
        let mut rest = list;
        while let Some((tag, after)) = next_tag(rest) {
            if tag == self.0.as_bytes() {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// The first tag of a list, with its quotes but without `W/`, and the rest of the list. A tag may
/// contain commas, so the list can't simply be split at them.
fn next_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list
        .iter()
        .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
    let tag = &list[start..];
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    let quoted = tag.strip_prefix(b"\"")?;
    let length = quoted.iter().position(|&byte| byte == b'"')? + 2;
    Some(tag.split_at(length))
}

fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Origin::Replica, false, "burki-edge; hit")]
    #[case(
        Origin::ReplicaOffline,
        false,
        "burki-edge; hit; ttl=-61; detail=offline"
    )]
    #[case(Origin::Miss, true, "burki-edge; fwd=miss; stored")]
    #[case(Origin::Miss, false, "burki-edge; fwd=miss")]
    #[case(Origin::Request, true, "burki-edge; fwd=request; stored")]
    #[case(Origin::Request, false, "burki-edge; fwd=request")]
    fn the_headers_name_origin_and_age(
        #[case] origin: Origin,
        #[case] stored: bool,
        #[case] status: &str,
    ) {
        let mut headers = HeaderMap::new();
        Freshness {
            origin,
            age: 61,
            stored,
        }
        .write(&mut headers);
        assert_eq!(headers.get(CACHE_STATUS).unwrap(), status);
        assert_eq!(headers.get(AGE).unwrap(), "61");
        assert_eq!(headers.get(CACHE_CONTROL).unwrap(), "private, no-cache");
    }

    #[test]
    fn an_offline_answer_of_this_very_second_has_no_negative_zero() {
        assert_eq!(offline(0), "burki-edge; hit; ttl=0; detail=offline");
    }

    #[test]
    fn a_tag_is_sixteen_digits_also_of_a_negative_or_small_hash() {
        let mut headers = HeaderMap::new();
        EntityTag::new(-2).write(&mut headers);
        assert_eq!(headers.get(ETAG).unwrap(), "\"fffffffffffffffe\"");
        EntityTag::new(0xAB).write(&mut headers);
        assert_eq!(headers.get(ETAG).unwrap(), "\"00000000000000ab\"");
        EntityTag::coded(0xAB, "-zst").write(&mut headers);
        assert_eq!(headers.get(ETAG).unwrap(), "\"00000000000000ab-zst\"");
        EntityTag::coded(0xAB, "-gz").write(&mut headers);
        assert_eq!(headers.get(ETAG).unwrap(), "\"00000000000000ab-gz\"");
    }

    #[rstest]
    #[case("*", true)]
    #[case(" * ", true)]
    #[case("\"00000000000000ab\"", true)]
    #[case("W/\"00000000000000ab\"", true)]
    #[case("\"a,b\" ,, W/\"\",\"00000000000000ab\"", true)]
    #[case("\"00000000000000AB\"", false)]
    #[case("00000000000000ab", false)]
    #[case("\"x\" \"00000000000000ab", false)]
    #[case("\"x,\"00000000000000ab\"", false)]
    #[case("w/\"00000000000000ab\"", false)]
    #[case("\"x\", *", false)]
    #[case("", false)]
    fn a_client_that_has_the_body_is_recognized(#[case] value: &str, #[case] known: bool) {
        let mut headers = HeaderMap::new();
        headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        headers.append(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
        assert_eq!(EntityTag::new(0xAB).is_known_to(&headers), known, "{value}");
    }
}
