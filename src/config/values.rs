//! What one text may be: a check for each kind of value.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use humantime::parse_duration;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::model::Detail;

const DAY: Duration = Duration::from_secs(86_400);
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// How far back calls are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum History {
    All,
    /// At least a day.
    Back(Duration),
}

/// What a field is deserialized from, or what is allowed instead.
pub(super) type Checked = Result<Value, Cow<'static, str>>;

/// Checks a text.
pub(super) type Check = fn(&str) -> Checked;

/// The value as its field reads it, or what is allowed instead.
pub(super) fn allow(
    value: Option<impl Serialize>,
    expected: impl Into<Cow<'static, str>>,
) -> Checked {
    value
        .map(|value| json!(value))
        .ok_or_else(|| expected.into())
}

pub(super) fn any(text: &str) -> Checked {
    Ok(text.into())
}

/// Bytes, written with their unit; a bare 0 has none.
pub(super) fn size(text: &str) -> Checked {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let text = text.trim();
    let in_unit = |(name, unit)| Some((text.strip_suffix(name)?.trim_end(), unit));
    let (number, unit) = match text {
        "0" => (text, 1),
        _ => UNITS.into_iter().find_map(in_unit).unwrap_or_default(),
    };
    let is_whole = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_whole);
    allow(
        number.and_then(|number| number.checked_mul(unit)),
        "expected a whole number with its unit, KiB, MiB or GiB, such as \"1GiB\"; or \"0\" for \
         none",
    )
}

/// Names are not looked up, since what they mean may change; `localhost` means one thing.
pub(super) fn listen(text: &str) -> Checked {
    let local = |port: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    let address = match text.strip_prefix("localhost:") {
        Some(port) => local(port),
        None => text.parse().ok(),
    };
    allow(
        address,
        "expected an IP address and a port, such as \"127.0.0.1:8080\", \"[::1]:8080\" or \
         \"localhost:8080\"; \"0.0.0.0:8080\" is every IPv4 address of the machine",
    )
}

/// An origin is compared as a text, so it must be written as browsers do.
pub(super) fn cors_origin(text: &str) -> Checked {
    let is_origin = Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    });
    allow(
        (text == "*" || is_origin).then_some(text),
        "expected an origin as browsers send it, such as \"https://app.example\" or \
         \"http://localhost:3000\": lower case, no path, no slash at its end, no port that is the \
         usual one; or \"*\" alone for every origin",
    )
}

pub(super) fn trusted_proxy(text: &str) -> Checked {
    let address = || Some(IpNet::from(text.parse::<IpAddr>().ok()?.to_canonical()));
    let network = text.parse::<IpNet>().ok().or_else(address);
    // A proxy is trusted to say who asks, so a network of everyone is none.
    let network = network.filter(|network| network.prefix_len() > 0);
    allow(
        network.map(|network| network.trunc()),
        "expected the address of a proxy that stands before the edge, or a network of them, such \
         as \"10.0.0.5\", \"10.0.0.0/24\" or \"2001:db8::/64\"",
    )
}

pub(super) fn base_url(text: &str) -> Checked {
    let mut url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if let Some(url) = &mut url {
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
    }
    allow(
        url,
        "expected an http or https URL without user, query or fragment, such as \
         \"https://api.burki.dev\"; the key goes into upstream.api_key",
    )
}

pub(super) fn history(text: &str) -> Checked {
    let back = || parse_duration(text.trim()).ok().filter(|back| *back >= DAY);
    let history = match text.trim() {
        "all" => Some(History::All),
        _ => back().map(History::Back),
    };
    allow(
        history,
        "expected \"all\", or how far back as a duration of at least a day, such as \"400d\"",
    )
}

pub(super) fn detail(text: &str) -> Checked {
    let known = Detail::ALL.map(Detail::as_str);
    allow(
        known.contains(&text).then_some(text),
        format!("expected some of {}; or [] for none", known.join(", ")),
    )
}

pub(super) fn log_level(text: &str) -> Checked {
    allow(
        LEVELS.contains(&text).then_some(text),
        format!("expected one of {}", LEVELS.join(", ")),
    )
}
