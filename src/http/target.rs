//! What a path asks for. Matched by hand: there are few routes, and the path must be decoded
//! exactly once, before it is split, as the upstream's server does it (so `%2F` separates, and a
//! SID with a slash in it is nobody's path there or here).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The resource behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'p> {
    /// `/api/v1/calls/{call_id}`
    CallById(&'p str),
    /// `/api/v1/calls/sid/{call_sid}`
    CallBySid(&'p str),
    /// Of the upstream's API, but not answered by the edge.
    NotServed,
    /// `/edge/status`
    Status,
    /// `/edge/sync`
    Sync,
    /// `/edge/holds/release`
    ReleaseHolds,
    /// `/edge/changes`
    Changes,
    /// `/edge/webhooks/{secret}`; the secret may be wrong.
    Webhook(&'p str),
    /// `/healthz`
    Health,
    /// `/readyz`
    Readiness,
    Unknown,
}

/// The path as text, percent-decoded; what is no UTF-8 becomes U+FFFD.
pub fn decode(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}

impl<'p> Target<'p> {
    /// Of a decoded path. Slashes at its end make no difference.
    pub fn of(path: &'p str) -> Target<'p> {
        let path = path.trim_end_matches('/');
        if let Some(below) = path.strip_prefix("/api/v1/calls") {
            return Target::of_calls(below);
        }
        match path {
            "/edge/status" => Target::Status,
            "/edge/sync" => Target::Sync,
            "/edge/holds/release" => Target::ReleaseHolds,
            "/edge/changes" => Target::Changes,
            "/healthz" => Target::Health,
            "/readyz" => Target::Readiness,
            "/api/v1/users/me" | "/calls/initiate" => Target::NotServed,
            _ => match path.strip_prefix("/edge/webhooks/") {
                Some(secret) if !secret.contains('/') => Target::Webhook(secret),
                _ => Target::Unknown,
            },
        }
    }

    /// `below` is the path after `/api/v1/calls`: empty for the list itself.
    fn of_calls(below: &'p str) -> Target<'p> {
        let Some(below) = below.strip_prefix('/') else {
            return if below.is_empty() {
                Target::NotServed
            } else {
                Target::Unknown
            };
        };
        let (first, rest) = match below.split_once('/') {
            None => return Target::of_call_or_aggregate(below),
            Some(("sid", rest)) => match rest.split_once('/') {
                None => return Target::CallBySid(rest),
                Some(split) => split,
            },
            Some(split) => split,
        };
        if !first.is_empty() && is_detail(rest) {
            Target::NotServed
        } else {
            Target::Unknown
        }
    }

    fn of_call_or_aggregate(segment: &'p str) -> Target<'p> {
        match segment {
            "count" | "stats" | "analytics" | "export" => Target::NotServed,
            _ => Target::CallById(segment),
        }
    }

    /// The methods it answers, as `Allow` lists them; `None` where the method makes no difference.
    pub fn allow(self) -> Option<&'static str> {
        match self {
            Target::NotServed | Target::Unknown => None,
            Target::Sync | Target::ReleaseHolds | Target::Webhook(_) => Some("POST"),
            _ => Some("GET, HEAD"),
        }
    }

    /// Whether it is answered without a token. The first two tell no more than that a server is
    /// there; the last has a secret of its own.
    pub fn is_public(self) -> bool {
        matches!(
            self,
            Target::Health | Target::Readiness | Target::Webhook(_)
        )
    }
}

/// Whether the upstream has such a resource below a call.
fn is_detail(path: &str) -> bool {
    match path {
        "transcripts" | "transcripts/export" | "recordings" | "messages" | "metrics"
        | "metadata" | "webhook-logs" | "terminate" => true,
        _ => path
            .strip_prefix("recording/")
            .and_then(|path| path.strip_suffix("/play"))
            .is_some_and(|recording| !recording.is_empty() && !recording.contains('/')),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/api/v1/calls/5", Target::CallById("5"))]
    #[case("/api/v1/calls/5/", Target::CallById("5"))]
    #[case("/api/v1/calls/5%2F", Target::CallById("5"))]
    #[case("/api/v1/calls/%35", Target::CallById("5"))]
    #[case("/api/v1/calls/+5", Target::CallById("+5"))]
    #[case("/api/v1/calls/search", Target::CallById("search"))]
    #[case("/api/v1/calls/sid", Target::CallById("sid"))]
    #[case("/api/v1/calls/sid/", Target::CallById("sid"))]
    #[case("/api/v1/calls/sid/CA1/", Target::CallBySid("CA1"))]
    #[case("/api/v1/calls/sid/v3:aB_c", Target::CallBySid("v3:aB_c"))]
    #[case("/api/v1/calls/sid/v3%3AaB%20c", Target::CallBySid("v3:aB c"))]
    #[case("/api/v1/calls/sid/%2541", Target::CallBySid("%41"))]
    #[case("/api/v1/calls/sid/a+b%2Bc", Target::CallBySid("a+b+c"))]
    #[case("/api/v1/calls/sid/%C3%A9%FF%zz", Target::CallBySid("é\u{fffd}%zz"))]
    #[case("/edge/status/", Target::Status)]
    #[case("/edge/sync", Target::Sync)]
    #[case("/edge/holds/release/", Target::ReleaseHolds)]
    #[case("/edge/changes", Target::Changes)]
    #[case("/edge/webhooks/a%7Eb/", Target::Webhook("a~b"))]
    #[case("/healthz", Target::Health)]
    #[case("/readyz", Target::Readiness)]
    fn a_path_is_decoded_once_and_a_slash_at_its_end_ignored(
        #[case] path: &str,
        #[case] target: Target<'_>,
    ) {
        assert_eq!(Target::of(&decode(path)), target, "{path}");
    }

    #[rstest]
    fn what_the_upstream_has_and_the_edge_has_not_is_told_from_what_nobody_has(
        #[values(
            "",
            "/",
            "/count",
            "/stats/",
            "/analytics",
            "/export",
            "/5/transcripts",
            "/5/transcripts/export",
            "/5/recordings",
            "/5/recording/7/play",
            "/5/messages",
            "/5/metrics",
            "/5/metadata",
            "/5/webhook-logs",
            "/CA1/terminate",
            "/sid/CA1/transcripts",
            "/sid/CA1/recordings"
        )]
        known: &str,
    ) {
        let path = format!("/api/v1/calls{known}");
        assert_eq!(Target::of(&path), Target::NotServed, "{path}");
    }

    #[rstest]
    fn a_path_nobody_has_is_unknown(
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
            "/api/v1/calls/5/recording/7",
            "/api/v1/calls/5/recording//play",
            "//api/v1/calls/5",
            "/API/v1/calls/5",
            "/edge",
            "/edge/holds",
            "/edge/webhooks",
            "/edge/webhooks/",
            "/edge/webhooks/a/b",
            "/edge/webhooks/a%2Fb"
        )]
        path: &str,
    ) {
        assert_eq!(Target::of(&decode(path)), Target::Unknown, "{path}");
    }
}
