//! Calls that were proven to be gone: what is said of them with the upstream there and not.

use std::collections::BTreeSet;

use burki_edge::model::CallKey;
use burki_edge::sync::Phase;
use burki_edge::upstream::ErrorKind;
use serde_json::Value;

use super::edge_server::{Beginning, Edge, Received, Upstream};

/// Gone since an hour before the edges here start. The number is what is kept of the SID CA9.
const GONE: Beginning = Beginning {
    details: BTreeSet::new(),
    history: None,
    sql: "INSERT INTO tombstones (id, sid_hash, deleted_at, request_seq, change_seq)
          VALUES (9, -4936843625434598994, unixepoch('2026-11-22T09:00:00') * 1000000, 1, 1)",
};

fn provenance(answer: &Received) -> (u16, &str, Option<u64>) {
    (answer.status, answer.cache_status(), answer.age())
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_a_deleted_call_is_known_to_be_gone_though_not_all_was_read() {
    let upstream = Upstream::default();
    upstream.fail(ErrorKind::Unreachable);
    let edge = Edge::start_from(upstream, GONE, |_| {});
    edge.until(|status| status.consecutive_errors > 0).await;
    edge.pass(60);
    for (path, named) in [
        ("/api/v1/calls/9", "ID 9"),
        ("/api/v1/calls/sid/CA9", "SID CA9"),
    ] {
        let answer = edge.get(path);
        assert_eq!(
            provenance(&answer),
            (
                404,
                "burki-edge; hit; ttl=-3660; detail=offline",
                Some(3660)
            )
        );
        let body = format!(r#"{{"detail":"Call with {named} not found in your organization"}}"#);
        assert_eq!(answer.body, body);
        let only = [("Cache-Control", "only-if-cached")];
        assert_eq!(edge.get_with(path, &only).status, 404);
    }
    assert_eq!(edge.get("/api/v1/calls/10").status, 503);
    let status: Value = serde_json::from_str(&edge.get("/edge/status").body).unwrap();
    assert_eq!(status["replica"]["tombstones"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_upstream_answers_it_is_asked_about_a_deleted_call_too() {
    let back = r#"{"id":9,"call_sid":"CA9","status":"completed","started_at":null}"#;
    let edge = Edge::start_from(Upstream::default(), GONE, |_| {});
    edge.until(|status| status.last_success_at.is_some()).await;
    let answer = edge.get("/api/v1/calls/9");
    assert_eq!(provenance(&answer), (404, "burki-edge; fwd=miss", Some(0)));
    edge.upstream.put(back);
    let answer = edge.get("/api/v1/calls/9");
    assert_eq!((answer.status, &*answer.body), (200, back));
    let asked = [CallKey::Id(9), CallKey::Id(9)];
    assert_eq!(edge.upstream.asked(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_all_calls_may_be_newer_than_the_deletion() {
    let edge = Edge::start_from(Upstream::default(), GONE, |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    edge.go_offline(ErrorKind::Unreachable).await;
    edge.pass(60);
    assert_eq!(edge.get("/api/v1/calls/9").age(), Some(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_of_changes_tells_of_a_deletion_and_of_a_return() {
    let upstream = Upstream::default();
    let edge = Edge::start_from(upstream, GONE, |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    let page = edge.get("/edge/changes").body;
    assert!(
        page.starts_with(
            r#"{"items":[{"seq":1,"age_s":3600,"op":"delete","id":9}],"next":1,"more":false,"feed":""#
        ),
        "{page}"
    );
    let back = r#"{"id":9,"call_sid":"CA9","status":"completed","started_at":null}"#;
    edge.upstream.put(back);
    edge.sync_after(1).await;
    let page = edge.get("/edge/changes?after=1").body;
    let item =
        format!(r#"{{"items":[{{"seq":2,"age_s":0,"op":"upsert","call":{back}}}],"next":2,"#);
    assert!(page.starts_with(&item), "{page}");
}
