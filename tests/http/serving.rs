//! Where answers come from, how old they say they are, and what is said when nobody knows.

use std::sync::Arc;

use actix_web::{App, HttpServer};
use burki_edge::http::{Audio, Auth, Places, Scans, Shared, Webhooks, routes};
use burki_edge::model::CallKey;
use burki_edge::store::Readers;
use burki_edge::upstream::ErrorKind;
use rusqlite::Connection;

use super::edge_server::{Edge, Received, Upstream, gate};

const FIRST: &str =
    r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":"2026-08-15T07:16:08"}"#;
const CHANGED: &str =
    r#"{"id":5,"call_sid":"CA5","status":"failed","started_at":"2026-08-15T07:16:08"}"#;
const NEW: &str =
    r#"{"id":6,"call_sid":"CA6","status":"completed","started_at":"2026-11-22T10:00:30"}"#;

const BY_ID: &str = "/api/v1/calls/5";
const NO_CACHE: (&str, &str) = ("Cache-Control", "no-cache");

fn provenance(answer: &Received) -> (u16, &str, Option<u64>) {
    (answer.status, answer.cache_status(), answer.age())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_call_is_answered_with_its_tag_and_its_age() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.pass(61);
    let answer = edge.get(BY_ID);
    assert_eq!(provenance(&answer), (200, "burki-edge; hit", Some(61)));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("vary"), None);
    assert_eq!(
        answer.header("content-length"),
        Some(&*FIRST.len().to_string())
    );
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(tag.len(), 18);
    assert_eq!(edge.upstream.asked(), []);

    edge.read_head_after(0).await;
    let again = edge.get_with(BY_ID, &[("If-None-Match", &format!("\"x\", W/{tag}"))]);
    assert_eq!(provenance(&again), (304, "burki-edge; hit", Some(0)));
    assert_eq!((again.header("etag"), &*again.body), (Some(&*tag), ""));
    assert_eq!(again.header("content-type"), None);

    edge.upstream.put(CHANGED);
    edge.read_head_after(1).await;
    let changed = edge.get_with(BY_ID, &[("If-None-Match", &tag)]);
    assert_eq!((changed.status, &*changed.body), (200, CHANGED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_asks_the_upstream_once_and_is_a_hit_from_then_on() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.upstream.put(NEW);
    edge.pass(60);
    let answer = edge.get("/api/v1/calls/sid/CA6");
    assert_eq!(
        provenance(&answer),
        (200, "burki-edge; fwd=miss; stored", Some(0))
    );
    assert_eq!(answer.body, NEW);
    let answer = edge.get("/api/v1/calls/6");
    assert_eq!(provenance(&answer), (200, "burki-edge; hit", Some(0)));
    assert_eq!(edge.upstream.asked(), [CallKey::Sid("CA6".to_owned())]);
}

/// "Can't store" is not "can't ask".
#[tokio::test(flavor = "multi_thread")]
async fn while_the_file_is_locked_clients_get_the_upstreams_answer() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.upstream.put(NEW);
    edge.pass(60);
    let other = Connection::open(edge.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for path in [
        "/api/v1/calls/6",
        "/api/v1/calls/sid/CA6",
        "/api/v1/calls/6",
    ] {
        let answer = edge.get(path);
        let told = (200, "burki-edge; fwd=miss", Some(0));
        assert_eq!(provenance(&answer), told, "{path}");
        assert_eq!(answer.body, NEW);
    }
    let nobody = edge.get("/api/v1/calls/7");
    assert_eq!(provenance(&nobody), (404, "burki-edge; fwd=miss", Some(0)));
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_upstream_answers_its_word_alone_makes_a_404() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.pass(60);
    let answer = edge.get("/api/v1/calls/61");
    assert_eq!(provenance(&answer), (404, "burki-edge; fwd=miss", Some(0)));
    assert_eq!(
        answer.body,
        r#"{"detail":"Call with ID 61 not found in your organization"}"#
    );
    assert_eq!(edge.upstream.asked(), [CallKey::Id(61)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_no_call_can_have_is_a_404_that_asks_nobody() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    for (path, named) in [
        ("0", "ID 0"),
        ("-1", "ID -1"),
        ("0099999999999999999999", "ID 99999999999999999999"),
    ] {
        let answer = edge.get_with(&format!("/api/v1/calls/{path}"), &[NO_CACHE]);
        let body = format!(r#"{{"detail":"Call with {named} not found in your organization"}}"#);
        assert_eq!((answer.status, &*answer.body), (404, &*body));
    }
    assert_eq!(edge.upstream.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_everything_is_answered_as_before_and_says_so() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.go_offline(ErrorKind::Unreachable).await;
    edge.pass(3600);
    let hit = (
        200,
        "burki-edge; hit; ttl=-3600; detail=offline",
        Some(3600),
    );
    let known = (
        404,
        "burki-edge; hit; ttl=-3600; detail=offline",
        Some(3600),
    );
    assert_eq!(provenance(&edge.get(BY_ID)), hit);
    assert_eq!(provenance(&edge.get("/api/v1/calls/sid/CA5")), hit);
    assert_eq!(provenance(&edge.get_with(BY_ID, &[NO_CACHE])), hit);
    assert_eq!(
        provenance(&edge.get_with(BY_ID, &[("Pragma", "no-cache")])),
        hit
    );
    assert_eq!(
        provenance(&edge.get_with(BY_ID, &[("Cache-Control", "max-age=1")])),
        hit
    );
    // Below the highest id there is no new call; above it, or under another SID, there may be.
    assert_eq!(provenance(&edge.get("/api/v1/calls/4")), known);
    for path in ["/api/v1/calls/6", "/api/v1/calls/sid/CA6"] {
        let answer = edge.get(path);
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_a_503_and_never_a_404() {
    let upstream = Upstream::holding(&[FIRST]);
    upstream.fail(ErrorKind::Timeout);
    let edge = Edge::start(upstream, |_| {});
    edge.until(|status| status.consecutive_errors > 0).await;
    for path in [BY_ID, "/api/v1/calls/sid/CA5"] {
        let answer = edge.get(path);
        assert_eq!((answer.status, answer.age()), (503, None));
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(answer.body.starts_with(r#"{"detail":"#));
    }
    let answer = edge.get_with(BY_ID, &[("Cache-Control", "only-if-cached")]);
    assert_eq!(answer.status, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cache_gets_the_upstreams_word_of_this_moment() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.upstream.put(CHANGED);
    edge.pass(60);
    assert_eq!(edge.get(BY_ID).body, FIRST);
    let answer = edge.get_with(BY_ID, &[NO_CACHE]);
    assert_eq!(
        provenance(&answer),
        (200, "burki-edge; fwd=request; stored", Some(0))
    );
    assert_eq!(answer.body, CHANGED);
    edge.upstream.delete(5);
    let answer = edge.get_with(BY_ID, &[NO_CACHE]);
    assert_eq!(
        provenance(&answer),
        (404, "burki-edge; fwd=request", Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_is_served_on_and_no_window_makes_it_younger() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.upstream.delete(5);
    assert_eq!(edge.get_with(BY_ID, &[NO_CACHE]).status, 404);
    edge.read_head_after(100).await;
    assert_eq!(
        provenance(&edge.get(BY_ID)),
        (200, "burki-edge; hit", Some(100))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_age_is_accepted_up_to_the_demanded_one() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.pass(60);
    for accepting in [
        "max-age=60",
        "max-age=0, max-stale=60",
        "max-age=0, max-stale",
        "max-stale",
    ] {
        let answer = edge.get_with(BY_ID, &[("Cache-Control", accepting)]);
        assert_eq!(
            provenance(&answer),
            (200, "burki-edge; hit", Some(60)),
            "{accepting}"
        );
    }
    let answer = edge.get_with(BY_ID, &[("Cache-Control", "max-age=59, only-if-cached")]);
    assert_eq!(answer.status, 504);
    assert_eq!(edge.upstream.asked(), []);
    let answer = edge.get_with(BY_ID, &[("Cache-Control", "max-age=59")]);
    assert_eq!(
        provenance(&answer),
        (200, "burki-edge; fwd=request; stored", Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_if_cached_is_answered_from_what_is_known() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.pass(60);
    let only = |path| edge.get_with(path, &[("Cache-Control", "only-if-cached")]);
    assert_eq!(provenance(&only(BY_ID)), (200, "burki-edge; hit", Some(60)));
    assert_eq!(
        provenance(&only("/api/v1/calls/6")),
        (404, "burki-edge; hit", Some(60))
    );
    assert_eq!(edge.upstream.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_makes_no_age_that_nobody_can_know_a_small_one() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    edge.quiet().await;
    edge.pass(-1);
    let little = (200, "burki-edge; hit", Some(0));
    assert_eq!(provenance(&edge.get(BY_ID)), little);
    edge.pass(-7200);
    let unknown = (200, "burki-edge; hit", Some(2_147_483_648));
    assert_eq!(provenance(&edge.get(BY_ID)), unknown);
    let only = [("Cache-Control", "only-if-cached")];
    let absent = edge.get_with("/api/v1/calls/6", &only);
    assert_eq!((absent.status, absent.age()), (404, Some(2_147_483_648)));
    assert_eq!(edge.upstream.asked(), []);
    // Asked for within an age, it is asked for.
    let answer = edge.get_with(BY_ID, &[("Cache-Control", "max-age=86400")]);
    let asked = (200, "burki-edge; fwd=request; stored", Some(0));
    assert_eq!(provenance(&answer), asked);
    assert_eq!(edge.upstream.asked(), [CallKey::Id(5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_file_does_not_start() {
    let edge = Edge::synced(Upstream::holding(&[FIRST])).await;
    let shared = Arc::new(Shared {
        damage: Default::default(),
        store_path: "/nowhere/replica.db".into(),
        webhooks: Webhooks::new(None),
        scans: Scans::of(&Readers::of("/nowhere/replica.db".as_ref(), 1)),
        readers: Readers::of("/nowhere/replica.db".as_ref(), 1),
        places: Places::at_most(1),
        audio: Audio::none(),
        handle: edge.handle.clone(),
        clock: Arc::new(|| unreachable!("nothing is served")),
        gate: gate(Auth::new(None, [], false)),
        base_url: String::new(),
        history: None,
        most_waiting_writes: None,
        budget_per_minute: 1,
    });
    let server = HttpServer::new(move || App::new().configure(routes(Arc::clone(&shared))))
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
    assert!(server.run().await.is_err());
}
