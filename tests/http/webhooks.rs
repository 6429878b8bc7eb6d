//! The upstream's webhooks: who may send one, and that every one is received.

use std::io::{Read, Write};
use std::net::TcpStream;

use burki_edge::http::Webhooks;
use burki_edge::model::CallKey;
use serde_json::Value;

use super::edge_server::{Edge, KEY, Received, SECRET, Upstream};

const CALL: &str =
    r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":"2026-08-15T07:16:08"}"#;

/// As the upstream's documentation shows them.
const STATUS_UPDATE: &str = r#"{"message":{"type":"status-update","status":"in-progress","phoneNumber":{"number":"+15550001"},"call":{"id":"CA5","phoneCallProviderId":"CA5","customer":{"number":"+15550002"}},"messages":[]}}"#;
const REPORT: &str = r#"{"message":{"type":"end-of-call-report","phoneNumber":{"number":"+15550001"},"customer":{"number":"+15550002"},"summary":"all was said"}}"#;

fn target(secret: &str) -> String {
    format!("/edge/webhooks/{secret}")
}

fn is_received(answer: &Received) {
    assert_eq!(
        (answer.status, &*answer.body),
        (200, r#"{"status":"received"}"#)
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_body_holds_it_is_received_without_a_token() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let large = format!(r#"{{"message":{{"summary":"{}"}}}}"#, "x".repeat(2 << 20));
    for body in [
        STATUS_UPDATE,
        REPORT,
        "",
        "no JSON",
        "[",
        &"[".repeat(50_000),
        r#"{"message":{"call":{"id":"../../users/me"}}}"#,
        &large,
    ] {
        is_received(&edge.post(&target(SECRET), body.as_bytes()));
    }
    is_received(&edge.post(&target(SECRET), b"\xFF\xFE\0"));
    is_received(&edge.post("/edge/webhooks/0123456789abcdef%7Ehook/?x=1", b"{}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_wrong_secret_or_without_one_there_is_no_such_path() {
    let upstream = Upstream::holding(&[CALL]);
    let none = Edge::start(upstream.clone(), |shared| {
        shared.webhooks = Webhooks::new(None);
    });
    let edge = Edge::synced(upstream).await;
    let is_unknown = |answer: Received| {
        assert_eq!(
            (answer.status, &*answer.body),
            (404, r#"{"detail":"Not Found"}"#)
        );
        assert_eq!(answer.header("www-authenticate"), None);
        assert_eq!(answer.header("allow"), None);
    };
    // A stranger's body is waited for a while.
    std::thread::scope(|scope| {
        for secret in [
            "0123456789abcdef~hooK",
            "0123456789abcdef~hook0",
            "0123456789abcdef",
            "x",
        ] {
            let (edge, is_unknown) = (&edge, &is_unknown);
            scope.spawn(move || {
                is_unknown(edge.post(&target(secret), STATUS_UPDATE.as_bytes()));
                is_unknown(edge.send("GET", &target(secret), None, &[]));
            });
        }
        scope.spawn(|| is_unknown(none.post(&target(SECRET), STATUS_UPDATE.as_bytes())));
    });
    // As any other that nobody has.
    let key = format!("Bearer {KEY}");
    let (wrong, unknown) = (
        edge.send("GET", &target("x"), Some(&key), &[]),
        edge.send("GET", "/edge/nope", Some(&key), &[]),
    );
    assert_eq!(wrong.sorted_headers(), unknown.sorted_headers());
    assert_eq!(wrong.body, unknown.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_secret_is_told_the_method() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer = edge.send(method, &target(SECRET), None, &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    let answer = edge.send("OPTIONS", &target(SECRET), None, &[]);
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("POST, OPTIONS"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_or_never_ends_is_not_waited_for() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let path = target(SECRET);
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n");
    let slow = format!("{head}Content-Length: 1000\r\n\r\n{{\"message\":");
    is_received(&edge.send_as_is(slow.as_bytes()));
    let broken = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"mes\r\nno length\r\n");
    let answer = edge.send_as_is(broken.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(edge.get("/healthz").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_has_the_upstream_asked_for_the_call_or_for_what_is_new() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let changed = CALL.replace("completed", "failed");
    edge.upstream.put(&changed);
    edge.pass(1);
    is_received(&edge.post(&target(SECRET), STATUS_UPDATE.as_bytes()));
    let sid = CallKey::Sid("CA5".to_owned());
    edge.until_served(|| edge.get("/api/v1/calls/5").body == changed)
        .await;
    assert_eq!(edge.upstream.asked(), [sid]);

    let new =
        r#"{"id":6,"call_sid":"CA6","status":"completed","started_at":"2026-11-22T10:00:01"}"#;
    edge.upstream.put(new);
    edge.pass(1);
    is_received(&edge.post(&target(SECRET), REPORT.as_bytes()));
    let only_held = [("Cache-Control", "only-if-cached")];
    let held = || edge.get_with("/api/v1/calls/6", &only_held).status == 200;
    edge.until_served(held).await;
    assert_eq!(edge.upstream.asked(), []);
    assert_eq!(
        edge.get("/api/v1/calls/6").cache_status(),
        "burki-edge; hit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_cost_the_upstream_little() {
    let edge = Edge::synced(Upstream::holding(&[CALL])).await;
    let before = edge.upstream.requests();
    let path = target(SECRET);
    let requests: String = [STATUS_UPDATE, REPORT]
        .iter()
        .cycle()
        .take(1000)
        .map(|body| {
            let length = body.len();
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        })
        .collect();
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    let mut answers = stream.try_clone().unwrap();
    let sent = std::thread::spawn(move || {
        stream.write_all(requests.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut text = String::new();
    answers.read_to_string(&mut text).unwrap();
    sent.join().unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1000);
    // Whatever the hints led to comes before this answer.
    edge.sync_after(1).await;
    let asked = edge.upstream.requests() - before;
    assert!(asked <= 50, "{asked} requests");
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(status["upstream"]["state"], "online");
}
