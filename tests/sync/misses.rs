//! What a client asks for and the replica does not hold.

use std::time::Duration;

use burki_edge::model::{CallKey, Detail};
use burki_edge::simulator::{Fault, WorldConfig};
use burki_edge::sync::{FetchOutcome, Phase, UpstreamState};
use tokio::time::{Instant, timeout};

use super::engine_harness::{Running, Stage};

/// A live edge that will not poll again by itself.
async fn quiet() -> (Stage, Running) {
    let mut stage = Stage::new(WorldConfig::default());
    stage.settings.poll_interval = Duration::from_secs(3600);
    let running = stage.start();
    running.until_live().await;
    stage.forget_asked();
    (stage, running)
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_asked_for_and_kept() {
    let (stage, running) = quiet().await;
    let id = stage.world().start_call(Some(stage.now()));
    assert_eq!(
        running.handle.fetch(CallKey::Id(id)).await,
        FetchOutcome::Found
    );
    assert_eq!(stage.held(id), stage.world().text(id));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn identical_misses_share_one_request() {
    let (stage, running) = quiet().await;
    let id = stage.world().start_call(Some(stage.now()));
    let misses = (0..50).map(|_| running.handle.fetch(CallKey::Id(id)));
    let answers = futures_util::future::join_all(misses).await;
    assert!(answers.iter().all(|answer| *answer == FetchOutcome::Found));
    assert_eq!(stage.asked("").len(), 1);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_upstreams_own_word_makes_a_404() {
    let (stage, running) = quiet().await;
    let missing = CallKey::Sid("CAnone".to_owned());
    assert_eq!(
        running.handle.fetch(missing.clone()).await,
        FetchOutcome::NotFound
    );
    for fault in [
        Fault::NotFoundPage,
        Fault::Garbage,
        Fault::ServerError,
        Fault::Unauthorized,
    ] {
        stage.faults().once(fault.clone());
        let answer = running.handle.fetch(missing.clone()).await;
        assert!(
            matches!(answer, FetchOutcome::Unavailable { .. }),
            "{fault:?}: {answer:?}"
        );
        running.handle.sync_now();
        running.pass(40).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_tried_once_more_at_once() {
    let (stage, running) = quiet().await;
    let id = stage.world().start_call(Some(stage.now()));
    stage.faults().once(Fault::Reset);
    assert_eq!(
        running.handle.fetch(CallKey::Id(id)).await,
        FetchOutcome::Found
    );
    stage.faults().times(2, Fault::Reset);
    let answer = running.handle.fetch(CallKey::Id(id)).await;
    assert!(matches!(answer, FetchOutcome::Unavailable { .. }));
    assert_eq!(stage.asked("").len(), 4);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_upstream_is_down_nobody_waits() {
    let (stage, running) = quiet().await;
    stage.faults().cut();
    let first = running.handle.fetch(CallKey::Id(1)).await;
    assert!(matches!(first, FetchOutcome::Unavailable { .. }));
    // Whether it is out shows at the head, which is brought forward.
    running
        .until(|status| status.state == UpstreamState::Offline)
        .await;
    let asked = stage.asked("").len();
    for id in 0..20 {
        let FetchOutcome::Unavailable { retry_after } = running.handle.fetch(CallKey::Id(id)).await
        else {
            panic!("an answer from a line that is cut");
        };
        assert!((1..=30).contains(&retry_after));
    }
    assert_eq!(stage.asked("").len(), asked);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failing_read_of_one_call_stops_nothing_else() {
    let (stage, running) = quiet().await;
    let broken = stage.world().start_call(Some(stage.now()));
    stage.faults().make_unreadable(broken);
    for _ in 0..10 {
        let answer = running.handle.fetch(CallKey::Id(broken)).await;
        assert!(matches!(answer, FetchOutcome::Unavailable { .. }));
        assert_eq!(
            running.handle.fetch(CallKey::Id(-5)).await,
            FetchOutcome::NotFound
        );
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_the_upstream_denies_is_served_on() {
    let (stage, running) = quiet().await;
    let id = stage.world().newest(1)[0];
    let text = stage.held(id);
    stage.world().delete(id);
    assert_eq!(
        running.handle.fetch(CallKey::Id(id)).await,
        FetchOutcome::NotFound
    );
    assert_eq!(stage.held(id), text);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_misses_starves_neither_the_head_nor_the_fill() {
    let mut stage = Stage::new(WorldConfig {
        calls: 10_000,
        ..WorldConfig::default()
    });
    stage.settings.max_requests_per_minute = 20;
    let running = stage.start();
    running
        .until(|status| status.phase == Phase::Backfilling)
        .await;
    let handle = running.handle.clone();
    let flood = tokio::spawn(async move {
        for sid in 0.. {
            let wait = Duration::from_millis(200);
            let _ = timeout(wait, handle.fetch(CallKey::Sid(format!("CAflood{sid}")))).await;
        }
    });
    let begun = Instant::now();
    running.until_live().await;
    assert!(
        begun.elapsed() < Duration::from_secs(600),
        "{:?}",
        begun.elapsed()
    );
    let id = stage.world().start_call(Some(stage.now()));
    running.pass(30).await;
    assert_eq!(stage.held(id), stage.world().text(id));
    flood.abort();
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_miss_that_its_client_gave_up_is_not_asked_for() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.settings.max_concurrency = 1;
    let running = stage.start();
    running.until_live().await;
    stage.forget_asked();
    let key = |id| CallKey::Id(id);
    let (first, second) = (running.handle.fetch(key(-1)), running.handle.fetch(key(-2)));
    let given_up = timeout(Duration::from_millis(10), second);
    let (first, given_up) = tokio::join!(first, given_up);
    assert_eq!((first, given_up.is_err()), (FetchOutcome::NotFound, true));
    running.pass(5).await;
    assert_eq!(stage.asked("/calls/-").len(), 1);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_out_of_a_crowd_is_read_once_and_not_over_and_over() {
    let mut stage = Stage::new(WorldConfig {
        calls: 150,
        same_instant: 25,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 20;
    let running = stage.start();
    running.until_live().await;
    let deleted = stage.world().newest(150)[78];
    assert!(stage.world().delete(deleted).is_some());
    stage.forget_asked();
    running.pass(600).await;
    running.stop().await.unwrap();
    stage.assert_equal();
    let asked = stage.asked("/calls").len();
    assert!(asked < 150, "{asked} requests in 60 polls");
}

/// Another program holds the file's lock, as `BEGIN IMMEDIATE` does.
fn lock(stage: &Stage) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(stage.path()).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    other
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_asked_for_and_handed_over_all_the_same() {
    let stage = Stage::at_rest(WorldConfig::default());
    let running = stage.start();
    running.until_live().await;
    let id = stage.world().start_call(Some(stage.now()));
    let sid = stage.world().get(id).unwrap().call_sid.to_string();
    let text = stage.world().text(id).unwrap();
    let held = stage.ids()[0];
    let other = lock(&stage);
    for again in 0..3 {
        for key in [CallKey::Id(id), CallKey::Sid(sid.clone())] {
            let answer = running.handle.fetch(key).await;
            assert!(
                matches!(&answer, FetchOutcome::Unstored { text: handed, .. } if **handed == *text),
                "{again}: {answer:?}"
            );
        }
        let missing = running.handle.fetch(CallKey::Id(i64::MAX)).await;
        assert_eq!(missing, FetchOutcome::NotFound);
        let detail = running.handle.fetch_detail(held, Detail::Transcripts).await;
        assert!(
            matches!(detail, FetchOutcome::Unstored { .. }),
            "{detail:?}"
        );
        running.pass(20).await;
    }
    assert_eq!(running.now().state, UpstreamState::Online);
    assert_eq!(running.now().last_error.unwrap().kind, "store");
    assert_eq!(stage.held(id), None);
    drop(other);
    running
        .pass_until(Duration::from_secs(1), Duration::from_secs(120), || {
            stage.is_current(id)
        })
        .await;
    running.stop().await.unwrap();
    stage.assert_equal();
}
