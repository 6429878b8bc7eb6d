//! Answers out of an intermediary's store, which are as old as their `Age`.

use std::time::Duration;

use burki_edge::model::CallKey;
use burki_edge::simulator::{Flavour, WorldConfig};
use burki_edge::sync::Fetched;

use super::stage::Stage;

const SECOND: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(300);

fn stage(flavour: Flavour) -> Stage {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 300,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage
}

/// A list of five minutes ago still has the call open, and the call itself has ended.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_older_than_what_is_held_undoes_none_of_it() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let stage = stage(flavour);
        stage.cache_lists(KEPT);
        let open = stage.world().start_call(Some(stage.now()));
        let running = stage.start();
        running.until_live().await;
        running.pass(30).await;
        assert!(stage.is_current(open));
        let now = stage.now();
        stage.world().end_call(open, now, "completed");
        let late = stage.world().start_call(Some(stage.now()));
        for id in [open, late] {
            let answer = running.handle.fetch(CallKey::Id(id)).await;
            assert_eq!(answer, Fetched::Found);
        }
        stage.forget_asked();
        for second in 0..250 {
            running.pass(1).await;
            assert!(stage.is_current(open), "undone after {second} s");
            assert!(stage.is_current(late), "removed after {second} s");
        }
        // What is kept is not asked for over and over because it is old.
        let asked = stage.asked("/calls/?").len();
        assert!(asked < 100, "{asked} lists in 250 s");
        running.pass(400).await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// New calls, ends and deletions are seen once what is kept is old enough to be asked for anew.
#[tokio::test(start_paused = true)]
async fn behind_a_cache_the_mirror_is_as_late_as_what_is_kept() {
    let stage = stage(Flavour::Hosted);
    let gone = stage.call_of_age(Duration::from_secs(86_400));
    stage.cache_lists(KEPT);
    let running = stage.start();
    running.until_live().await;
    running.pass(20).await;
    let new = stage.world().start_call(Some(stage.now()));
    running
        .pass_until(SECOND, KEPT + 30 * SECOND, || stage.is_current(new))
        .await;
    stage.world().delete(gone);
    running
        .pass_until(60 * SECOND, 7200 * SECOND + 2 * KEPT, || {
            stage.is_buried(gone)
        })
        .await;
    running.stop().await.unwrap();
    stage.assert_equal();
}
