//! The address that a request comes from, also through proxies.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header in which proxies list who asked them, the last one last. No RFC defines it; RFC 7239
/// describes its origin.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The trusted proxies: `server.trusted_proxies`.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    pub fn new(networks: Vec<IpNet>) -> Proxies {
        Proxies(networks)
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the peer's, or that which proxies report, as far as each is trusted.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        Some(self.beyond(peer, request.headers()))
    }

    fn beyond(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let told: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .collect();
        for told in told.into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = parse(told.trim()) else {
                break;
            };
            client = address.to_canonical();
        }
        client
    }
}

/// Parses an address. Some proxies write the port as well.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = || text.parse().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare().or_else(with_port).or_else(in_brackets)
}

/// The addresses that one party has: a single one of IPv4, a /64 of IPv6 (RFC 6177).
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nobody_is_trusted_by_himself("203.0.113.9", &["198.51.100.1"], "203.0.113.9")]
    #[case::a_proxy("10.1.2.3", &["198.51.100.1"], "198.51.100.1")]
    #[case::a_proxy_in_ipv6_clothes("::ffff:10.1.2.3", &["198.51.100.1"], "198.51.100.1")]
    #[case::two_of_them("10.1.2.3", &["198.51.100.1, 10.9.9.9"], "198.51.100.1")]
    #[case::what_the_client_claims("10.1.2.3", &["192.0.2.1, 198.51.100.1"], "198.51.100.1")]
    #[case::in_two_lines("10.1.2.3", &["192.0.2.1", "198.51.100.1"], "198.51.100.1")]
    #[case::with_a_port("10.1.2.3", &["198.51.100.1:4711"], "198.51.100.1")]
    #[case::ipv6_with_a_port("2001:db8::7", &["[2001:db9::1]:80"], "2001:db9::1")]
    #[case::ipv6_in_brackets("2001:db8::7", &["[2001:db9::1]"], "2001:db9::1")]
    #[case::no_address("10.1.2.3", &["unknown"], "10.1.2.3")]
    #[case::nothing_told("10.1.2.3", &[], "10.1.2.3")]
    fn the_client_is_whom_the_last_trusted_one_names(
        #[case] peer: &str,
        #[case] told: &[&str],
        #[case] client: &str,
    ) {
        let networks = ["10.0.0.0/8", "2001:db8::/32"];
        let proxies = Proxies(networks.map(|text| text.parse().unwrap()).to_vec());
        let mut headers = HeaderMap::new();
        for told in told {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(told).unwrap());
        }
        let found = proxies.beyond(peer.parse().unwrap(), &headers);
        assert_eq!(found, client.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn one_party_has_one_address_of_ipv4_and_many_of_ipv6() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
