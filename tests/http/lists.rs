//! The list: what it holds, in which order, and what is said of it.

use std::time::Duration;

use burki_edge::http::Scans;
use burki_edge::upstream::ErrorKind;
use serde_json::Value;

use super::edge_server::{Edge, Received, Upstream};
use super::export::MANY;
use super::surface::all_captures;

const LIST: &str = "/api/v1/calls";

/// Oddly spelled, as some texts are: a list repeats them as they are.
const BODIES: [&str; 5] = [
    r#"{"id":1,"call_sid":"CA1","status":"completed","assistant_id":1,"assistant_name":"Empfang KÖLN","customer_phone_number":"+4930001","duration":61,"started_at":"2026-11-20T09:00:00"}"#,
    r#"{"call_sid":"v3:aB","id":2, "status":"failed","assistant_id":2,"assistant_name":null,"customer_phone_number":"anonymous","duration":0,"started_at":"2026-11-21T09:00:00Z","call_meta":{"n":1.10}}"#,
    r#"{"id":3,"call_sid":"CA3","status":"ongoing","assistant_id":1,"assistant_name":"Empfang KÖLN","customer_phone_number":"+4930003","duration":null,"started_at":"2026-11-22T09:00:00.5Z"}"#,
    r#"{"id":4,"call_sid":"CA4","status":"completed","assistant_id":3,"assistant_name":"50% off","customer_phone_number":"+1415555","duration":120,"started_at":"2026-11-20T09:00:00"}"#,
    r#"{"id":5,"call_sid":"CA5\u0035","status":"failed","assistant_id":1,"duration":null,"started_at":null}"#,
];

fn ids(answer: &Received) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_u64().unwrap()).collect()
}

