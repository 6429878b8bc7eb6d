//! The shapes of the answers: what the upstream was captured saying, and the edge's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burki_edge::http::Auth;
use burki_edge::sync::Phase;
use burki_edge::upstream::ErrorKind;
use serde::Deserialize;
use serde_json::Value;

use super::edge_server::{Beginning, Edge, KEY, TOKEN, Upstream, gate};

const CAPTURES: &str = include_str!("../fixtures/captures.jsonl");

const CALL: &str = r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":"2026-08-15T07:16:08","call_meta":{"n":1.10}}"#;
const UNAUTHORIZED: &str =
    r#"{"detail":"Authentication required. Provide a valid API key or login session."}"#;

#[derive(Deserialize)]
pub struct Capture {
    pub request: CapturedRequest,
    pub response: CapturedResponse,
}

#[derive(Deserialize)]
pub struct CapturedRequest {
    pub method: String,
    pub path: String,
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub struct CapturedResponse {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Capture {
    /// Whether it is about what this edge serves: single calls.
    fn is_served(&self) -> bool {
        let path = self.request.path.as_str();
        let hosted_elsewhere = ["count", "stats", "analytics", "export"];
        let single = path.strip_prefix("/api/v1/calls/").is_some_and(|below| {
            let segment = below.strip_prefix("sid/").unwrap_or(below);
            !segment.is_empty()
                && !segment.contains(['/', '?'])
                && !hosted_elsewhere.contains(&segment)
        });
        single || path.contains("search")
    }

    /// The captured server is a self-hosted one; a hosted one leaves the links out of its 422.
    pub fn hosted_body(&self) -> String {
        if self.response.status != 422 {
            return self.response.body.clone();
        }
        let mut pieces = self.response.body.split(r#","url":"#);
        let first = pieces.next().unwrap().to_owned();
        pieces.fold(first, |text, piece| {
            let (_link, rest) = piece.split_once("\"}").unwrap();
            text + "}" + rest
        })
    }
}

/// All that was captured.
pub fn all_captures() -> Vec<Capture> {
    let lines = CAPTURES.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

fn captures() -> Vec<Capture> {
    let captures = all_captures().into_iter();
    captures.filter(Capture::is_served).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_was_captured_answering_is_answered_byte_for_byte() {
    let captures = captures();
    let found = captures
        .iter()
        .filter(|capture| capture.response.status == 200);
    let bodies: Vec<&str> = found.map(|capture| &*capture.response.body).collect();
    let edge = Edge::synced(Upstream::holding(&bodies)).await;
    let mut compared = 0;
    for capture in captures.iter().filter(|c| c.request.method != "HEAD") {
        let (request, expected) = (&capture.request, &capture.response);
        let key = format!("Bearer {KEY}");
        let authorization = match &request.headers {
            Some(headers) => headers.get("Authorization").map(String::as_str),
            None => Some(key.as_str()),
        };
        let answer = edge.send(&request.method, &request.path, authorization, &[]);
        let context = format!("{} {}", request.method, request.path);
        assert_eq!(answer.status, expected.status, "{context}");
        assert_eq!(answer.body, capture.hosted_body(), "{context}");
        for name in ["content-type", "www-authenticate"] {
            let captured = expected.headers.get(name).map(String::as_str);
            assert_eq!(answer.header(name), captured, "{context}: {name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_the_same_by_every_spelling_of_its_path() {
    let sid = r#"{"id":6,"call_sid":"v3:aB/_é","status":"completed","started_at":null}"#;
    let edge = Edge::synced(Upstream::holding(&[CALL, sid])).await;
    for path in [
        "/api/v1/calls/5",
        "/api/v1/calls/5/",
        "/api/v1/calls/005",
        "/api/v1/calls/+5",
        "/api/v1/calls/5.0?ignored=1",
        "/api/v1/calls/%20%35%0A",
        "/api/v1/calls/sid/CA5",
        "/api/v1/calls/sid/CA5/",
        "/api/v1/calls/sid/%43A5",
        "http://edge/api/v1/calls/5",
    ] {
        let answer = edge.get(path);
        assert_eq!((answer.status, &*answer.body), (200, CALL), "{path}");
    }
    let answer = edge.get("/api/v1/calls/sid/ca5");
    assert_eq!(
        answer.body,
        r#"{"detail":"Call with SID ca5 not found in your organization"}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_gets_the_headers_of_the_get_and_no_body() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    for path in [
        "/api/v1/calls/5",
        "/api/v1/calls/abc",
        "/healthz",
        "/edge/status",
    ] {
        let (get, key) = (edge.get(path), format!("Bearer {KEY}"));
        let head = edge.send("HEAD", path, Some(&key), &[]);
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.sorted_headers(), get.sorted_headers(), "{path}");
        assert_eq!(head.body, "", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_which_ones_there_are() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let key = format!("Bearer {KEY}");
    for (method, path, allow) in [
        ("POST", "/api/v1/calls/5", "GET, HEAD"),
        ("DELETE", "/api/v1/calls/sid/CA5/", "GET, HEAD"),
        ("PUT", "/edge/status", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/edge/sync", "POST"),
        ("GET", "/edge/holds/release", "POST"),
        ("POST", "/edge/changes", "GET, HEAD"),
    ] {
        let answer = edge.send(method, path, Some(&key), &[]);
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.body, r#"{"detail":"Method Not Allowed"}"#);
        assert_eq!(answer.header("allow"), Some(allow));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_asked_is_told_to_whoever_may_read() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let key = format!("Bearer {KEY}");
    for (path, allow) in [
        ("/api/v1/calls/5", "GET, HEAD, OPTIONS"),
        ("/api/v1/calls/5/recording/7/play", "GET, HEAD, OPTIONS"),
        ("/api/v1/calls/5/metadata", "PATCH, OPTIONS"),
        ("/edge/sync", "POST, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ] {
        let answer = edge.send("OPTIONS", path, Some(&key), &[]);
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allow)));
        assert_eq!((answer.body.as_str(), answer.header("vary")), ("", None));
    }
    let stranger = edge.send("OPTIONS", "/api/v1/calls/5", None, &[]);
    assert_eq!(stranger.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_health_is_told_without_a_valid_token() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let refused = |(method, path): (&str, &str)| {
        for authorization in [None, Some("Bearer nope"), Some("Basic abc")] {
            let answer = edge.send(method, path, authorization, &[]);
            let body = if method == "HEAD" { "" } else { UNAUTHORIZED };
            assert_eq!(
                (answer.status, &*answer.body),
                (401, body),
                "{method} {path}"
            );
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    };
    let all = [
        ("GET", "/api/v1/calls/5"),
        ("GET", "/api/v1/calls/abc"),
        ("HEAD", "/api/v1/calls/5"),
        ("POST", "/api/v1/calls/5"),
        ("GET", "/api/v1/calls"),
        ("GET", "/edge/status"),
        ("POST", "/edge/sync"),
        ("POST", "/edge/holds/release"),
        ("GET", "/edge/changes"),
        ("GET", "/edge/webhooks"),
        ("GET", "/nope"),
        ("GET", "/healthz/x"),
    ];
    // Answers to wrong tokens are held back, eight of an address at once.
    for some in all.chunks(6) {
        std::thread::scope(|scope| {
            for request in some {
                scope.spawn(|| refused(*request));
            }
        });
    }
    let named = format!("bearer {TOKEN}");
    assert_eq!(
        edge.send("GET", "/api/v1/calls/5", Some(&named), &[]).body,
        CALL
    );
    assert_eq!(
        edge.send("GET", "/healthz", None, &[]).body,
        r#"{"status":"alive"}"#
    );
    assert_eq!(
        edge.send("GET", "/readyz/", None, &[]).body,
        r#"{"status":"ready"}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anonymous_mode_asks_nobody_for_a_token() {
    let upstream = Upstream::holding(&[CALL]);
    let edge = Edge::start(upstream, |shared| {
        shared.gate = gate(Auth::new(None, [], true))
    });
    assert_eq!(edge.send("GET", "/edge/status", None, &[]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_is_alive_at_once_and_ready_when_all_was_read() {
    let upstream = Upstream::holding(&[CALL]);
    upstream.fail(ErrorKind::Unauthorized);
    let edge = Edge::start(upstream, |_| {});
    assert_eq!(edge.send("GET", "/healthz", None, &[]).status, 200);
    let answer = edge.send("GET", "/readyz", None, &[]);
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.body,
        r#"{"status":"not ready","reason":"not all calls within sync.history were read from the upstream yet"}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_of_upstream_replica_and_sync() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    let replica = &status["replica"];
    assert!(replica["db_bytes"].as_u64().unwrap() > 0);
    assert!(replica["wal_bytes"].is_u64());
    assert!(status["upstream"]["next_attempt_at"].is_string());
    let requests = status["sync"]["requests_last_hour"].as_u64().unwrap();
    assert!((2..=10).contains(&requests));
    let start = "2026-11-22T10:00:00Z";
    let expected = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "organization_id": 7,
        "upstream": {
            "base_url": "https://upstream.test",
            "state": "online",
            "last_success_at": start,
            "consecutive_errors": 0,
            "last_error": null,
            "next_attempt_at": status["upstream"]["next_attempt_at"],
        },
        "replica": {
            "calls": 1,
            "tombstones": 0,
            "suspects": 0,
            "unreadable": 0,
            "coverage": {
                "complete": true,
                "from": null,
                "to": start,
                "windows": replica["coverage"]["windows"],
                "verified": start,
            },
            "newest_call_at": "2026-08-15T07:16:08Z",
            "oldest_verified_at": start,
            "db_bytes": replica["db_bytes"],
            "wal_bytes": replica["wal_bytes"],
        },
        "sync": {
            "phase": "live",
            "progress": 1.0,
            "requests_last_hour": requests,
            "budget_per_minute": 120,
            "freshness_bound_s": 93_601,
            "details": {"due": 0, "kept": 0},
        },
        // The worker's own.
        "readers": {"open": 1, "idle": 0, "waiting": 0},
        "writes": {"pending": 0, "failed": 0, "conflicts": 0},
    });
    assert_eq!(status, expected);

    // A list borrows one, and gives it back.
    edge.get("/api/v1/calls?limit=1");
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(
        status["readers"],
        serde_json::json!({"open": 2, "idle": 1, "waiting": 0})
    );

    edge.go_offline(ErrorKind::Throttled).await;
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(status["upstream"]["state"], "throttled");
    assert_eq!(status["upstream"]["last_error"]["kind"], "throttled");
    assert_eq!(status["upstream"]["last_error"]["at"], start);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_sync_reads_the_head_now() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    edge.pass(30);
    let now = edge.now();
    let answer = edge.send("POST", "/edge/sync/", Some(&format!("Bearer {KEY}")), &[]);
    assert_eq!(
        (answer.status, &*answer.body),
        (202, r#"{"status":"sync requested"}"#)
    );
    edge.until(|status| status.last_success_at == Some(now))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_held_nothing_is_released() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let key = format!("Bearer {KEY}");
    let answer = edge.send("POST", "/edge/holds/release/", Some(&key), &[]);
    assert_eq!(
        (answer.status, &*answer.body),
        (200, r#"{"status":"nothing is held"}"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_are_held_are_shown_and_released() {
    let upstream = Upstream::default();
    for id in 1..=200 {
        upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","started_at":"2026-11-20T09:00:00"}}"#,
        ));
    }
    let edge = Edge::synced(upstream).await;
    (1..=150).for_each(|id| edge.upstream.delete(id));
    edge.sync_after(1).await;
    edge.until(|status| status.phase == Phase::Held).await;
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(status["sync"]["phase"], "held");
    assert_eq!(edge.get("/api/v1/calls/1").status, 200);

    let key = format!("Bearer {KEY}");
    let answer = edge.send("POST", "/edge/holds/release", Some(&key), &[]);
    assert_eq!(
        (answer.status, &*answer.body),
        (202, r#"{"status":"release requested"}"#)
    );
    edge.until(|status| status.phase == Phase::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_is_ready_too_when_it_follows_an_upstream_that_cannot_send_all() {
    let upstream = Upstream::default();
    for id in 0..1200 {
        let (day, second) = (1 + id / 600 * 20, id % 60);
        upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","started_at":"2026-11-{day:02}T09:{:02}:{second:02}"}}"#,
            id % 600 / 60
        ));
    }
    let day = Duration::from_secs(86_400);
    let beginning = Beginning {
        history: Some(day * 3),
        ..Beginning::default()
    };
    let edge = Edge::start_from(upstream, beginning, |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(status["replica"]["coverage"]["complete"], false);
    assert_eq!(edge.send("GET", "/readyz", None, &[]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_that_says_nothing_and_the_worker_serves_on() {
    let edge = Edge::start(Upstream::holding(&[CALL]), |shared| {
        shared.clock = Arc::new(|| panic!("of the test's making"));
    });
    edge.until(|status| status.phase == Phase::Live).await;
    let answer = edge.get("/api/v1/calls/5");
    assert_eq!(
        (answer.status, &*answer.body),
        (500, r#"{"detail":"Internal Server Error"}"#)
    );
    assert_eq!(edge.get("/healthz").status, 200);
}
