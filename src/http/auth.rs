//! Who may read: a bearer token that is the upstream key or one of the named tokens.

use std::net::IpAddr;

use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap};
use actix_web::http::uri::Authority;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The accepted tokens, as digests: no token is kept. It has no `Debug`, so that a log can't
/// offer a digest to guess against.
pub struct Auth {
    /// The upstream's key, where it opens the edge too.
    upstream: Option<[u8; 32]>,
    named: Vec<[u8; 32]>,
    anonymous: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody with the upstream's key, whose requests can be passed on.
    Upstream,
    /// Somebody whom the edge alone knows.
    Edge,
}

impl Auth {
    /// `tokens` are SHA-256 digests of the tokens' text. `anonymous` lets in whoever reaches the
    /// server; that it then listens on loopback addresses only is the caller's to make sure.
    pub fn new(
        upstream_key: Option<&str>,
        tokens: impl IntoIterator<Item = [u8; 32]>,
        anonymous: bool,
    ) -> Auth {
        Auth {
            upstream: upstream_key.map(|key| digest(key.as_bytes())),
            named: tokens.into_iter().collect(),
            anonymous,
        }
    }

    /// Whose token the request carries; `None` where it is not valid. Every digest is compared,
    /// whatever the others said, so that the time taken tells nothing of which was nearly right.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let presented = bearer(headers).map(digest);
        let matches = |known: &[u8; 32]| match &presented {
            Some(presented) => known.as_slice().ct_eq(presented.as_slice()),
            None => Choice::from(0),
        };
        let any = |known: &[[u8; 32]]| {
            let none = Choice::from(0);
            bool::from(known.iter().fold(none, |any, known| any | matches(known)))
        };
        let (upstream, named) = (any(self.upstream.as_slice()), any(&self.named));
        match self.anonymous {
            _ if upstream => Some(Caller::Upstream),
            false => named.then_some(Caller::Edge),
            true => names_loopback(headers).then_some(Caller::Edge),
        }
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
        assert!(auth().caller(&with(value)).is_some());
    }

    #[test]
    fn only_the_upstreams_own_key_is_one_to_pass_requests_on_with() {
        assert_eq!(
            auth().caller(&with("Bearer burki_key")),
            Some(Caller::Upstream)
        );
        assert_eq!(auth().caller(&with("Bearer second")), Some(Caller::Edge));
        let open = Auth::new(Some("burki_key"), [], true);
        assert_eq!(
            open.caller(&with("Bearer burki_key")),
            Some(Caller::Upstream)
        );
        assert_eq!(open.caller(&with("Bearer other")), Some(Caller::Edge));
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
        assert_eq!(auth().caller(&with(value)), None);
        assert_eq!(Auth::new(None, [], false).caller(&with(value)), None);
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
        let caller = Auth::new(None, [], true).caller(&headers);
        assert_eq!(caller.is_some(), open, "{host}");
    }

    #[test]
    fn a_request_without_the_header_opens_only_the_anonymous_mode() {
        assert_eq!(auth().caller(&HeaderMap::new()), None);
        let caller = Auth::new(None, [], true).caller(&HeaderMap::new());
        assert_eq!(caller, Some(Caller::Edge));
    }
}
