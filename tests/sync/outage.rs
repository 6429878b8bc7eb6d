//! The upstream refuses, throttles, fails, and comes back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use burki_edge::model::{KeyHash, Timestamp};
use burki_edge::simulator::{Fault, Flavour, WorldConfig};
use burki_edge::store::Reader;
use burki_edge::sync::{Phase, UpstreamState};
use burki_edge::upstream::{CallSource, DateForm, ErrorKind, Reply, Request, UpstreamError, wire};
use tokio::time::Instant;

use super::engine_harness::{Source, Stage};

#[tokio::test(start_paused = true)]
async fn the_status_says_what_is_wrong_and_when_it_was_last_right() {
    let stage = Stage::new(WorldConfig::default());
    let running = stage.start();
    let live = running.until_live().await;
    assert_eq!(
        (live.state, live.consecutive_errors),
        (UpstreamState::Online, 0)
    );
    for (fault, state, kind) in [
        (
            Fault::Unauthorized,
            UpstreamState::Unauthorized,
            "unauthorized",
        ),
        (
            Fault::Throttled {
                retry_after: "1".into(),
            },
            UpstreamState::Throttled,
            "throttled",
        ),
        (Fault::Reset, UpstreamState::Offline, "reset"),
        (Fault::Hang, UpstreamState::Offline, "timeout"),
        (Fault::ServerError, UpstreamState::Offline, "server_error"),
        (Fault::Unavailable, UpstreamState::Offline, "server_error"),
        (Fault::Garbage, UpstreamState::Offline, "bad_answer"),
        (Fault::NotFoundPage, UpstreamState::Offline, "bad_answer"),
    ] {
        stage.faults().always(fault.clone());
        let status = running
            .until(|status| status.consecutive_errors >= 3 && status.state != UpstreamState::Online)
            .await;
        let error = status.last_error.unwrap();
        assert_eq!((status.state, &*error.kind), (state, kind), "{fault:?}");
        assert!(!error.message.is_empty() && !error.hint.is_empty());
        assert!(status.last_success_at < Some(error.at));
        stage.faults().clear();
        let status = running
            .until(|status| status.state == UpstreamState::Online && status.consecutive_errors == 0)
            .await;
        assert!(status.last_success_at > Some(error.at));
        assert_eq!(status.phase, Phase::Live);
    }
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_on_any_status() {
    for (retry_after, wait) in [("45", 45), ("Sun, 22 Nov 2026 06:01:20 GMT", 30)] {
        let stage = Stage::new(WorldConfig::default());
        let running = stage.start();
        running.until_live().await;
        stage.forget_asked();
        let begun = Instant::now();
        stage.faults().once(Fault::Throttled {
            retry_after: retry_after.into(),
        });
        running
            .until(|status| status.state == UpstreamState::Throttled)
            .await;
        running.handle.sync_now();
        running
            .until(|status| status.state == UpstreamState::Online)
            .await;
        let asked = stage.asked("");
        let pause = asked[1].0.duration_since(asked[0].0);
        assert!(
            pause >= Duration::from_secs(wait),
            "{pause:?} after {retry_after}"
        );
        assert!(begun.elapsed() < Duration::from_secs(120));
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_day_costs_few_requests_and_ends_within_half_a_minute() {
    let stage = Stage::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        ..WorldConfig::default()
    });
    let running = stage.start();
    running.until_live().await;
    stage.forget_asked();
    stage.faults().cut();
    running.pass(86_400).await;
    let asked = stage.asked("").len();
    assert!(asked < 10_000, "{asked} requests into a dead line");
    let id = stage.world().start_call(Some(stage.now()));
    stage.faults().restore();
    running.pass(31).await;
    assert_eq!(stage.held(id), stage.world().text(id));
    running.stop().await.unwrap();
}

/// An edge that the upstream is, as long as it answers.
struct EdgeUpstream {
    source: Source,
    failure: Arc<Mutex<Option<ErrorKind>>>,
}

impl CallSource for EdgeUpstream {
    fn key_hash(&self) -> KeyHash {
        self.source.key_hash()
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        const FEED: &str = r#"{"items":[],"next":0,"more":false,"feed":"ab","organization_id":7,
            "complete":false,"freshness_bound_s":null,"coverage":[]}"#;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let failure = *self.failure.lock().expect("a lock");
        match (request, failure) {
            (Request::Changes { .. }, Some(kind)) => Err(UpstreamError {
                status: Some(500),
                ..UpstreamError::new(kind)
            }),
            (Request::Changes { .. }, None) => {
                let now = Timestamp::from_micros(0);
                wire::reply(request, dates, 200, None, FEED.as_bytes(), now)
            }
            _ => self.source.fetch(request, dates).await,
        }
    }
}

