//! More calls at one instant, or without a start, than fit a page, while they come and go.

use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Flavour, WorldConfig};

use super::stage::Stage;

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