async fn edge() -> Edge {
    Edge::synced(Upstream::holding(&BODIES)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_the_texts_as_they_are_and_how_many_there_are() {
    let edge = edge().await;
    let [first, second, third, fourth, fifth] = BODIES;
    for path in [
        "/api/v1/calls",
        "/api/v1/calls/",
        "/api/v1/calls/?unknown=1",
    ] {
        assert_eq!(
            edge.get(path).body,
            format!(
                r#"{{"items":[{fifth},{third},{second},{fourth},{first}],"total":5,"skip":0,"limit":100}}"#
            )
        );
    }
    assert_eq!(
        edge.get("/api/v1/calls?skip=1&limit=2").body,
        format!(r#"{{"items":[{third},{second}],"total":5,"skip":1,"limit":2}}"#)
    );
    assert_eq!(
        edge.get("/api/v1/calls?skip=5").body,
        r#"{"items":[],"total":5,"skip":5,"limit":100}"#
    );
    let beyond = edge.get("/api/v1/calls?skip=99999999999999999999");
    assert!(ids(&beyond).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_narrowed_by_every_filter_and_by_all_of_them() {
    let edge = edge().await;
    for (query, found) in [
        ("status=failed", &[5, 2][..]),
        ("status=Failed", &[]),
        ("status=", &[5, 3, 2, 4, 1]),
        ("assistant_id=1", &[5, 3, 1]),
        ("assistant_id=0", &[5, 3, 2, 4, 1]),
        ("assistant_id=%201.0", &[5, 3, 1]),
        ("assistant_id=99999999999999999999", &[]),
        ("customer_phone=%2B4930", &[3, 1]),
        ("customer_phone=+4930", &[]),
        ("customer_phone=ANON", &[2]),
        ("call_sid=ab", &[2]),
        ("assistant_name=k%C3%B6ln", &[3, 1]),
        ("assistant_name=0%25", &[4]),
        ("assistant_name=_", &[]),
        ("date_from=2026-11-21", &[3, 2]),
        ("date_from=2026-11-21&date_from=2026-11-22", &[3]),
        ("date_to=2026-11-20T09:00", &[4, 1]),
        ("date_from=1795248000", &[3, 2]),
        ("date_from=1795248000000", &[3, 2]),
        ("date_from=2026-11-21T12:00:00%2B03:00", &[3, 2]),
        ("date_from=2026-11-21T12:00:01%2B03:00", &[3]),
        ("date_from=2026-11-21_09:00z", &[3, 2]),
        ("date_from=9999-12-31T23:59-05:00", &[]),
        ("date_from=0001-01-01T00:00%2B05:00", &[3, 2, 4, 1]),
        ("date_from=2026-11-22&date_to=2026-11-21", &[]),
        ("min_duration=61", &[4, 1]),
        ("max_duration=61", &[2, 1]),
        ("min_duration=-5", &[2, 4, 1]),
        ("call_sid=&max_duration=99999999999999999999", &[2, 4, 1]),
        ("min_duration=99999999999999999999", &[]),
        ("status=completed&min_duration=100&assistant_name=OFF", &[4]),
    ] {
        let answer = edge.get(&format!("{LIST}?{query}"));
        assert_eq!(ids(&answer), found, "{query}");
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(page["total"], found.len(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_the_captured_ones() {
    let edge = edge().await;
    let mut compared = 0;
    for capture in all_captures() {
        let path = &capture.request.path;
        let many =
            path.contains("/calls/?") || path.contains("analytics") || path.contains("export");
        if capture.response.status != 422 || !many || path.contains("transcripts") {
            continue;
        }
        let answer = edge.get(path);
        assert_eq!(answer.status, 422, "{path}");
        assert_eq!(answer.body, capture.hosted_body(), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        compared += 1;
    }
    assert_eq!(compared, 9);
    let path = "/api/v1/calls?max_duration=x&date_to=0000-01-01&assistant_id=1.5&limit=&skip=-1";
    let answer: Value = serde_json::from_str(&edge.get(path).body).unwrap();
    let told: Vec<_> = (answer["detail"].as_array().unwrap().iter())
        .map(|entry| {
            (
                entry["loc"][1].as_str().unwrap(),
                entry["type"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("skip", "greater_than_equal"),
            ("limit", "int_parsing"),
            ("assistant_id", "int_parsing"),
            ("date_to", "datetime_parsing"),
            ("max_duration", "int_parsing"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_page_comes_out_as_it_went_in() {
    let captures = all_captures();
    let is_page = |path: &str| path == "/api/v1/calls/?limit=100";
    let page = captures
        .iter()
        .find(|capture| is_page(&capture.request.path));
    let array = &page.unwrap().response.body;
    let texts: Vec<&serde_json::value::RawValue> = serde_json::from_str(array).unwrap();
    let bodies: Vec<&str> = texts.iter().map(|text| text.get()).collect();
    let edge = Edge::synced(Upstream::holding(&bodies)).await;
    let body = edge.get("/api/v1/calls/?limit=1000").body;
    let size = r#"{"items":,"total":100,"skip":0,"limit":1000}"#.len();
    assert_eq!(body.len(), array.len() + size);
    // Among those that start at one instant the upstream has no order.
    for text in bodies {
        assert!(body.contains(text), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_page_is_told_so_until_it_changes() {
    let edge = edge().await;
    edge.pass(61);
    let answer = edge.get(LIST);
    assert_eq!(answer.cache_status(), "burki-edge; hit");
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("burki-edge-coverage"), Some("complete"));
    assert_eq!(answer.age(), Some(61));
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(tag.len(), 18);

    for _ in 0..2 {
        let again = edge.get_with(LIST, &[("If-None-Match", &tag)]);
        assert_eq!((again.status, &*again.body), (304, ""));
        assert_eq!(again.header("etag"), Some(&*tag));
        assert_eq!(again.header("burki-edge-coverage"), Some("complete"));
        assert_eq!(again.age(), Some(61));
        edge.read_head_after(0).await;
        edge.pass(61);
    }
    let other = edge.get("/api/v1/calls?limit=99");
    assert_ne!(other.header("etag"), Some(&*tag), "its limit is another");

    let head = edge.head_with(LIST, &[]);
    assert_eq!(head.sorted_headers(), edge.get(LIST).sorted_headers());
    assert_eq!((head.status, &*head.body), (200, ""));

    edge.upstream.put(
        r#"{"id":3,"call_sid":"CA3","status":"failed","started_at":"2026-11-22T09:00:00.5Z"}"#,
    );
    edge.read_head_after(1).await;
    let changed = edge.get_with(LIST, &[("If-None-Match", &tag)]);
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(&*tag));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_not_given_after_a_change() {
    let edge = edge().await;
    let queries = [
        "",
        "?limit=2",
        "?status=failed",
        "/count",
        "/stats",
        "/count?status=failed",
    ];
    for round in 0..10 {
        for query in queries {
            // Twice, so that the second is a kept one.
            let first = edge.get(&format!("{LIST}{query}"));
            assert_eq!(edge.get(&format!("{LIST}{query}")).body, first.body);
        }
        let id = 100 + round;
        edge.upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"failed","started_at":"2026-11-22T09:30:{round:02}Z"}}"#
        ));
        edge.read_head_after(1).await;
        let page = edge.get("/api/v1/calls?limit=2");
        assert_eq!(ids(&page), [5, id]);
        let total = 6 + round;
        assert_eq!(
            edge.get("/api/v1/calls/count").body,
            format!(r#"{{"count":{total}}}"#)
        );
        let stats: Value = serde_json::from_str(&edge.get("/api/v1/calls/stats").body).unwrap();
        assert_eq!(stats["total_calls"], total);
        assert_eq!(
            ids(&edge.get("/api/v1/calls?status=failed")).len() as u64,
            3 + round
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_served_offline_with_its_age_and_not_to_who_wants_it_younger() {
    let edge = edge().await;
    edge.go_offline(ErrorKind::Unreachable).await;
    edge.pass(90);
    let answer = edge.get(LIST);
    assert_eq!(ids(&answer).len(), 5);
    assert_eq!(
        answer.cache_status(),
        "burki-edge; hit; ttl=-90; detail=offline"
    );
    let demanding = |demand| edge.get_with(LIST, &[("Cache-Control", demand)]).status;
    assert_eq!(demanding("only-if-cached"), 200);
    assert_eq!(demanding("only-if-cached, max-age=90"), 200);
    assert_eq!(demanding("only-if-cached, max-age=89"), 504);
    assert_eq!(demanding("only-if-cached, no-cache"), 504);
    // What there is, with its age told, is better than nothing.
    assert_eq!(demanding("no-cache"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_takes_too_long_is_broken_off_and_says_when_to_come_back() {
    let upstream = Upstream::default();
    upstream.fail(ErrorKind::Unreachable);
    let edge = Edge::start_from(upstream, MANY, |shared| {
        shared.scans = Scans::limited(&shared.readers, Duration::ZERO);
    });
    edge.until(|status| status.consecutive_errors > 0).await;
    let answer = edge.get("/edge/changes?limit=1000");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert!(answer.body.contains("took longer"), "{}", answer.body);
    assert_eq!(edge.get("/api/v1/calls/5").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_is_a_number_however_it_is_written_and_no_text() {
    let durations = [
        "34.5", "30", "3e1", "29.75", "\"34\"", "0.1", "1e-7", "1e999",
    ];
    let bodies: Vec<String> = (1..)
        .zip(durations)
        .map(|(id, seconds)| {
            format!(
                r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","duration":{seconds},"started_at":"2026-11-20T09:00:0{id}"}}"#
            )
        })
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let edge = Edge::synced(Upstream::holding(&bodies)).await;
    for (query, found) in [
        ("min_duration=30", &[3, 2, 1][..]),
        ("min_duration=35", &[]),
        ("max_duration=30", &[7, 6, 4, 3, 2]),
        ("min_duration=30&max_duration=30", &[3, 2]),
        ("max_duration=0", &[]),
    ] {
        let answer = edge.get(&format!("{LIST}?{query}"));
        assert_eq!(ids(&answer), found, "{query}");
    }
    let stats = edge.get("/api/v1/calls/stats");
    let total = r#""total_duration":124.35,"#;
    assert!(stats.body.contains(total), "{}", stats.body);
}
