//! The feed of changes, as another edge reads it.

use serde_json::{Value, json};

use super::edge_server::{Edge, Received, Upstream};

const BODIES: [&str; 3] = [
    r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":"2026-08-15T07:16:08","call_meta":{"n":1.10}}"#,
    r#"{"call_sid":"CA\u00366","id":6, "status":"failed","started_at":null}"#,
    r#"{"id":7,"call_sid":"CA7","status":"ongoing","started_at":"2026-11-22T09:59:59.5"}"#,
];

fn page(answer: &Received) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_in_the_feed_in_its_own_text_and_in_order() {
    let edge = Edge::synced(Upstream::holding(&BODIES)).await;
    let answer = edge.get("/edge/changes");
    for body in BODIES {
        let item = format!(r#""op":"upsert","call":{body}}}"#);
        assert!(answer.body.contains(&item), "{}", answer.body);
    }
    let page = page(&answer);
    let seqs: Vec<u64> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs.len(), 3);
    assert!(seqs.is_sorted_by(|one, next| one < next), "{seqs:?}");
    assert_eq!(page["next"], seqs[2]);
    assert_eq!(page["more"], false);
    assert_eq!(page["organization_id"], 7);
    let feed = page["feed"].as_str().unwrap();
    assert!(!feed.is_empty() && feed.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_one_at_a_time_gets_all_and_then_what_is_new() {
    let edge = Edge::synced(Upstream::holding(&BODIES)).await;
    let all = page(&edge.get("/edge/changes/"));
    let (mut items, mut after) = (Vec::new(), json!(0));
    loop {
        let page = page(&edge.get(&format!("/edge/changes?after={after}&limit=1")));
        assert!(page["items"].as_array().unwrap().len() <= 1);
        items.extend(page["items"].as_array().unwrap().clone());
        after = page["next"].clone();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(all["items"], json!(items));
    let path = format!("/edge/changes?after={after}");
    let end = page(&edge.get(&path));
    assert_eq!((&end["items"], &end["next"]), (&json!([]), &after));

    let new =
        r#"{"id":8,"call_sid":"CA8","status":"completed","started_at":"2026-11-22T10:00:00"}"#;
    edge.upstream.put(new);
    edge.sync_after(1).await;
    let page = page(&edge.get(&path));
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["items"][0]["call"]["id"], 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_number_is_refused_in_the_upstreams_words() {
    let edge = Edge::synced(Upstream::holding(&BODIES)).await;
    let entry = |kind: &str, name: &str, msg: &str, input: &str| json!({"type": kind, "loc": ["query", name], "msg": msg, "input": input});
    let no_number = "Input should be a valid integer, unable to parse string as an integer";
    let least = |least| format!("Input should be greater than or equal to {least}");
    let mut below = entry("greater_than_equal", "after", &least(0), "-1");
    below["ctx"] = json!({"ge": 0});
    let mut zero = entry("greater_than_equal", "limit", &least(1), "0");
    zero["ctx"] = json!({"ge": 1});
    let at_most = "Input should be less than or equal to 1000";
    let mut above = entry("less_than_equal", "limit", at_most, "1001");
    above["ctx"] = json!({"le": 1000});
    for (query, detail) in [
        (
            "after=x",
            json!([entry("int_parsing", "after", no_number, "x")]),
        ),
        (
            "limit=",
            json!([entry("int_parsing", "limit", no_number, "")]),
        ),
        ("limit=0", json!([zero])),
        ("limit=1001", json!([above])),
        ("limit=0&after=-1", json!([below, zero])),
    ] {
        let answer = edge.get(&format!("/edge/changes?{query}"));
        assert_eq!(answer.status, 422, "{query}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body, json!({"detail": detail}), "{query}");
    }
    let lenient = edge.get("/edge/changes?after=%20+0_0.0&limit=01000");
    assert_eq!(page(&lenient)["items"].as_array().unwrap().len(), 3);
}
