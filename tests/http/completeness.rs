//! What is said of answers when not all was read.

use std::time::Duration;

use burki_edge::sync::Phase;
use burki_edge::upstream::ErrorKind;

use super::edge_server::{Beginning, Edge, Upstream};

const NEW: &str =
    r#"{"id":2,"call_sid":"CA2","status":"completed","started_at":"2026-11-21T09:00:00"}"#;

fn coverage(edge: &Edge, below: &str) -> String {
    let answer = edge.get(&format!("/api/v1/calls{below}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let header = answer.header("burki-edge-coverage");
    header.expect("it is always there").to_owned()
}

/// The upstream has 1,200 calls, one a minute, back from 08:59 of November 21, and its edge reads
/// one hour of history.
async fn limited() -> Edge {
    let upstream = Upstream::default();
    for id in 0..1200 {
        let (hour, minute) = (id / 60, id % 60);
        upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","assistant_name":"Sales","started_at":"2026-11-21T{hour:02}:{minute:02}:00"}}"#
        ));
    }
    let beginning = Beginning {
        history: Some(Duration::from_secs(3600)),
        ..Beginning::default()
    };
    let edge = Edge::start_from(upstream, beginning, |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    edge
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_history_is_complete_for_what_lies_within_it() {
    let edge = limited().await;
    let undated = coverage(&edge, "");
    let from = undated.strip_prefix("partial; from=\"").unwrap();
    let from = from.strip_suffix('"').unwrap();
    assert!(
        from.starts_with("2026-11-21T") && from.ends_with('Z'),
        "{from}"
    );
    let since = format!("date_from={from}");
    for below in [
        format!("?{since}"),
        format!("/count?{since}"),
        format!("/export?{since}"),
        "?date_from=2026-11-22".to_owned(),
    ] {
        assert_eq!(coverage(&edge, &below), "complete", "{below}");
    }
    for below in [
        "?date_to=2026-11-22",
        "/count",
        "/stats",
        "/export",
        "/analytics?period=90d",
    ] {
        assert_eq!(coverage(&edge, below), undated, "{below}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_read_nothing_is_known() {
    let upstream = Upstream::holding(&[NEW]);
    upstream.fail(ErrorKind::Unreachable);
    let edge = Edge::start(upstream, |_| {});
    edge.until(|status| status.consecutive_errors > 0).await;
    for below in [
        "",
        "/count",
        "/stats",
        "/analytics",
        "/export",
        "?date_from=2026-11-22",
    ] {
        let answer = edge.get(&format!("/api/v1/calls{below}"));
        assert_eq!(answer.status, 503, "{below}: {}", answer.body);
        assert!(answer.header("retry-after").is_some(), "{below}");
        assert!(answer.body.contains("has read nothing yet"), "{below}");
    }
    let only = [("Cache-Control", "only-if-cached, max-age=86400")];
    assert_eq!(edge.get_with("/api/v1/calls", &only).status, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_gets_older_and_is_verified_again_without_a_change() {
    let edge = Edge::synced(Upstream::holding(&[NEW])).await;
    let age = || edge.get("/api/v1/calls").age();
    assert_eq!(age(), Some(0));
    edge.pass(40);
    assert_eq!(age(), Some(40));
    edge.read_head_after(0).await;
    assert_eq!(age(), Some(0));
}
