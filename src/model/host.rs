//! Where a URL leads, as far as that is known without a name server: the network may be down.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The addresses of a URL's host: itself if it is an address; both loopback addresses for this
/// machine's name, for `localhost` and the names below that (RFC 6761, section 6.3); none for
/// others.
pub fn known_addresses(url: &Url) -> Vec<IpAddr> {
    match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address).to_canonical()],
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let is_own = || system_name().is_some_and(|own| own.eq_ignore_ascii_case(name));
            match name == "localhost" || name.ends_with(".localhost") || is_own() {
                true => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
                false => Vec::new(),
            }
        }
        None => Vec::new(),
    }
}

fn system_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok()?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

/// True if requests to this URL never leave the machine, as far as the URL shows.
pub fn is_this_machine(url: &Url) -> bool {
    let stays = |address: &IpAddr| address.is_loopback() || address.is_unspecified();
    known_addresses(url).iter().any(stays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_to_loopback_stays_on_this_machine() {
        for url in [
            "http://localhost:1/",
            "http://api.localhost/",
            "http://127.3.2.1",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0:80",
            &format!("http://{}:80", system_name().unwrap().to_uppercase()),
        ] {
            assert!(is_this_machine(&url.parse().unwrap()), "{url}");
        }
        for url in [
            "https://api.burki.dev",
            "http://10.0.0.1",
            "http://localhost.example",
        ] {
            assert!(!is_this_machine(&url.parse().unwrap()), "{url}");
        }
    }
}
