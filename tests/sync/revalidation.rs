//! Age tiers: how soon a change to an old call is seen, and what looking for it costs.

use std::time::Duration;

use burki_edge::simulator::{Flavour, WorldConfig};
use tokio::time::Instant;

use super::engine_harness::Stage;

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Sixty days of calls that have ended, in pages of fifty.
fn sixty_days(flavour: Flavour, calls: usize) -> Stage {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls,
        span: 60 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_change_to_an_old_call_is_seen_within_a_twentieth_of_its_age() {
    for flavour in FLAVOURS {
        for (age, poll) in [(2 * HOUR, 10), (DAY, 10), (5 * DAY, 60), (40 * DAY, 300)] {
            let mut stage = sixty_days(flavour, 1500);
            stage.settings.poll_interval = Duration::from_secs(poll);
            let running = stage.start();
            running.until_live().await;
            // Neither just after the window was read nor just before it is due.
            running.pass(age.as_secs() / 50).await;
            let id = stage.call_of_age(age);
            let before = stage.asked("").len();
            stage.annotate(id);
            let tier = (age / 20).clamp(stage.settings.poll_interval, DAY);
            // What the age has grown by meanwhile, and two polls.
            let bound = tier + tier / 15 + 2 * stage.settings.poll_interval;
            let took = running
                .pass_until(tier / 100, bound, || stage.is_current(id))
                .await;
            let status = running.now();
            assert!(took < status.freshness_bound.expect("a bound"), "{took:?}");
            // Not because everything is read all the time.
            let asked = stage.asked("")[before..].to_vec();
            let ranges = asked
                .iter()
                .filter(|(_, target)| target.contains("date_to=") && !target.contains("/count"));
            let windows = running.handle.coverage().windows().len();
            let days = took.as_secs_f64() / DAY.as_secs_f64();
            let most = 10.0 + windows as f64 * (0.1 + 1.5 * days) + 600.0 * days;
            assert!(
                (ranges.clone().count() as f64) < most,
                "{flavour:?}, {age:?}: {} of {windows} windows in {took:?}, not {most}",
                ranges.count()
            );
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_anywhere_is_seen_within_the_bound_that_is_told() {
    let mut stage = sixty_days(Flavour::SelfHosted, 1000);
    stage.settings.poll_interval = 5 * MINUTE;
    stage.settings.reconcile_interval = 6 * HOUR;
    let running = stage.start();
    running.until_live().await;
    for round in 0..4 {
        running.pass(3600 + round * 1234).await;
        let bound = running.now().freshness_bound.expect("a bound");
        assert!(bound < 7 * HOUR, "{bound:?}");
        let all = stage.ids();
        all.iter().for_each(|id| stage.annotate(*id));
        running.pass(bound.as_secs()).await;
        stage.assert_equal();
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn windows_split_when_they_outgrow_a_page_and_join_when_they_shrink() {
    for flavour in FLAVOURS {
        let mut stage = sixty_days(flavour, 1000);
        stage.settings.reconcile_interval = HOUR;
        stage.settings.poll_interval = MINUTE;
        let running = stage.start();
        running.until_live().await;
        let count = |running: &super::engine_harness::Running| {
            let coverage = running.handle.coverage();
            let rows = |window: &&burki_edge::model::Window| window.rows <= 50;
            assert!(coverage.windows().iter().all(|window| rows(&window)));
            coverage.windows().len()
        };
        let before = count(&running);
        let at = stage.now() - 30 * DAY;
        let late: Vec<i64> = (0..200)
            .map(|second| stage.late_call(at + Duration::from_secs(second)))
            .collect();
        running.pass(2 * 3600).await;
        stage.assert_equal();
        let split = count(&running);
        assert!(split >= before + 3, "{before} and then {split} windows");
        for some in late.chunks(40) {
            some.iter().for_each(|id| {
                stage.world().delete(*id);
            });
            running.pass(3 * 3600).await;
            stage.assert_equal();
        }
        running.pass(3 * 3600).await;
        let joined = count(&running);
        assert!(joined <= before + 1, "{split} and then {joined} windows");
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_written() {
    for flavour in FLAVOURS {
        let mut stage = sixty_days(flavour, 1000);
        stage.settings.poll_interval = MINUTE;
        stage.settings.reconcile_interval = HOUR;
        let running = stage.start();
        running.until_live().await;
        running.pass(4 * 3600).await;
        let watch = stage.watch();
        let version = watch.version();
        stage.forget_asked();
        running.pass(6 * 3600).await;
        assert!(stage.asked("date_to=").len() > 100, "all was read again");
        assert_eq!(watch.version(), version, "{flavour:?}");
        let id = stage.call_of_age(20 * DAY);
        stage.annotate(id);
        running.pass(2 * 3600).await;
        assert!(stage.is_current(id));
        assert_ne!(watch.version(), version);
        let version = watch.version();
        running.pass(2 * 3600).await;
        assert_eq!(watch.version(), version);
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_the_last_hour_are_counted() {
    let stage = sixty_days(Flavour::Hosted, 1500);
    let running = stage.start();
    running.until_live().await;
    for minutes in [5, 30, 90, 200] {
        running.pass(minutes * 60).await;
        let hour_ago = Instant::now().checked_sub(HOUR);
        let asked = stage.asked("");
        let recent = |at: &Instant| hour_ago.is_none_or(|hour_ago| *at > hour_ago);
        let expected = asked.iter().filter(|(at, _)| recent(at)).count() as i64;
        let told = i64::from(running.now().requests_last_hour);
        // To the minute.
        assert!((told - expected).abs() <= 30, "{told}, not {expected}");
    }
    running.stop().await.unwrap();
}
