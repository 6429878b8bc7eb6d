//! Counts, statistics and analytics.

use super::edge_server::{Edge, Upstream};

const BODIES: [&str; 6] = [
    r#"{"id":1,"call_sid":"CA1","status":"completed","assistant_id":1,"assistant_name":"Sales","duration":61,"started_at":"2026-11-20T09:00:00"}"#,
    r#"{"id":2,"call_sid":"CA2","status":"failed","assistant_id":2,"assistant_name":null,"duration":5,"started_at":"2026-11-21T23:59:59.999999"}"#,
    r#"{"id":3,"call_sid":"CA3","status":"ongoing","assistant_id":1,"assistant_name":"Sales Größe","duration":null,"started_at":"2026-11-22T09:00:00"}"#,
    r#"{"id":4,"call_sid":"CA4","status":"completed","assistant_id":1,"assistant_name":"Sales","duration":100,"started_at":"2026-11-22T00:00:00"}"#,
    r#"{"id":5,"call_sid":"CA5","status":"completed","assistant_id":1,"duration":7,"started_at":"2026-08-30T09:00:00"}"#,
    r#"{"id":6,"call_sid":"CA6","status":"completed","duration":null,"started_at":null}"#,
];

async fn edge() -> Edge {
    Edge::synced(Upstream::holding(&BODIES)).await
}

fn body(edge: &Edge, below: &str) -> String {
    let answer = edge.get(&format!("/api/v1/calls/{below}"));
    assert_eq!(answer.status, 200, "{below}: {}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("burki-edge-coverage"), Some("complete"));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_the_filters_of_a_count_alone() {
    let edge = edge().await;
    for (query, count) in [
        ("", 6),
        ("?status=completed", 4),
        ("?status=nope", 0),
        ("?assistant_id=1", 4),
        ("?status=", 6),
        ("?date_from=2026-11-21&date_to=2026-11-22", 2),
        ("?status=completed&date_from=2026-11-20", 2),
        // These are a list's.
        ("?min_duration=100&call_sid=CA1&skip=-1&limit=x", 6),
    ] {
        let counted = format!(r#"{{"count":{count}}}"#);
        assert_eq!(body(&edge, &format!("count{query}")), counted, "{query}");
    }
    assert_eq!(edge.get("/api/v1/calls/count?assistant_id=x").status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_are_of_completed_calls_that_have_a_duration() {
    let edge = edge().await;
    let expected = r#"{"total_calls":6,"total_duration":168,"average_duration":56.0}"#;
    assert_eq!(body(&edge, "stats"), expected);
    assert_eq!(body(&edge, "stats/?whatever=1"), expected);
    let empty = Edge::synced(Upstream::default()).await;
    assert_eq!(
        body(&empty, "stats"),
        r#"{"total_calls":0,"total_duration":0,"average_duration":0.0}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics_are_of_a_period_that_ends_now() {
    let edge = edge().await;
    let week = concat!(
        r#"{"total_calls":4,"completed_calls":2,"failed_calls":1,"ongoing_calls":1,"#,
        r#""total_duration":161.0,"avg_duration":80.5,"success_rate":50.0,"daily_stats":{"#,
        r#""2026-11-20":{"total":1,"completed":1,"failed":0},"#,
        r#""2026-11-21":{"total":1,"completed":0,"failed":1},"#,
        r#""2026-11-22":{"total":2,"completed":1,"failed":0}},"top_assistants":["#,
        r#"{"assistant_id":1,"assistant_name":"Sales Größe","calls":3,"duration":161.0},"#,
        r#"{"assistant_id":2,"assistant_name":"Unknown","calls":1,"duration":5.0}]}"#
    );
    assert_eq!(body(&edge, "analytics"), week);
    assert_eq!(body(&edge, "analytics?period=7d"), week);
    let total = |period: &str| {
        let body = body(&edge, &format!("analytics?period={period}"));
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        value["total_calls"].as_u64().unwrap()
    };
    assert_eq!((total("1d"), total("30d"), total("90d")), (3, 4, 5));
    // The clock alone moves the period.
    edge.pass(23 * 3600);
    assert_eq!(total("1d"), 1);
    edge.pass(86_400);
    assert_eq!(total("1d"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics_count_a_call_that_is_dated_in_the_future() {
    const FUTURE: &str = r#"{"id":1,"call_sid":"CA1","status":"failed","assistant_id":1,"assistant_name":"Sales","duration":null,"started_at":"2031-01-01T00:00:00"}"#;
    let edge = Edge::synced(Upstream::holding(&[FUTURE])).await;
    let told = body(&edge, "analytics?period=1d");
    assert!(told.starts_with(r#"{"total_calls":1,"#), "{told}");
    assert!(told.contains(r#""2031-01-01":{"total":1"#), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_has_a_tag_too() {
    let edge = edge().await;
    for below in ["count", "stats", "analytics"] {
        let path = format!("/api/v1/calls/{below}");
        let answer = edge.get(&path);
        let tag = answer.header("etag").unwrap();
        let again = edge.get_with(&path, &[("If-None-Match", tag)]);
        assert_eq!((again.status, &*again.body), (304, ""), "{below}");
        let head = edge.head_with(&path, &[]);
        assert_eq!(head.sorted_headers(), answer.sorted_headers());
        assert_eq!(answer.header("vary"), None, "it is too small for a choice");
    }
}
