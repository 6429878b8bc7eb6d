//! Hints: what is known to be new is asked for at once, at a price that no flood of them raises.

use std::time::Duration;

use burki_edge::model::CallKey;
use burki_edge::simulator::{Fault, Flavour, WorldConfig};
use burki_edge::sync::{Hint, UpstreamState};

use super::engine_harness::{Running, Stage};

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// A replica that looks by itself once in so long.
async fn polled(flavour: Flavour, poll_interval: Duration) -> (Stage, Running) {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 1000,
        span: 60 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage.settings.poll_interval = poll_interval;
    let running = stage.start();
    running.until_live().await;
    running.pass(30).await;
    stage.forget_asked();
    (stage, running)
}

fn sid(stage: &Stage, id: i64) -> CallKey {
    let world = stage.world();
    CallKey::Sid(world.get(id).expect("a call").call_sid.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_a_call_is_followed_within_a_second() {
    for flavour in FLAVOURS {
        let (stage, running) = polled(flavour, HOUR).await;
        for age in [DAY, 10 * DAY, 50 * DAY] {
            let id = stage.call_of_age(age);
            stage.annotate(id);
            running.handle.hint(Hint::Call(sid(&stage, id)));
            running.pass(1).await;
            assert!(stage.is_current(id), "{flavour:?}, {age:?}");
        }
        assert_eq!(stage.asked("").len(), 3);
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hints_of_one_call_cost_a_few_requests() {
    let (stage, running) = polled(Flavour::Hosted, HOUR).await;
    let id = stage.call_of_age(10 * DAY);
    stage.annotate(id);
    for _ in 0..100 {
        for _ in 0..100 {
            running.handle.hint(Hint::Call(sid(&stage, id)));
        }
        tokio::task::yield_now().await;
    }
    running.pass(10).await;
    assert!(stage.is_current(id));
    let asked = stage.asked("").len();
    assert!((1..=3).contains(&asked), "{asked} requests");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hints_starve_neither_the_head_nor_the_budget() {
    for flavour in FLAVOURS {
        let (stage, running) = polled(flavour, Duration::from_secs(10)).await;
        for number in 0..10_000 {
            let key = CallKey::Sid(format!("CA{number:032}"));
            running.handle.hint(Hint::Call(key));
        }
        for _ in 0..12 {
            let id = stage.late_call(stage.now());
            running.pass(11).await;
            assert!(stage.is_current(id), "the head goes first");
        }
        running.pass(1200).await;
        let hinted = stage.asked("/calls/sid/").len();
        assert!(
            (200..=300).contains(&hinted),
            "{flavour:?}: {hinted} of a queue"
        );
        let asked = stage.asked("");
        for (begin, _) in &asked {
            let end = *begin + Duration::from_secs(60);
            let minute = asked.iter().filter(|(at, _)| begin <= at && *at < end);
            assert!(minute.count() <= 120);
        }
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_no_call_brings_the_head_forward_once_a_second_at_most() {
    let (stage, running) = polled(Flavour::Hosted, HOUR).await;
    let id = stage.late_call(stage.now());
    for _ in 0..200 {
        running.handle.hint(Hint::Some);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(stage.is_current(id));
    let asked = stage.asked("").len();
    assert!((9..=11).contains(&asked), "{asked} requests in ten seconds");
    running.pass(60).await;
    assert!(stage.asked("").len() <= asked + 1);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_a_call_that_is_not_there_does_nothing() {
    for flavour in FLAVOURS {
        let (stage, running) = polled(flavour, HOUR).await;
        for key in [
            CallKey::Sid("CAnobody's".into()),
            CallKey::Sid("../../users/me".into()),
            CallKey::Id(-5),
            CallKey::Id(i64::MAX),
        ] {
            running.handle.hint(Hint::Call(key));
        }
        running.pass(60).await;
        assert!(stage.asked("").len() <= 4);
        let status = running.now();
        assert_eq!(
            (status.state, status.consecutive_errors),
            (UpstreamState::Online, 0)
        );
        running.stop().await.unwrap();
        stage.assert_equal();
        assert_eq!(stage.totals().suspects, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_comes_to_nothing_costs_only_latency() {
    for flavour in FLAVOURS {
        let (stage, running) = polled(flavour, Duration::from_secs(60)).await;
        let id = stage.call_of_age(10 * DAY);
        stage.annotate(id);
        stage
            .faults()
            .times_where(2, "/calls/sid/", Fault::ServerError);
        running.handle.hint(Hint::Call(sid(&stage, id)));
        running.pass(30).await;
        assert!(!stage.is_current(id));
        running
            .pass_until(Duration::from_secs(60), DAY / 2 + HOUR, || {
                stage.is_current(id)
            })
            .await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_a_call_that_is_being_asked_for_has_it_asked_for_again() {
    let (stage, running) = polled(Flavour::Hosted, HOUR).await;
    let id = stage.call_of_age(10 * DAY);
    running.handle.hint(Hint::Call(sid(&stage, id)));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(stage.asked("/calls/sid/").len(), 1, "it is under way");
    for _ in 0..3 {
        running.handle.hint(Hint::Call(sid(&stage, id)));
    }
    tokio::time::sleep(Duration::from_millis(31)).await;
    stage.annotate(id);
    running.pass(1).await;
    assert_eq!(stage.asked("/calls/sid/").len(), 2);
    assert!(stage.is_current(id));
    running.stop().await.unwrap();
}
