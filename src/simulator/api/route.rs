//! Which operation a path names, and the self-hosted server's redirects between slash forms.

use std::fmt::Write;

use super::{ApiRequest, ApiResponse, Flavour};

/// What is answered from records. Paths below a call that are not simulated (transcripts,
/// recordings, …) and the other aggregates name nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    List,
    Count,
    ById(&'a str),
    BySid(&'a str),
    Metadata(&'a str),
    Me,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Route(Route<'a>),
    /// The decoded path to go to.
    Redirect(String),
    Nothing,
}

impl Route<'_> {
    /// The one method the path takes, which `Allow` names.
    pub(super) fn method(self) -> &'static str {
        match self {
            Route::Metadata(_) => "PATCH",
            _ => "GET",
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

/// Both slash forms are the same.
fn hosted(path: &str) -> Option<Route<'_>> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/api/v1/calls" => Some(Route::List),
        "/api/v1/users/me" => Some(Route::Me),
        path => match path.strip_prefix("/api/v1/calls/")? {
            "stats" => None,
            rest => below_calls(rest),
        },
    }
}

/// The list has its slash, everything else has none; `stats` is taken for an id.
fn self_hosted(path: &str) -> Option<Route<'_>> {
    match path.strip_prefix("/api/v1/calls/")? {
        "" => Some(Route::List),
        rest => below_calls(rest),
    }
}

fn below_calls(rest: &str) -> Option<Route<'_>> {
    match rest.split_once('/') {
        None if rest.is_empty() => None,
        None => match rest {
            "count" => Some(Route::Count),
            "analytics" | "export" => None,
            id => Some(Route::ById(id)),
        },
        Some(("sid", sid)) if !sid.is_empty() && !sid.contains('/') => Some(Route::BySid(sid)),
        Some((id, "metadata")) if !id.is_empty() => Some(Route::Metadata(id)),
        Some(_) => None,
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
        body: String::new(),
        records: Vec::new(),
    }
}

/// Percent-encodes what Starlette does in a `Location`.
fn quote(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~:/%#?=@[]!$&'()*+,;".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Undoes percent-encoding; what is no encoding stays, what is no UTF-8 becomes U+FFFD.
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
        ] {
            assert_eq!(find(Flavour::Hosted, path), Found::Route(route), "{path}");
        }
        assert_eq!(find(Flavour::Hosted, "/api/v1/calls/stats"), Found::Nothing);
    }

    #[test]
    fn a_path_is_decoded_and_a_location_encoded() {
        assert_eq!(decode("/sid/v3%3Aa%zz%C3%A9%"), "/sid/v3:a%zzé%");
        assert_eq!(quote("/sid/v3:é b"), "/sid/v3:%C3%A9%20b");
    }
}
