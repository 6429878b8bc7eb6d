//! More calls at one instant, or without a start, than fit a page, while they come and go.

use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Flavour, WorldConfig};

use super::engine_harness::Stage;

/// The ids of a stage's calls that started at an instant, or never.
fn crowd(stage: &Stage, start: Option<Timestamp>) -> Vec<i64> {
    let world = stage.world();
    let of_it = world.records().filter(|call| call.started_at == start);
    of_it.map(|call| call.id).collect()
}

/// The instant at which most calls started.
fn busiest(stage: &Stage) -> Option<Timestamp> {
    let world = stage.world();
    let starts: Vec<_> = world.records().map(|call| call.started_at).collect();
    let ties = |start: &Option<Timestamp>| starts.iter().filter(|other| *other == start).count();
    starts.iter().copied().max_by_key(ties).flatten()
}

#[tokio::test(start_paused = true)]
async fn one_that_joins_a_crowd_does_not_stand_in_for_one_that_was_not_read() {
    for seed in 0..40 {
        let flavour = [Flavour::Hosted, Flavour::SelfHosted][seed as usize % 2];
        let has_start = seed % 4 < 2;
        let (same_instant, without_start) = if has_start { (27, 0) } else { (0, 27) };
        let mut stage = Stage::at_rest(WorldConfig {
            flavour,
            seed,
            calls: 100,
            same_instant,
            without_start,
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 20;
        let start = busiest(&stage).filter(|_| has_start);
        let running = stage.start();
        let minute = Duration::from_secs(60);
        let step = Duration::from_millis(10);
        running
            .pass_until(step, minute, || !stage.asked("skip=20").is_empty())
            .await;
        let mut stayed = crowd(&stage, start);
        assert_eq!(stayed.len(), 27, "seed {seed}");
        // It is among those that were read, and its place is taken by one that was not.
        let read = stayed.iter().position(|id| stage.held(*id).is_some());
        let left = stayed.swap_remove(read.expect("one that was read"));
        stage.world().delete(left);
        let joined = stage.world().start_call(start);
        let then = stage.now();
        let known = || running.handle.coverage().known(start);
        running
            .pass_until(step, 10 * minute, || known().is_some())
            .await;
        for id in stayed {
            assert!(stage.held(id).is_some(), "seed {seed}: {id} was never read");
        }
        let claimed = known().is_some_and(|verified| verified.at > then);
        let held = stage.held(joined).is_some();
        assert!(held || !claimed, "seed {seed}: {joined} is claimed");
        running.stop().await.unwrap();
    }
}

/// What can't be read was not left out: it is served on, told as unreadable, and looked at again.
#[tokio::test(start_paused = true)]
async fn one_of_a_crowd_that_can_no_longer_be_read_is_served_on() {
    const HOUR: Duration = Duration::from_secs(3600);
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        for has_start in [true, false] {
            let context = format!("{flavour:?}, {has_start}");
            let (same_instant, without_start) = if has_start { (70, 0) } else { (0, 70) };
            let mut stage = Stage::at_rest(WorldConfig {
                flavour,
                calls: 150,
                same_instant,
                without_start,
                ..WorldConfig::default()
            });
            stage.settings.page_limit = 20;
            stage.settings.poll_interval = Duration::from_secs(60);
            stage.settings.reconcile_interval = 2 * HOUR;
            let start = busiest(&stage).filter(|_| has_start);
            let running = stage.start();
            running.until_live().await;
            let ids = crowd(&stage, start);
            assert_eq!(ids.len(), 70);
            stage.faults().make_unreadable(ids[30]);
            running
                .pass_until(Duration::from_secs(60), 6 * HOUR, || {
                    running.now().unreadable == 1
                })
                .await;
            stage.forget_asked();
            for _ in 0..48 {
                running.pass(300).await;
                for id in &ids {
                    assert!(stage.held(*id).is_some(), "{context}: {id}");
                }
                // It is looked at again now and then, and never passed off as mirrored.
                assert_eq!(running.now().freshness_bound, None, "{context}");
            }
            running
                .pass_until(Duration::from_secs(1), HOUR, || {
                    running.now().unreadable == 1
                })
                .await;
            let asked = stage.asked("").len();
            assert!(asked < 3000, "{context}: {asked} requests in four hours");
            let changed = ids[10];
            stage.annotate(changed);
            running
                .pass_until(Duration::from_secs(60), 4 * HOUR, || {
                    stage.is_current(changed)
                })
                .await;
            stage.faults().clear();
            running
                .pass_until(Duration::from_secs(60), 4 * HOUR, || {
                    running.now().unreadable == 0
                })
                .await;
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}
