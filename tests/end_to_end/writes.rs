//! A change of metadata while the line is down: a 503 by default, and with `writes.queue` a 202 that
//! is kept.

use std::time::Duration;

use burki_edge::simulator::{Fault, WorldConfig};
use serde_json::{Value, json};

use super::edge_and_upstream::{Answer, Site, TOKEN};

const QUEUE: (&str, &str) = ("BURKI_EDGE_WRITES__QUEUE", "true");

impl Site {
    async fn queueing(more: &[(&str, &str)]) -> Site {
        let settings: Vec<_> = [QUEUE].into_iter().chain(more.iter().copied()).collect();
        Site::with(WorldConfig::default(), &settings).await
    }

    async fn change(&self, id: i64, metadata: &Value) -> Answer {
        let path = format!("/api/v1/calls/{id}/metadata");
        let body = json!({ "metadata": metadata }).to_string();
        self.ask("PATCH", &path, &[], Some(&body)).await
    }

    async fn call(&self, id: i64) -> Answer {
        self.get(&format!("/api/v1/calls/{id}")).await
    }

    fn upstreams(&self, id: i64) -> Value {
        let text = self.simulator.world().text(id).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn until_taken(&self) {
        for _ in 0..3000 {
            if self.handle.pending().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still pending: {}", self.get("/edge/writes").await.text());
    }

    async fn counts(&self) -> Value {
        self.get("/edge/status").await.json()["writes"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_nothing_is_kept() {
    let site = Site::of(WorldConfig::default()).await;
    let id = site.simulator.world().newest(10)[9];
    let before = site.call(id).await;
    site.cut().await;
    let answer = site.change(id, &json!({"a": 1})).await;
    assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
    assert_eq!(site.call(id).await.text(), before.text());
    assert_eq!(site.get("/edge/writes").await.json()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_offline_is_read_at_once_and_reaches_the_upstream() {
    let site = Site::queueing(&[]).await;
    let id = site.simulator.world().newest(10)[9];
    let before = site.call(id).await;
    site.cut().await;
    let answer = site.change(id, &json!({"größe": [1], "n": 2})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let write_id = answer.header("burki-edge-pending").unwrap().to_owned();
    assert_eq!(answer.json()["call_meta"]["größe"], json!([1]));
    let sid = answer.json()["call_sid"].as_str().unwrap().to_owned();
    for path in [
        format!("/api/v1/calls/{id}"),
        format!("/api/v1/calls/sid/{sid}"),
    ] {
        let read = site.get(&path).await;
        assert_eq!(read.text(), answer.text(), "{path}");
        assert_eq!(read.header("etag"), answer.header("etag"));
        assert_ne!(read.header("etag"), before.header("etag"));
        assert_eq!(read.header("burki-edge-pending"), Some(&*write_id));
        let tag = read.header("etag").unwrap();
        let known = [("if-none-match", tag)];
        let known = site.ask("GET", &path, &known, None).await;
        assert_eq!(known.status, 304);
    }
    let listed = site.get("/edge/writes").await.json();
    assert_eq!(
        (&listed["pending"], &listed["failed"]),
        (&json!(1), &json!(0))
    );
    let item = &listed["items"][0];
    assert_eq!(item["metadata"], json!({"größe": [1], "n": 2}));
    assert_eq!(
        (&item["call_id"], &item["state"]),
        (&json!(id), &json!("pending"))
    );
    assert_eq!(
        site.counts().await,
        json!({"pending": 1, "failed": 0, "conflicts": 0})
    );
    site.restore().await;
    site.until_taken().await;
    assert_eq!(site.upstreams(id)["call_meta"]["n"], json!(2));
    let after = site.call(id).await;
    assert_eq!(after.header("burki-edge-pending"), None);
    assert_eq!(
        Some(after.text()),
        site.simulator.world().text(id).as_deref()
    );
    assert_eq!(site.counts().await["pending"], json!(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_so_many_and_they_can_be_dropped_by_who_may_write() {
    let site = Site::queueing(&[("BURKI_EDGE_WRITES__QUEUE_LIMIT", "2")]).await;
    let id = site.simulator.world().newest(10)[9];
    let before = site.call(id).await;
    site.cut().await;
    for n in 0..2 {
        assert_eq!(site.change(id, &json!({"a": n})).await.status, 202);
    }
    let full = site.change(id, &json!({"a": 3})).await;
    assert_eq!(full.status, 503);
    assert!(full.header("retry-after").is_some() && full.text().contains("/edge/writes"));
    let path = format!("/api/v1/calls/{id}/metadata");
    let body = Some(r#"{"metadata":{}}"#);
    let named = site.send(&site.edge, TOKEN, "PATCH", &path, &[], body);
    assert_eq!(named.await.status, 403);
    let named = site.send(&site.edge, TOKEN, "DELETE", "/edge/writes/1", &[], None);
    assert_eq!(named.await.status, 403);
    assert_eq!(
        site.call(id).await.header("burki-edge-pending"),
        Some("1, 2")
    );
    for (write_id, status) in [("1", 204), ("2", 204), ("2", 404), ("x", 404)] {
        let path = format!("/edge/writes/{write_id}");
        assert_eq!(site.ask("DELETE", &path, &[], None).await.status, status);
    }
    assert_eq!(site.call(id).await.text(), before.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_what_was_accepted() {
    let mut site = Site::queueing(&[]).await;
    let id = site.simulator.world().newest(10)[9];
    site.cut().await;
    let first = site.change(id, &json!({"a": 1})).await;
    assert_eq!(first.status, 202);
    site.restart().await;
    assert_eq!(site.call(id).await.text(), first.text());
    site.until(|status| status.consecutive_errors > 0).await;
    let second = site.change(id, &json!({"b": 2})).await;
    assert_eq!(second.status, 202, "{}", second.text());
    assert_eq!(second.json()["call_meta"]["a"], json!(1));
    site.restore().await;
    site.until_taken().await;
    assert_eq!(site.upstreams(id)["call_meta"]["a"], json!(1));
    assert_eq!(site.upstreams(id)["call_meta"]["b"], json!(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_call_keep_their_order_and_refusals_are_not_queued() {
    let site = Site::queueing(&[]).await;
    let id = site.simulator.world().newest(10)[9];
    site.cut().await;
    assert_eq!(site.change(id, &json!({"a": 1})).await.status, 202);
    let path = format!("/{id}/metadata");
    site.simulator
        .faults()
        .always_where(&path, Fault::ServerError);
    site.restore().await;
    assert_eq!(site.change(id, &json!({"a": 2})).await.status, 202);
    let other = site.simulator.world().newest(10)[8];
    let answer = site.change(other, &json!({"a": 3})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    site.simulator.faults().clear();
    site.handle.sync_now();
    site.until_taken().await;
    assert_eq!(site.upstreams(id)["call_meta"]["a"], json!(2));
    for fault in [
        Fault::ServerError,
        Fault::Throttled {
            retry_after: "1".into(),
        },
    ] {
        site.simulator.faults().times_where(1, &path, fault);
        let refused = site.change(id, &json!({"a": 4})).await;
        assert!(matches!(refused.status, 500 | 429), "{}", refused.status);
    }
    assert!(site.handle.pending().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_a_change_is_refused_as_the_upstream_would() {
    let site = Site::queueing(&[]).await;
    let id = site.simulator.world().newest(10)[9];
    let cases = [
        (id.to_string(), ""),
        (id.to_string(), "{"),
        (id.to_string(), "[ 1 ]"),
        (id.to_string(), r#"{"a" : 1}"#),
        (id.to_string(), r#"{"metadata": [1.50]}"#),
        ("abc".to_owned(), r#"{"metadata": null}"#),
        ("abc".to_owned(), r#"{"metadata": {}}"#),
    ];
    let mut expected = Vec::new();
    for (id, body) in &cases {
        let path = format!("/api/v1/calls/{id}/metadata");
        expected.push(site.upstream("PATCH", &path, Some(body)).await);
    }
    site.cut().await;
    for ((id, body), upstream) in cases.iter().zip(expected) {
        let path = format!("/api/v1/calls/{id}/metadata");
        let edge = site.ask("PATCH", &path, &[], Some(body)).await;
        assert_eq!(edge.status, upstream.status, "{id} {body}");
        assert_eq!(edge.json(), upstream.json(), "{id} {body}");
    }
    let unknown = site.change(9_999_999, &json!({"a": 1})).await;
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    assert!(site.handle.pending().is_empty());
    let lenient = format!("/api/v1/calls/+0{id}.0/metadata/");
    let taken = site.ask("PATCH", &lenient, &[], Some(r#"{"metadata":{"a":1}}"#));
    assert_eq!(taken.await.status, 202);
}
