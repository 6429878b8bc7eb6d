//! What belongs to a call: chosen from the upstream's text, offline too, and as files.

use std::collections::BTreeMap;

use burki_edge::model::Detail;
use burki_edge::sync::Phase;
use burki_edge::upstream::ErrorKind;
use rstest::rstest;
use serde::Deserialize;

use super::edge_server::{Beginning, Edge, Received, Upstream};

use Detail::{Messages, Metrics, Recordings, Transcripts, WebhookLogs};

const CAPTURES: &str = include_str!("../fixtures/captures.jsonl");
const CALL: &str =
    r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":"2026-08-15T07:16:08"}"#;
const OPEN: &str =
    r#"{"id":6,"call_sid":"CA6","status":"ongoing","started_at":"2026-11-22T09:59:00"}"#;
const ENDED: &str =
    r#"{"id":6,"call_sid":"CA6","status":"completed","started_at":"2026-11-22T09:59:00"}"#;
const NO_CACHE: (&str, &str) = ("Cache-Control", "no-cache");

#[derive(Deserialize)]
struct Capture {
    request: Asked,
    response: Answered,
}

#[derive(Deserialize)]
struct Asked {
    path: String,
}

#[derive(Deserialize)]
struct Answered {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn captured() -> BTreeMap<String, Answered> {
    let captures = CAPTURES.lines().map(|line| {
        let capture: Capture = serde_json::from_str(line).unwrap();
        (capture.request.path, capture.response)
    });
    captures.collect()
}

fn provenance(answer: &Received) -> (u16, &str, Option<u64>) {
    (answer.status, answer.cache_status(), answer.age())
}

/// An edge with one ended call, number 5.
async fn edge() -> Edge {
    Edge::synced(Upstream::holding(&[CALL])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_captured_is_answered_byte_for_byte() {
    let captured = captured();
    let body = |path: &str| captured[&format!("/api/v1/calls/1{path}")].body.as_str();
    let upstream = Upstream::holding(&[body("")]);
    upstream.tell(1, Transcripts, body("/transcripts?include_interim=true"));
    upstream.tell(1, Recordings, body("/recordings"));
    upstream.lack(Messages);
    let edge = Edge::synced(upstream).await;
    let mut compared = 0;
    for (path, expected) in &captured {
        let below = path.strip_prefix("/api/v1/calls/1/");
        if below.is_none_or(|below| below.starts_with("metadata")) {
            continue;
        }
        let answer = edge.get(path);
        assert_eq!(answer.status, expected.status, "{path}");
        // The captured server adds a link to its 422, others do not.
        let link = expected.body.find(r#","url":"#);
        match link.filter(|_| expected.status == 422) {
            Some(link) => assert_eq!(answer.body, format!("{}}}]}}", &expected.body[..link])),
            None => assert_eq!(answer.body, expected.body, "{path}"),
        }
        for name in ["content-type", "content-disposition"] {
            let captured = expected.headers.get(name).map(String::as_str);
            assert_eq!(answer.header(name), captured, "{path}: {name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 10);
    assert_eq!(edge.upstream.asked_details().len(), 3);
    let sid = &captured.keys().find(|path| path.contains("/sid/")).unwrap();
    assert!(sid.contains("CA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_leaves_the_entries_as_they_were_written() {
    let edge = edge().await;
    let a = r#"{"role":"user", "n":1.10,"role_\u0020":1}"#;
    let b = r#"{ "r\u006fle" :"us\u0065r"}"#;
    let c = r#"{"role":null}"#;
    edge.upstream
        .tell(5, Messages, &format!("[{a} ,\n{b}, {c}]"));
    let path = "/api/v1/calls/5/messages";
    assert_eq!(edge.get(path).body, format!("[{a} ,\n{b}, {c}]"));
    let none = edge.get(&format!("{path}?role="));
    assert_eq!(none.body, format!("[{a} ,\n{b}, {c}]"));
    let users = edge.get(&format!("{path}?role=nobody&role=user"));
    assert_eq!(users.body, format!("[{a},{b}]"));
    assert_ne!(users.header("etag"), none.header("etag"));
    let nobody = edge.get(&format!("{path}/?role=User"));
    assert_eq!(nobody.body, "[]");

    let log = r#"{"webhook_type":"status-update"}"#;
    edge.upstream.tell(
        5,
        WebhookLogs,
        &format!(r#"[{log},{{"webhook_type":"x"}}]"#),
    );
    let path = "/api/v1/calls/5/webhook-logs?webhook_type=status-update";
    assert_eq!(edge.get(path).body, format!("[{log}]"));
    edge.upstream.tell(5, Metrics, r#"{"user_turns":1.0}"#);
    let metrics = edge.get("/api/v1/calls/5/metrics?role=user");
    assert_eq!(metrics.body, r#"{"user_turns":1.0}"#);
    let patch = edge.send("PATCH", "/api/v1/calls/5/metrics", Some("Bearer x"), &[]);
    assert_eq!(patch.status, 401);
}

#[rstest]
#[case("true", true)]
#[case("1", true)]
#[case("YES", true)]
#[case("oN", true)]
#[case("t", true)]
#[case("y", true)]
#[case("False", false)]
#[case("0", false)]
#[case("no", false)]
#[case("off", false)]
#[case("f", false)]
#[case("n", false)]
#[tokio::test(flavor = "multi_thread")]
async fn interim_rows_are_told_where_they_are_asked_for(#[case] word: &str, #[case] both: bool) {
    let edge = edge().await;
    let text = r#"[{"is_final":false},{"is_final":true},{}]"#;
    edge.upstream.tell(5, Transcripts, text);
    let answer = edge.get(&format!(
        "/api/v1/calls/sid/CA5/transcripts?include_interim={word}"
    ));
    let finals = r#"[{"is_final":true},{}]"#;
    assert_eq!(answer.body, if both { text } else { finals });
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_read_is_refused_all_at_once() {
    let edge = edge().await;
    let path = "/api/v1/calls/x/transcripts?include_interim=%20true";
    let refused = edge.get(path);
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.body,
        r#"{"detail":[{"type":"int_parsing","loc":["path","call_id"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"},{"type":"bool_parsing","loc":["query","include_interim"],"msg":"Input should be a valid boolean, unable to interpret input","input":" true"}]}"#
    );
    let refused = edge.get("/api/v1/calls/0/transcripts/export?format=TXT");
    assert_eq!(
        refused.body,
        r#"{"detail":[{"type":"string_pattern_mismatch","loc":["query","format"],"msg":"String should match pattern '^(txt|json|csv)$'","input":"TXT","ctx":{"pattern":"^(txt|json|csv)$"}}]}"#
    );
    assert_eq!(edge.get("/api/v1/calls/0/recordings").status, 404);
    assert_eq!(edge.upstream.asked_details(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_of_an_ended_call_is_served_without_asking_and_offline() {
    let edge = edge().await;
    edge.upstream.tell(5, Recordings, r#"[{"id":1}]"#);
    let path = "/api/v1/calls/5/recordings";
    let first = edge.get(path);
    assert_eq!(
        provenance(&first),
        (200, "burki-edge; fwd=miss; stored", Some(0))
    );
    edge.upstream.tell(5, Recordings, r#"[{"id":2}]"#);
    edge.pass(60);
    let held = edge.get(path);
    assert_eq!(provenance(&held), (200, "burki-edge; hit", Some(60)));
    assert_eq!(held.body, r#"[{"id":1}]"#);
    assert_eq!(held.header("cache-control"), Some("private, no-cache"));
    let tag = held.header("etag").unwrap();
    let known = edge.get_with(path, &[("If-None-Match", tag)]);
    assert_eq!((known.status, &*known.body), (304, ""));
    assert_eq!(edge.upstream.asked_details(), [(5, Recordings)]);

    let young = edge.get_with(path, &[("Cache-Control", "max-age=60")]);
    assert_eq!(young.cache_status(), "burki-edge; hit");
    let asked = edge.get_with(path, &[NO_CACHE]);
    assert_eq!(
        provenance(&asked),
        (200, "burki-edge; fwd=request; stored", Some(0))
    );
    assert_eq!(asked.body, r#"[{"id":2}]"#);

    edge.go_offline(ErrorKind::Unreachable).await;
    edge.pass(10);
    for headers in [&[][..], &[NO_CACHE]] {
        let held = edge.get_with(path, headers);
        assert_eq!(
            provenance(&held),
            (200, "burki-edge; hit; ttl=-10; detail=offline", Some(10))
        );
    }
    let head = edge.send("HEAD", path, Some("Bearer nobody"), &[]);
    assert_eq!(head.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_held_and_cannot_be_asked_for_is_named() {
    let edge = edge().await;
    let only = [("Cache-Control", "only-if-cached")];
    assert_eq!(edge.get_with("/api/v1/calls/5/messages", &only).status, 504);
    edge.go_offline(ErrorKind::Unreachable).await;
    for (below, what) in [
        ("transcripts", "transcripts"),
        ("transcripts/export", "transcripts"),
        ("webhook-logs", "webhook logs"),
    ] {
        let answer = edge.get(&format!("/api/v1/calls/5/{below}"));
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
        let body = format!(
            r#"{{"detail":"This edge does not hold the {what} of this call, and the upstream can't be asked for them now; try again"}}"#
        );
        assert_eq!(answer.body, body);
    }
    // All calls were read: that there is no other is known.
    assert_eq!(edge.get("/api/v1/calls/3/transcripts").status, 404);
    // Above the highest id it may be a new one.
    assert_eq!(edge.get("/api/v1/calls/7/transcripts").status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_is_asked_about_until_it_has_ended() {
    let edge = Edge::synced(Upstream::holding(&[CALL, OPEN])).await;
    let path = "/api/v1/calls/6/transcripts";
    assert_eq!(edge.get(path).body, "[]");
    edge.pass(3);
    edge.upstream.tell(6, Transcripts, r#"[{"id":1}]"#);
    let more = edge.get(path);
    assert_eq!(more.body, r#"[{"id":1}]"#);
    assert_eq!(more.cache_status(), "burki-edge; fwd=request; stored");
    edge.upstream.put(ENDED);
    edge.read_head_after(3).await;
    edge.upstream.tell(6, Transcripts, r#"[{"id":1},{"id":2}]"#);
    // What was heard before the end was not all.
    assert_eq!(edge.get(path).body, r#"[{"id":1},{"id":2}]"#);
    edge.upstream.asked_details();
    edge.pass(3);
    assert_eq!(edge.get(path).cache_status(), "burki-edge; hit");
    assert_eq!(edge.upstream.asked_details(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_nobody_has_and_a_kind_nobody_has_are_told_apart() {
    let edge = edge().await;
    edge.upstream.lack(Messages);
    let nobodys = edge.get("/api/v1/calls/7/messages");
    assert_eq!(
        nobodys.body,
        r#"{"detail":"Call with ID 7 not found in your organization"}"#
    );
    let nothing = edge.get("/api/v1/calls/5/messages");
    assert_eq!(
        (nothing.status, &*nothing.body),
        (404, r#"{"detail":"Not Found"}"#)
    );
    edge.upstream.put(OPEN);
    let new = edge.get("/api/v1/calls/sid/CA6/transcripts");
    assert_eq!((new.status, &*new.body), (200, "[]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_counted_and_an_edge_behind_an_edge_has_it_too() {
    let upstream = Upstream::holding(&[CALL]);
    upstream.tell(5, Transcripts, r#"[{"call_id":5,"is_final":false}]"#);
    upstream.lack(Messages);
    let beginning = Beginning {
        details: [Transcripts, Messages].into(),
        ..Beginning::default()
    };
    let edge = Edge::start_from(upstream, beginning, |_| {});
    edge.until(|status| status.phase == Phase::Live && status.details.kept == 1)
        .await;
    edge.until(|status| status.details.due == 0).await;
    let status: serde_json::Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(
        status["sync"]["details"],
        serde_json::json!({"due": 0, "kept": 1})
    );
    edge.pass(50);
    let behind = edge.start_behind();
    behind.until(|status| status.phase == Phase::Live).await;
    let path = "/api/v1/calls/5/transcripts?include_interim=1";
    let answer = tokio::task::block_in_place(|| behind.get(path));
    assert_eq!(answer.body, r#"[{"call_id":5,"is_final":false}]"#);
    assert_eq!(answer.age(), Some(50), "as old as the other edge's");
    assert_eq!(behind.get("/api/v1/calls/5/messages").status, 404);
    edge.go_offline(ErrorKind::Unreachable).await;
    assert_eq!(behind.get("/api/v1/calls/5/recordings").status, 503);
    assert_eq!(behind.get(path).status, 200);
}
