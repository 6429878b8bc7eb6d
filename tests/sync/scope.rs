//! What fails by itself stays by itself: one call, one kind of detail, the counts.

use std::time::Duration;

use burki_edge::model::{CallKey, Detail};
use burki_edge::simulator::{Fault, Flavour, WorldConfig};
use burki_edge::sync::{Fetched, UpstreamState};

use super::stage::Stage;

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
    assert!(matches!(answer, Fetched::Unavailable { .. }), "{answer:?}");
    stage.forget_asked();
    let answer = running.handle.fetch(CallKey::Id(ids[0])).await;
    let Fetched::Unavailable { retry_after } = answer else {
        panic!("{answer:?}");
    };
    assert!((80..=91).contains(&retry_after), "{retry_after}");
    assert!(stage.asked(&part).is_empty(), "it asked for a pause");
    let other = running.handle.fetch(CallKey::Id(ids[1])).await;
    assert_eq!(other, Fetched::Found);
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
