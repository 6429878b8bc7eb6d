//! The endpoint that a path names. Matched by hand: there are few routes, and a path must be
//! decoded exactly once, before it is split, as the upstream's server does it (so `%2F` separates,
//! and a SID with a slash has no path there or here).

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::model::{Detail, Scope};

/// How a path names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'p> {
    /// `{call_id}`
    Id(&'p str),
    /// `sid/{call_sid}`
    Sid(&'p str),
}

/// The resource behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// `/api/v1/calls`
    Calls,
    /// `/api/v1/calls/count`
    Count,
    /// `/api/v1/calls/stats`
    Stats,
    /// `/api/v1/calls/analytics`
    Analytics,
    /// `/api/v1/calls/export`
    Export,
    /// `/api/v1/calls/{call_id}`, `/api/v1/calls/sid/{call_sid}`
    Call(Name<'p>),
    /// A detail, below either path of a call; by SID the upstream has only transcripts and recordings.
    Details(Name<'p>, Detail),
    /// `/api/v1/calls/{call_id}/transcripts/export`
    TranscriptsExport(&'p str),
    /// `/api/v1/calls/{call_id}/recording/{recording_id}/play`
    Audio {
        call: &'p str,
        recording: &'p str,
    },
    /// `/api/v1/calls/{call_id}/metadata`
    Metadata(&'p str),
    /// No endpoint of the edge; the upstream may know it.
    Elsewhere,
    /// `/edge/status`
    Status,
    /// `/edge/sync`
    Sync,
    /// `/edge/holds/release`
    ReleaseHolds,
    /// `/edge/changes`
    Changes,
    /// `/edge/writes`
    Writes,
    /// `/edge/writes/{write_id}`
    Write(&'p str),
    /// `/edge/webhooks/{secret}`; the secret may be wrong.
    Webhook(&'p str),
    /// `/healthz`
    Health,
    /// `/readyz`
    Readiness,
    /// `/openapi.json`
    OpenApi,
    /// `/docs`
    Docs,
    Unknown,
}

/// The path as text, percent-decoded; bytes that are not UTF-8 become U+FFFD. Dot segments are
/// resolved (RFC 3986, section 5.2.4), so that none leads out of the path that is checked.
pub fn decode(path: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    match has_dots(&decoded) {
        true => Cow::Owned(without_dots(&decoded)),
        false => decoded,
    }
}

/// Few paths have any dot at all.
fn has_dots(path: &str) -> bool {
    memchr(b'.', path.as_bytes()).is_some()
        && path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// The path to forward: as it was written, unless a server on the way could read dot segments in
/// it.
pub fn encode(path: &str) -> Cow<'_, str> {
    match percent_decode_str(path).decode_utf8_lossy() {
        decoded
            if decoded
                .split(['/', '\\'])
                .any(|part| matches!(part, "." | "..")) =>
        {
            let resolved = without_dots(&decoded);
            Cow::Owned(utf8_percent_encode(&resolved, NOT_IN_PATHS).to_string())
        }
        // HTTP clients read a backslash as a slash (WHATWG URL, section 4.4); here it is none.
        _ if path.contains('\\') => Cow::Owned(path.replace('\\', "%5C")),
        _ => Cow::Borrowed(path),
    }
}

/// The characters that are percent-encoded when a path is written again.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@');

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        match (is_dots, segments.peek()) {
            (false, _) => kept.push(segment),
            (true, None) => kept.push(""),
            (true, Some(_)) => {}
        }
    }
    format!("/{}", kept.join("/"))
}

impl<'p> Endpoint<'p> {
    /// The endpoint of a decoded path. Trailing slashes make no difference.
    pub fn of(path: &'p str) -> Endpoint<'p> {
        let path = path.trim_end_matches('/');
        if let Some(below) = path.strip_prefix("/api/v1/calls") {
            return Endpoint::of_calls(below);
        }
        match path {
            "/edge/status" => Endpoint::Status,
            "/edge/sync" => Endpoint::Sync,
            "/edge/holds/release" => Endpoint::ReleaseHolds,
            "/edge/changes" => Endpoint::Changes,
            "/edge/writes" => Endpoint::Writes,
            "/healthz" => Endpoint::Health,
            "/readyz" => Endpoint::Readiness,
            "/openapi.json" => Endpoint::OpenApi,
            "/docs" => Endpoint::Docs,
            _ => match path.strip_prefix("/edge/webhooks/") {
                Some(secret) if !secret.contains('/') => Endpoint::Webhook(secret),
                _ => Endpoint::of_edge(path),
            },
        }
    }

    fn of_edge(path: &'p str) -> Endpoint<'p> {
        match path.strip_prefix("/edge/writes/") {
            Some(id) if !id.contains('/') => Endpoint::Write(id),
            _ if path == "/edge" || path.starts_with("/edge/") => Endpoint::Unknown,
            _ => Endpoint::Elsewhere,
        }
    }

    /// `below` is the path after `/api/v1/calls`: empty for the list itself.
    fn of_calls(below: &'p str) -> Endpoint<'p> {
        let Some(below) = below.strip_prefix('/') else {
            return match below {
                "" => Endpoint::Calls,
                _ => Endpoint::Elsewhere,
            };
        };
        let segments: Vec<&str> = below.split('/').collect();
        let detail = |name| {
            Detail::ALL
                .into_iter()
                .find(|detail| detail.as_str() == name)
        };
        match *segments {
            ["count"] => Endpoint::Count,
            ["stats"] => Endpoint::Stats,
            ["analytics"] => Endpoint::Analytics,
            ["export"] => Endpoint::Export,
            [id] => Endpoint::Call(Name::Id(id)),
            ["", ..] => Endpoint::Elsewhere,
            ["sid", sid] => Endpoint::Call(Name::Sid(sid)),
            ["sid", sid, "transcripts"] => Endpoint::Details(Name::Sid(sid), Detail::Transcripts),
            ["sid", sid, "recordings"] => Endpoint::Details(Name::Sid(sid), Detail::Recordings),
            [call, "recording", recording, "play"] if !recording.is_empty() => {
                Endpoint::Audio { call, recording }
            }
            [call, "transcripts", "export"] => Endpoint::TranscriptsExport(call),
            [call, "metadata"] => Endpoint::Metadata(call),
            [call, name] => match detail(name) {
                Some(detail) => Endpoint::Details(Name::Id(call), detail),
                None => Endpoint::Elsewhere,
            },
            _ => Endpoint::Elsewhere,
        }
    }

    /// The methods it answers, as `Allow` lists them; `None` if the method makes no difference.
    pub fn allow(self) -> Option<&'static str> {
        match self {
            Endpoint::Elsewhere | Endpoint::Unknown => None,
            Endpoint::Sync | Endpoint::ReleaseHolds | Endpoint::Webhook(_) => Some("POST"),
            Endpoint::Metadata(_) => Some("PATCH"),
            Endpoint::Write(_) => Some("DELETE"),
            Endpoint::Details(Name::Id(_), Detail::Metrics) => Some("GET, HEAD, PATCH"),
            _ => Some("GET, HEAD"),
        }
    }

    /// The scope that a token of the edge's own needs. The edge's state needs none.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Endpoint::Sync | Endpoint::ReleaseHolds => Some(Scope::Operate),
            Endpoint::Metadata(_) | Endpoint::Write(_) => Some(Scope::Write),
            _ if self.reports_state() || self.is_public() => None,
            _ => Some(Scope::Read),
        }
    }

    /// True if it reports the edge's state. Such an endpoint is always answered, because operators
    /// need it when the edge is overloaded.
    pub fn reports_state(self) -> bool {
        matches!(
            self,
            Endpoint::Health | Endpoint::Readiness | Endpoint::Status
        )
    }

    /// True if it needs no token. Such an endpoint shows only that a server is there and what it
    /// can be asked; a webhook has its own secret.
    pub fn is_public(self) -> bool {
        matches!(
            self,
            Endpoint::Health
                | Endpoint::Readiness
                | Endpoint::OpenApi
                | Endpoint::Docs
                | Endpoint::Webhook(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/api/v1/calls/5", Endpoint::Call(Name::Id("5")))]
    #[case("/api/v1/calls/5/", Endpoint::Call(Name::Id("5")))]
    #[case("/api/v1/calls/5%2F", Endpoint::Call(Name::Id("5")))]
    #[case("/api/v1/calls/%35", Endpoint::Call(Name::Id("5")))]
    #[case("/api/v1/calls/+5", Endpoint::Call(Name::Id("+5")))]
    #[case("/api/v1/calls/search", Endpoint::Call(Name::Id("search")))]
    #[case("/api/v1/calls/sid", Endpoint::Call(Name::Id("sid")))]
    #[case("/api/v1/calls/sid/", Endpoint::Call(Name::Id("sid")))]
    #[case("/api/v1/calls/sid/CA1/", Endpoint::Call(Name::Sid("CA1")))]
    #[case("/api/v1/calls/sid/v3:aB_c", Endpoint::Call(Name::Sid("v3:aB_c")))]
    #[case("/api/v1/calls/sid/v3%3AaB%20c", Endpoint::Call(Name::Sid("v3:aB c")))]
    #[case("/api/v1/calls/sid/%2541", Endpoint::Call(Name::Sid("%41")))]
    #[case("/api/v1/calls/sid/a+b%2Bc", Endpoint::Call(Name::Sid("a+b+c")))]
    #[case(
        "/api/v1/calls/sid/%C3%A9%FF%zz",
        Endpoint::Call(Name::Sid("é\u{fffd}%zz"))
    )]
    #[case("/edge/status/", Endpoint::Status)]
    #[case("/edge/sync", Endpoint::Sync)]
    #[case("/edge/holds/release/", Endpoint::ReleaseHolds)]
    #[case("/edge/changes", Endpoint::Changes)]
    #[case("/edge/writes/", Endpoint::Writes)]
    #[case("/edge/writes/7", Endpoint::Write("7"))]
    #[case("/edge/webhooks/a%7Eb/", Endpoint::Webhook("a~b"))]
    #[case("/healthz", Endpoint::Health)]
    #[case("/readyz", Endpoint::Readiness)]
    fn a_path_is_decoded_once_and_a_slash_at_its_end_ignored(
        #[case] path: &str,
        #[case] target: Endpoint<'_>,
    ) {
        assert_eq!(Endpoint::of(&decode(path)), target, "{path}");
    }

    #[rstest]
    #[case("", Endpoint::Calls)]
    #[case("/", Endpoint::Calls)]
    #[case("/count", Endpoint::Count)]
    #[case("/stats/", Endpoint::Stats)]
    #[case("/analytics", Endpoint::Analytics)]
    #[case("/export", Endpoint::Export)]
    #[case(
        "/5/transcripts",
        Endpoint::Details(Name::Id("5"), Detail::Transcripts)
    )]
    #[case("/5/transcripts/export", Endpoint::TranscriptsExport("5"))]
    #[case("/5/recordings", Endpoint::Details(Name::Id("5"), Detail::Recordings))]
    #[case("/5/recording/7/play", Endpoint::Audio { call: "5", recording: "7" })]
    #[case("/5/messages", Endpoint::Details(Name::Id("5"), Detail::Messages))]
    #[case("/5/metrics/", Endpoint::Details(Name::Id("5"), Detail::Metrics))]
    #[case("/5/metadata", Endpoint::Metadata("5"))]
    #[case(
        "/5/webhook-logs",
        Endpoint::Details(Name::Id("5"), Detail::WebhookLogs)
    )]
    #[case(
        "/sid/CA1/transcripts",
        Endpoint::Details(Name::Sid("CA1"), Detail::Transcripts)
    )]
    #[case(
        "/sid/v3:a%2Db/recordings",
        Endpoint::Details(Name::Sid("v3:a-b"), Detail::Recordings)
    )]
    fn what_belongs_to_calls_is_told_apart(#[case] below: &str, #[case] target: Endpoint<'_>) {
        let path = format!("/api/v1/calls{below}");
        assert_eq!(Endpoint::of(&decode(&path)), target, "{path}");
    }

    #[rstest]
    #[case("/x/../../admin", "/admin")]
    #[case("/x/%2e%2e/%2E./admin/", "/admin/")]
    #[case("/x/..%2f..%2fadmin", "/admin")]
    #[case("/a/./b/..", "/a/")]
    #[case("/..", "/")]
    #[case("/a/..\\..\\b", "/a/..%5C..%5Cb")]
    #[case("/api/v1\\calls\\5", "/api/v1%5Ccalls%5C5")]
    #[case("/a/..b/c..", "/a/..b/c..")]
    #[case("/a%2Fb/\u{e9}", "/a%2Fb/\u{e9}")]
    fn no_path_leads_out_of_where_it_is_passed_on_to(#[case] path: &str, #[case] passed: &str) {
        assert_eq!(encode(path), passed);
        let base = url::Url::parse("https://burki.example/base/").unwrap();
        let whole = format!("{}{}", base.as_str().trim_end_matches('/'), encode(path));
        let read = url::Url::parse(&whole).unwrap();
        assert!(read.path().starts_with("/base/"), "{read}");
        assert_eq!(
            Endpoint::of(&decode(path)),
            Endpoint::of(&decode(&read.path()[5..]))
        );
    }

    #[test]
    fn dot_segments_hide_no_resource() {
        for path in [
            "/api/v1/calls/5/./metadata",
            "/api/v1/calls/x/%2e%2e/5/metadata",
        ] {
            assert_eq!(
                Endpoint::of(&decode(path)),
                Endpoint::Metadata("5"),
                "{path}"
            );
        }
    }

    #[rstest]
    fn what_the_edge_does_not_know_is_elsewhere(
        #[values(
            "/",
            "",
            "*",
            "/nope",
            "/api/v1",
            "/api/v1/callsx",
            "/api/v1/calls/nope/nope/nope",
            "/api/v1/calls//transcripts",
            "/api/v1/calls/sid/a%2Fb",
            "/api/v1/calls/sid/CA1/messages",
            "/api/v1/calls/5/recording/7",
            "/api/v1/calls/5/recording//play",
            "/api/v1/calls/CA1/terminate",
            "/api/v1/users/me",
            "/calls/initiate",
            "//api/v1/calls/5",
            "/API/v1/calls/5"
        )]
        path: &str,
    ) {
        assert_eq!(Endpoint::of(&decode(path)), Endpoint::Elsewhere, "{path}");
    }

    #[rstest]
    fn what_is_below_the_edges_own_path_is_nobody_elses(
        #[values(
            "/edge",
            "/edge/holds",
            "/edge/webhooks",
            "/edge/webhooks/",
            "/edge/webhooks/a/b",
            "/edge/writes/7/8",
            "/edge/webhooks/a%2Fb"
        )]
        path: &str,
    ) {
        assert_eq!(Endpoint::of(&decode(path)), Endpoint::Unknown, "{path}");
    }
}
