//! Maps a path to its operation, with the self-hosted server's redirects between slash forms.

use std::fmt::Write;

use super::details::Key;
use super::exchange::{ApiRequest, ApiResponse};
use crate::simulator::record::Flavour;

/// The only path about calls that is not below the others.
const INITIATE: &str = "/calls/initiate";

/// The operation that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    List,
    Count,
    Stats,
    Analytics,
    Export,
    ById(&'a str),
    BySid(&'a str),
    Metadata(&'a str),
    Below(Key<'a>, Detail<'a>),
    /// The call's SID.
    Terminate(&'a str),
    Initiate,
    Me,
    /// The key's organization, on a server without users to ask.
    Organization,
    Assistants,
}

/// A detail of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail<'a> {
    Transcripts,
    TranscriptExport,
    Recordings,
    /// The recording's id.
    Play(&'a str),
    Messages,
    Metrics,
    WebhookLogs,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Route(Route<'a>),
    /// The decoded path to redirect to.
    Redirect(String),
    Nothing,
}

impl Route<'_> {
    /// The methods that the path takes. `Allow` names the first: the upstream answers a wrong
    /// method from the first of its routes that fits.
    pub(super) fn methods(self) -> &'static [&'static str] {
        match self {
            Route::Metadata(_) => &["PATCH"],
            Route::Terminate(_) | Route::Initiate => &["POST"],
            Route::Below(_, Detail::Metrics) => &["GET", "PATCH"],
            _ => &["GET"],
        }
    }
}

/// Finds the route of a decoded path.
pub(super) fn find(flavour: Flavour, path: &str) -> Found<'_> {
    match flavour {
        Flavour::Hosted => match hosted(path) {
            Some(route) => Found::Route(route),
            None => Found::Nothing,
        },
        Flavour::SelfHosted => {
            if let Some(route) = self_hosted(path) {
                return Found::Route(route);
            }
            let other = match path.strip_suffix('/') {
                Some(_) => path.trim_end_matches('/').to_owned(),
                None => format!("{path}/"),
            };
            match self_hosted(&other) {
                Some(_) => Found::Redirect(other),
                None => Found::Nothing,
            }
        }
    }
}

/// A route of the hosted server, to which both slash forms are the same.
fn hosted(path: &str) -> Option<Route<'_>> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/api/v1/calls" => Some(Route::List),
        "/api/v1/users/me" => Some(Route::Me),
        "/api/v1/calls/stats" => Some(Route::Stats),
        INITIATE => Some(Route::Initiate),
        path => below_calls(path, Flavour::Hosted),
    }
}

/// A route of the self-hosted server: the list has its slash, everything else has none; `stats` is
/// taken for an id.
fn self_hosted(path: &str) -> Option<Route<'_>> {
    match path {
        "/api/v1/calls/" => Some(Route::List),
        "/api/v1/assistants" => Some(Route::Assistants),
        "/api/v1/assistants/me/organization" => Some(Route::Organization),
        INITIATE => Some(Route::Initiate),
        path => below_calls(path, Flavour::SelfHosted),
    }
}

