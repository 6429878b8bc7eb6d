//! Authentication: a bearer token is the upstream's key, which allows everything, or one of the
//! named tokens, each with its own scopes.

use std::net::IpAddr;

use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap};
use actix_web::http::uri::Authority;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::{Scope, Scopes, Timestamp};

/// The accepted tokens, as digests only. It has no `Debug`, so that no log can offer a digest to
/// guess against.
pub struct Auth {
    /// The upstream's key, if it is accepted here.
    upstream: Option<[u8; 32]>,
    named: Vec<Grant>,
    anonymous: bool,
}

/// A token of the edge's own.
#[derive(Clone, Copy)]
pub struct Grant {
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
    pub scopes: Scopes,
    /// The time from which it is no longer valid.
    pub expires: Option<Timestamp>,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The holder of the upstream's key, who may do everything and whose requests can be forwarded.
    Upstream,
    /// The holder of a token that only the edge knows.
    Edge(Scopes),
}

impl Caller {
    pub fn may(self, scope: Scope) -> bool {
        match self {
            Caller::Upstream => true,
            Caller::Edge(scopes) => scopes.has(scope),
        }
    }
}

impl Auth {
    /// `anonymous` lets every client that reaches the server read. The caller has to make sure that
    /// it listens on loopback addresses only.
    pub fn new(
        upstream_key: Option<&str>,
        tokens: impl IntoIterator<Item = Grant>,
        anonymous: bool,
    ) -> Auth {
        Auth {
            upstream: upstream_key.map(|key| digest(key.as_bytes())),
            named: tokens.into_iter().collect(),
            anonymous,
        }
    }

    /// The sender of the request; `None` if the token is not valid. Every digest is compared,
    /// whatever the others gave, so that the time taken does not show which was nearly right.
    pub(in crate::http) fn caller(
        &self,
        headers: &HeaderMap,
        now: impl Fn() -> Timestamp,
    ) -> Option<Caller> {
        let presented = bearer(headers).map(digest);
        let is = |known: &[u8; 32]| {
            let presented = presented.as_ref();
            presented.is_some_and(|presented| known.as_slice().ct_eq(presented.as_slice()).into())
        };
        let holds = |grant: &Grant| grant.expires.is_none_or(|expires| now() < expires);
        let upstream = self.upstream.as_ref().is_some_and(is);
        let named = self
            .named
            .iter()
            .fold(None, |found, grant| match is(&grant.sha256) {
                true => Some(*grant),
                false => found,
            });
        let named = named.filter(holds).map(|grant| Caller::Edge(grant.scopes));
        match self.anonymous {
            _ if upstream => Some(Caller::Upstream),
            true if named.is_none() && names_loopback(headers) => {
                Some(Caller::Edge(Scopes::DEFAULT))
            }
            _ => named,
        }
    }

    /// True if the request carries a token at all. One that is not valid is a guess, or a mistake
    /// that the operator should notice.
    pub(in crate::http) fn is_tried(headers: &HeaderMap) -> bool {
        headers.contains_key(AUTHORIZATION)
    }
}

/// True if `Host` names this machine itself. A web page from elsewhere can give its own name a
/// loopback address and have the browser read from there (DNS rebinding); without a token, only
/// `Host` shows that. Browsers always send it.
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

pub(in crate::http) fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1). If the header is repeated,
/// the first counts, as with the upstream.
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

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn grant(token: &str, scopes: &[Scope], expires: Option<i64>) -> Grant {
        Grant {
            sha256: digest(token.as_bytes()),
            scopes: scopes.iter().copied().collect(),
            expires: expires.map(Timestamp::from_micros),
        }
    }

    fn auth() -> Auth {
        let grants = [
            grant("first", &[Scope::Read], None),
            grant("second", &[Scope::Read, Scope::Operate], Some(1_000_001)),
            grant("expired", &[Scope::Read], Some(1_000_000)),
        ];
        Auth::new(Some("burki_key"), grants, false)
    }

    fn caller(auth: &Auth, value: &str) -> Option<Caller> {
        auth.caller(&with(value), || NOW)
    }

    #[rstest]
    #[case("Bearer burki_key")]
    #[case("bEARER first")]
    #[case("Bearer  second ")]
    fn every_configured_token_opens_whatever_the_case_of_the_scheme(#[case] value: &str) {
        assert!(caller(&auth(), value).is_some());
    }

    #[test]
    fn only_the_upstreams_own_key_is_one_to_pass_requests_on_with() {
        assert_eq!(caller(&auth(), "Bearer burki_key"), Some(Caller::Upstream));
        let second = caller(&auth(), "Bearer second").unwrap();
        assert!(second.may(Scope::Operate) && !second.may(Scope::Write));
        assert_ne!(second, Caller::Upstream);
        let open = Auth::new(Some("burki_key"), [grant("w", &[Scope::Write], None)], true);
        assert_eq!(caller(&open, "Bearer burki_key"), Some(Caller::Upstream));
        let anybody = Some(Caller::Edge(Scopes::DEFAULT));
        assert_eq!(caller(&open, "Bearer other"), anybody);
        assert!(caller(&open, "Bearer w").unwrap().may(Scope::Write));
    }

    #[rstest]
    #[case("Bearer nope")]
    #[case("Bearer BURKI_KEY")]
    #[case("Bearer burki_key second")]
    #[case("Bearer ")]
    #[case("Bearer")]
    #[case("Basic burki_key")]
    #[case("burki_key")]
    #[case("Bearer expired")]
    #[case("")]
    fn anything_else_stays_shut(#[case] value: &str) {
        assert_eq!(caller(&auth(), value), None);
        assert_eq!(caller(&Auth::new(None, [], false), value), None);
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
        let caller = Auth::new(None, [], true).caller(&headers, || NOW);
        assert_eq!(caller.is_some(), open, "{host}");
    }

    #[test]
    fn a_request_without_the_header_opens_only_the_anonymous_mode() {
        assert_eq!(auth().caller(&HeaderMap::new(), || NOW), None);
        let caller = Auth::new(None, [], true).caller(&HeaderMap::new(), || NOW);
        assert_eq!(caller, Some(Caller::Edge(Scopes::DEFAULT)));
    }
}
