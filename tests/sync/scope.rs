//! What fails by itself stays by itself: one call, one kind of detail, the counts.

use std::time::Duration;

use burki_edge::model::{CallKey, Detail};
use burki_edge::simulator::{Fault, Flavour, WorldConfig};
use burki_edge::sync::{FetchOutcome, Hint, UpstreamState};

use super::engine_harness::Stage;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn stage(flavour: Flavour) -> Stage {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 600,
        span: 60 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.poll_interval = SECOND;
    stage.settings.page_limit = 100;
    stage.settings.max_requests_per_minute = 6000;
    stage.settings.details = [Detail::Transcripts, Detail::Recordings].into();
    stage
}

fn faults() -> [Fault; 6] {
    [
        Fault::Unauthorized,
        Fault::Throttled {
            retry_after: "600".to_owned(),
        },
        Fault::ServerError,
        Fault::Garbage,
        Fault::NotFoundPage,
        Fault::Reset,
    ]
}

/// A row of the table for each class: whatever befalls a part, the newest is followed and the
/// upstream is online at every moment.
#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_not_taken_for_the_upstream() {
    for part in ["/recordings", "/count", "/calls/1"] {
        for fault in faults() {
            let context = format!("{part}: {fault:?}");
            let mut stage = stage(Flavour::SelfHosted);
            if part != "/recordings" {
                stage.settings.details.clear();
            }
            let running = stage.start();
            running.until_live().await;
            stage.faults().always_where(part, fault.clone());
            for turn in 0..60 {
                running.pass(1).await;
                let status = running.now();
                assert_eq!(status.state, UpstreamState::Online, "{context}: {status:?}");
                if turn % 20 == 0 {
                    // A call that is not held, which a client asks for.
                    let _ = running.handle.fetch(CallKey::Id(1)).await;
                    let new = stage.world().start_call(Some(stage.now()));
                    running
                        .pass_until(SECOND / 10, 2 * SECOND, || stage.held(new).is_some())
                        .await;
                }
            }
            if part == "/recordings" {
                let kept = running.now().details.kept;
                assert!(kept > 500, "{context}: {kept} transcripts beside them");
                let asked = stage.asked("/recordings").len();
                if matches!(fault, Fault::Throttled { .. }) {
                    assert!(asked < 60, "{context}: asked {asked} times");
                }
            }
            stage.faults().clear();
            running.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_one_call_is_kept_for_that_call_alone() {
    let stage = stage(Flavour::Hosted);
    let running = stage.start();
    running.until_live().await;
    running.pass(30).await;
    let ids = stage.world().newest(2);
    let throttled = Fault::Throttled {
        retry_after: "90".to_owned(),
    };
    let part = format!("/calls/{}", ids[0]);
    stage.faults().always_where(&part, throttled);
    let answer = running.handle.fetch(CallKey::Id(ids[0])).await;
    assert!(
        matches!(answer, FetchOutcome::Unavailable { .. }),
        "{answer:?}"
    );
    stage.forget_asked();
    let answer = running.handle.fetch(CallKey::Id(ids[0])).await;
    let FetchOutcome::Unavailable { retry_after } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(retry_after, 91, "never too soon");
    assert!(stage.asked(&part).is_empty(), "it asked for a pause");
    let other = running.handle.fetch(CallKey::Id(ids[1])).await;
    assert_eq!(other, FetchOutcome::Found);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_everywhere_is_the_upstreams_word() {
    let stage = stage(Flavour::Hosted);
    let running = stage.start();
    running.until_live().await;
    stage.faults().always(Fault::Unauthorized);
    running
        .pass_until(SECOND / 10, 2 * SECOND, || {
            running.now().state == UpstreamState::Unauthorized
        })
        .await;
    stage.faults().clear();
    running
        .pass_until(SECOND, 40 * SECOND, || {
            running.now().state == UpstreamState::Online
        })
        .await;
    running.stop().await.unwrap();
}

/// How often something was asked for.
fn times(stage: &Stage, part: &str) -> usize {
    stage.asked(part).len()
}

/// What fails is tried again, at a pace of its own: counts once a minute, the names of assistants
/// once in five.
#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_asked_for_at_a_pace_of_its_own() {
    for (part, rest, name) in [("/count", 60, "count"), ("/assistants?", 300, "assistants")] {
        for fault in [Fault::ServerError, Fault::Garbage, Fault::Reset] {
            let mut stage = stage(Flavour::SelfHosted);
            stage.settings.poll_interval = 10 * SECOND;
            stage.settings.details.clear();
            let running = stage.start();
            running.until_live().await;
            stage.faults().always_where(part, fault.clone());
            running.pass(3600).await;
            stage.forget_asked();
            running.pass(12 * rest).await;
            // What breaks on the way is tried once more at once.
            let asked = times(&stage, part);
            assert!(
                (6..=26).contains(&asked),
                "{part}, {fault:?}: {asked} times"
            );
            let error = running.now().last_error.expect("an error");
            assert!(error.message.contains(name), "{part}, {fault:?}: {error:?}");
            stage.faults().clear();
            stage.forget_asked();
            running.pass(2 * rest).await;
            assert!(
                times(&stage, part) > 0,
                "{part}, {fault:?}: it can be had again"
            );
            running.stop().await.unwrap();
        }
    }
}

/// Polls once a minute.
fn rarely_polled() -> Stage {
    let mut stage = stage(Flavour::Hosted);
    stage.settings.poll_interval = 60 * SECOND;
    stage.settings.details.clear();
    stage
}

/// One call that can't be had may be the whole upstream's failure: the newest page is asked for at
/// once, not at the next poll.
#[tokio::test(start_paused = true)]
async fn a_failure_that_may_be_the_upstreams_is_looked_into_at_once() {
    for (fault, state) in [
        (Fault::Reset, UpstreamState::Offline),
        (Fault::Unauthorized, UpstreamState::Unauthorized),
    ] {
        let stage = rarely_polled();
        let running = stage.start();
        running.until_live().await;
        running.pass(120).await;
        let head = stage.asked("/calls/?").last().expect("a head").0;
        running.pass(70 - head.elapsed().as_secs() % 60).await;
        stage.faults().always(fault.clone());
        let _ = running.handle.fetch(CallKey::Id(1)).await;
        running
            .pass_until(SECOND / 10, 2 * SECOND, || running.now().state == state)
            .await;
        running.stop().await.unwrap();
    }
}

/// An answer of the server's own about one call says nothing of the others, and what nobody waits
/// for can wait.
#[tokio::test(start_paused = true)]
async fn what_fails_by_itself_brings_no_poll_forward() {
    let mut stage = rarely_polled();
    stage.settings.details = [Detail::Transcripts].into();
    let running = stage.start();
    running.until_live().await;
    stage.faults().always_where("/transcripts", Fault::Reset);
    let new = stage.late_call(stage.now());
    running.handle.hint(Hint::Call(CallKey::Id(new)));
    running.pass(120).await;
    stage.forget_asked();
    stage.faults().always_where("/calls/1", Fault::ServerError);
    for _ in 0..10 {
        let _ = running.handle.fetch(CallKey::Id(1)).await;
        running.pass(60).await;
    }
    let (heads, others) = (times(&stage, "/calls/?"), times(&stage, "/transcripts"));
    assert!(others > 0, "transcripts were asked for");
    assert!((9..=12).contains(&heads), "{heads} polls in ten minutes");
    running.stop().await.unwrap();
}

/// What is asked for is kept by that part, whatever the status it is asked for with.
#[tokio::test(start_paused = true)]
async fn a_pause_that_a_part_asks_for_is_kept() {
    let throttled = Fault::Throttled {
        retry_after: "600".to_owned(),
    };
    for (part, flavour) in [("/count", Flavour::SelfHosted), ("date_", Flavour::Hosted)] {
        let mut stage = stage(flavour);
        stage.settings.details.clear();
        stage.settings.poll_interval = 10 * SECOND;
        stage.settings.reconcile_interval = 200 * SECOND;
        let running = stage.start();
        running.until_live().await;
        stage.forget_asked();
        running.pass(1200).await;
        let usual = times(&stage, part);
        assert!(usual >= 7, "{part}: {usual} times");
        stage.faults().always_where(part, throttled.clone());
        running.pass(600).await;
        stage.forget_asked();
        running.pass(1200).await;
        let asked = times(&stage, part);
        // Several are under way at once when the first is answered.
        assert!((1..=12).contains(&asked), "{part}: {asked} times");
        assert_eq!(running.now().state, UpstreamState::Online);
        running.stop().await.unwrap();
    }
}