fn below_calls(path: &str, flavour: Flavour) -> Option<Route<'_>> {
    let parts: Vec<&str> = path.strip_prefix("/api/v1/calls/")?.split('/').collect();
    if parts.contains(&"") {
        return None;
    }
    let by_id = |id, detail| Some(Route::Below(Key::Id(id), detail));
    let by_sid = |sid, detail| Some(Route::Below(Key::Sid(sid), detail));
    match parts[..] {
        ["count"] => Some(Route::Count),
        ["analytics"] => Some(Route::Analytics),
        ["export"] => Some(Route::Export),
        [id] => Some(Route::ById(id)),
        ["sid", sid] => Some(Route::BySid(sid)),
        ["sid", sid, "transcripts"] => by_sid(sid, Detail::Transcripts),
        ["sid", sid, "recordings"] => by_sid(sid, Detail::Recordings),
        [id, "metadata"] => Some(Route::Metadata(id)),
        [sid, "terminate"] => Some(Route::Terminate(sid)),
        [id, "transcripts"] => by_id(id, Detail::Transcripts),
        [id, "transcripts", "export"] => by_id(id, Detail::TranscriptExport),
        [id, "recordings"] => by_id(id, Detail::Recordings),
        [id, "recording", recording, "play"] => by_id(id, Detail::Play(recording)),
        // The self-hosted server is older than these.
        _ if flavour == Flavour::SelfHosted => None,
        [id, "messages"] => by_id(id, Detail::Messages),
        [id, "metrics"] => by_id(id, Detail::Metrics),
        [id, "webhook-logs"] => by_id(id, Detail::WebhookLogs),
        _ => None,
    }
}

/// The 307 to `path`, an absolute address built from the `Host` header.
pub(super) fn redirect(path: &str, request: &ApiRequest) -> ApiResponse {
    let host = request.host.as_deref().unwrap_or("localhost");
    let mut address = format!("http://{host}{path}");
    if !request.query.is_empty() {
        address.push('?');
        address.push_str(&request.query);
    }
    ApiResponse {
        status: 307,
        headers: vec![("location", quote(&address))],
        body: Vec::new(),
        records: Vec::new(),
    }
}

/// Percent-encodes what Starlette encodes in a `Location`.
fn quote(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~:/%#?=@[]!$&'()*+,;".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Undoes percent-encoding. An invalid escape stays as it is, invalid UTF-8 becomes U+FFFD.
pub(super) fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let encoded = match (byte, tail) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_digit(byte: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_hosted_server_redirects_to_its_only_slash_form() {
        let find = |path| find(Flavour::SelfHosted, path);
        let to = |path: &str| Found::Redirect(path.to_owned());
        assert_eq!(find("/api/v1/calls/"), Found::Route(Route::List));
        assert_eq!(find("/api/v1/calls"), to("/api/v1/calls/"));
        assert_eq!(find("/api/v1/calls/5/"), to("/api/v1/calls/5"));
        assert_eq!(find("/api/v1/calls/count/"), to("/api/v1/calls/count"));
        assert_eq!(
            find("/api/v1/calls/5/metadata/"),
            to("/api/v1/calls/5/metadata")
        );
        assert_eq!(
            find("/api/v1/calls/stats"),
            Found::Route(Route::ById("stats"))
        );
        assert_eq!(find("/api/v1/users/me"), Found::Nothing);
        assert_eq!(find("/nope/"), Found::Nothing);
    }

    #[test]
    fn the_hosted_server_answers_both_slash_forms() {
        for (path, route) in [
            ("/api/v1/calls", Route::List),
            ("/api/v1/calls/", Route::List),
            ("/api/v1/calls/5/", Route::ById("5")),
            ("/api/v1/calls/sid/v3:a", Route::BySid("v3:a")),
            ("/api/v1/users/me", Route::Me),
            ("/api/v1/calls/stats", Route::Stats),
            ("/calls/initiate", Route::Initiate),
            (
                "/api/v1/calls/5/recording/7/play/",
                Route::Below(Key::Id("5"), Detail::Play("7")),
            ),
            (
                "/api/v1/calls/sid/v3:a/transcripts",
                Route::Below(Key::Sid("v3:a"), Detail::Transcripts),
            ),
        ] {
            assert_eq!(find(Flavour::Hosted, path), Found::Route(route), "{path}");
        }
    }

    #[test]
    fn a_path_is_decoded_and_a_location_encoded() {
        assert_eq!(decode("/sid/v3%3Aa%zz%C3%A9%"), "/sid/v3:a%zzé%");
        assert_eq!(quote("/sid/v3:é b"), "/sid/v3:%C3%A9%20b");
    }
}
