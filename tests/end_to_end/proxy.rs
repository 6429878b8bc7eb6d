//! What the edge does not answer is passed on, with the caller's own key and no other.

use std::sync::Arc;

use burki_edge::simulator::WorldConfig;

use super::edge_and_upstream::{Site, TOKEN};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_edge_does_not_know_is_the_upstreams_to_answer() {
    let site = Site::of(WorldConfig::default()).await;
    for path in ["/nope", "/api/v1/calls/nope/nope/nope", "/api/v1/users/me"] {
        let (edge, upstream) = (site.get(path).await, site.upstream("GET", path, None).await);
        assert_eq!(
            (edge.status, edge.body.as_slice()),
            (upstream.status, upstream.body.as_slice()),
            "{path}"
        );
        assert_eq!(edge.header("content-type"), upstream.header("content-type"));
        assert_eq!(edge.header("cache-status"), Some("burki-edge; fwd=bypass"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_edges_own_is_never_sent_and_the_edges_key_never_lent() {
    let site = Site::of(WorldConfig::default()).await;
    site.simulator.clear_requests();
    for (method, path) in [("GET", "/nope"), ("PATCH", "/api/v1/calls/1/metadata")] {
        let body = (method == "PATCH").then_some(r#"{"metadata":{}}"#);
        let answer = site.send(&site.edge, TOKEN, method, path, &[], body).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("Burki API key"), "{}", answer.text());
        assert_eq!(site.simulator.count_requests(path), 0);
    }
    let stranger = site.send(&site.edge, "nobody", "GET", "/nope", &[], None);
    assert_eq!(stranger.await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_line_it_is_a_503_that_says_that_nothing_was_sent() {
    let site = Site::of(WorldConfig::default()).await;
    site.cut().await;
    let answer = site.ask("POST", "/calls/initiate", &[], Some("{}")).await;
    // The simulator takes the connection before it drops it, so that nobody knows.
    assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
    assert!(answer.text().contains("upstream"), "{}", answer.text());
    site.restore().await;
    assert_eq!(site.get("/nope").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_passed_on_is_paid_from_the_budget() {
    let budget = ("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "60");
    let world = WorldConfig {
        calls: 50,
        ..WorldConfig::default()
    };
    let site = Arc::new(Site::with(world, &[budget]).await);
    // They wait a few seconds for their turn, and no longer.
    let asked: Vec<_> = (0..60)
        .map(|_| {
            let site = Arc::clone(&site);
            tokio::spawn(async move { site.get("/nope").await })
        })
        .collect();
    let mut passed = 0;
    let mut refused = Vec::new();
    for answer in asked {
        let answer = answer.await.unwrap();
        match answer.status {
            404 => passed += 1,
            503 => refused.push(answer.header("retry-after").unwrap().to_owned()),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!((10..=40).contains(&passed), "{passed}");
    let seconds = refused.iter().map(|text| text.parse().unwrap());
    assert!(
        seconds
            .clone()
            .all(|seconds: u64| (1..=60).contains(&seconds))
    );
    assert_eq!(passed + seconds.count(), 60);
    assert_eq!(site.simulator.count_requests("/nope"), passed);
}
