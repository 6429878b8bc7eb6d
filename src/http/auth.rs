//! Who may read: a bearer token that is the upstream key or one of the named tokens.

use std::net::IpAddr;

use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap};
use actix_web::http::uri::Authority;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The accepted tokens, as digests: no token is kept. It has no `Debug`, so that a log can't
/// offer a digest to guess against.
pub struct Auth {
    digests: Vec<[u8; 32]>,
    anonymous: bool,
}

impl Auth {
    /// `tokens` are SHA-256 digests of the tokens' text. `anonymous` lets in whoever reaches the
    /// server; that it then listens on loopback addresses only is the caller's to make sure.
    pub fn new(
        upstream_key: Option<&str>,
        tokens: impl IntoIterator<Item = [u8; 32]>,
        anonymous: bool,
    ) -> Auth {
        let upstream_key = upstream_key.map(|key| digest(key.as_bytes()));
        Auth {
            digests: upstream_key.into_iter().chain(tokens).collect(),
            anonymous,
        }
    }

    /// Whether the request carries a valid token. Every digest is compared, whatever the others
    /// said, so that the time taken tells nothing of which was nearly right.
    pub(super) fn permits(&self, headers: &HeaderMap) -> bool {
        if self.anonymous {
            return names_loopback(headers);
        }
        let Some(token) = bearer(headers) else {
            return false;
        };
        let presented = digest(token);
        let matches = |known: &[u8; 32]| known.as_slice().ct_eq(presented.as_slice());
        self.digests
            .iter()
            .fold(Choice::from(0), |any, known| any | matches(known))
            .into()
    }
}

/// Whether the request is for this machine by a name that is its own. A web page from elsewhere
/// can give its own name a loopback address and have the browser read from there (DNS rebinding);
/// without a token, the name is all that gives it away. Browsers always send it.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

pub(super) fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1). Of repeated headers the
/// first, as the upstream does.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(value.iter().position(|&byte| byte == b' ')?)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn auth() -> Auth {
        Auth::new(
            Some("burki_key"),
            [digest(b"first"), digest(b"second")],
            false,
        )
    }

    #[rstest]
    #[case("Bearer burki_key")]
    #[case("bEARER first")]
    #[case("Bearer  second ")]
    fn every_configured_token_opens_whatever_the_case_of_the_scheme(#[case] value: &str) {
        assert!(auth().permits(&with(value)));
    }

    #[rstest]
    #[case("Bearer nope")]
    #[case("Bearer BURKI_KEY")]
    #[case("Bearer burki_key second")]
    #[case("Bearer ")]
    #[case("Bearer")]
    #[case("Basic burki_key")]
    #[case("burki_key")]
    #[case("")]
    fn anything_else_stays_shut(#[case] value: &str) {
        assert!(!auth().permits(&with(value)));
        assert!(!Auth::new(None, [], false).permits(&with(value)));
    }

    #[rstest]
    #[case("localhost:8080", true)]
    #[case("127.0.0.1", true)]
    #[case("127.1.2.3:80", true)]
    #[case("[::1]:8080", true)]
    #[case("rebound.example:8080", false)]
    #[case("127.0.0.1.example", false)]
    #[case("192.168.0.1", false)]
    #[case("", false)]
    fn the_anonymous_mode_answers_only_to_loopback_names(#[case] host: &str, #[case] open: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        assert_eq!(Auth::new(None, [], true).permits(&headers), open, "{host}");
    }

    #[test]
    fn a_request_without_the_header_opens_only_the_anonymous_mode() {
        assert!(!auth().permits(&HeaderMap::new()));
        assert!(Auth::new(None, [], true).permits(&HeaderMap::new()));
    }
}