/// Its feed is all that it is followed by, whatever befalls it there.
#[tokio::test(start_paused = true)]
async fn an_edge_whose_feed_fails_is_offline_until_it_is_read_again() {
    let stage = Stage::at_rest(WorldConfig::default());
    let failure = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&failure);
    let running = stage.start_watched(move |source| EdgeUpstream {
        source,
        failure: Arc::clone(&shared),
    });
    running
        .until(|status| status.state == UpstreamState::Online)
        .await;
    for (kind, name) in [
        (ErrorKind::ServerError, "server_error"),
        (ErrorKind::BadAnswer, "bad_answer"),
        (ErrorKind::BrokenOff, "broken_off"),
        (ErrorKind::Timeout, "timeout"),
        (ErrorKind::Redirected, "redirected"),
    ] {
        *failure.lock().unwrap() = Some(kind);
        running
            .until(|status| {
                let error = status.last_error.as_ref();
                status.state == UpstreamState::Offline
                    && error.is_some_and(|error| error.kind == name)
            })
            .await;
        *failure.lock().unwrap() = None;
        running
            .until(|status| status.state == UpstreamState::Online && status.consecutive_errors == 0)
            .await;
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_in_history_leaves_the_newest_followed() {
    let stage = Stage::new(WorldConfig {
        calls: 5000,
        ..WorldConfig::default()
    });
    let ids = stage.world().newest(5000);
    stage.faults().make_unreadable(ids[2500]);
    let running = stage.start();
    let status = running.until(|status| status.unreadable == 1).await;
    assert_eq!(status.state, UpstreamState::Online);
    assert_eq!(status.consecutive_errors, 0, "no outage, and no pause");
    let id = stage.world().start_call(Some(stage.now()));
    running.pass(25).await;
    assert_eq!(stage.held(id), stage.world().text(id));
    running.until_live().await;
    stage.forget_asked();
    running.pass(600).await;
    let asked = stage.asked("limit=1&").len();
    assert_eq!(asked, 0, "the row rests as long as what is beside it");
    running.stop().await.unwrap();
    let held = stage.held_texts().len();
    assert_eq!(
        held,
        stage.world().len() - 1,
        "all but the one, until its tier"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_of_a_moment_moves_nothing() {
    let stage = Stage::new(WorldConfig::default());
    let running = stage.start();
    running.until_live().await;
    let before = running.handle.coverage().known(None).unwrap();
    stage.faults().always(Fault::EmptyList);
    let status = running.until(|status| status.consecutive_errors >= 3).await;
    assert_eq!(
        status.state,
        UpstreamState::Offline,
        "it is not to be relied on"
    );
    let known = running.handle.coverage().known(None).unwrap();
    assert!(known.at.since(before.at) < Duration::from_secs(10));
    stage.faults().clear();
    running
        .until(|status| status.state == UpstreamState::Online)
        .await;
    assert_eq!(
        Reader::open(&stage.path())
            .unwrap()
            .totals()
            .unwrap()
            .suspects,
        0
    );
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn calls_that_leave_the_list_are_suspects_though_they_are_many() {
    let stage = Stage::new(WorldConfig {
        calls: 900,
        ..WorldConfig::default()
    });
    let running = stage.start();
    running.until_live().await;
    let ids = stage.world().newest(900);
    for id in &ids[..100] {
        stage.world().delete(*id);
    }
    let doubt = running.until(|status| status.consecutive_errors > 0).await;
    let message = doubt.last_error.unwrap();
    assert_eq!(message.kind, "short_list");
    assert!(message.hint.contains("burki-edge release"));
    assert!(!message.hint.contains("base_url"), "it is the right server");
    running
        .until(|status| status.state == UpstreamState::Online)
        .await;
    let reader = Reader::open(&stage.path()).unwrap();
    let totals = reader.totals().unwrap();
    assert_eq!(
        (totals.calls, totals.suspects),
        (900, 100),
        "all of them are served on"
    );
    running.stop().await.unwrap();
}
