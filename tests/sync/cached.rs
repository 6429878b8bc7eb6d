//! Answers out of an intermediary's store, which are as old as their `Age`.

use std::collections::BTreeSet;
use std::time::Duration;

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{Flavour, WorldConfig};
use burki_edge::sync::{Fetched, Phase};

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

/// A call that says every second what time it is tells of which moment a page is. What the windows
/// say of that page is never younger, and not much older.
#[tokio::test(start_paused = true)]
async fn what_a_kept_page_tells_is_as_old_as_it_was_true() {
    for put_back in [0, 7200] {
        let stage = stage(Flavour::Hosted);
        stage.cache_lists(Duration::from_secs(60));
        let running = stage.start();
        running.until_live().await;
        stage.set_clock_ahead(put_back);
        running.pass(100).await;
        stage.set_clock_ahead(0);
        running.pass(100).await;
        let ids = stage.ids();
        let (newest, other) = (ids[0], ids[40]);
        let start = stage.world().get(newest).and_then(|call| call.started_at);
        let begun = stage.now();
        let elapsed = |at: Timestamp| (at.as_micros() - begun.as_micros()) / 1_000_000;
        let mut pages = BTreeSet::new();
        for _ in 0..300 {
            let second = elapsed(stage.now());
            let text = format!(r#"{{"second":{second}}}"#);
            assert!(stage.world().set_metadata(newest, Some(&text)));
            // Many places between which the page's is found.
            let answer = running.handle.fetch(CallKey::Id(other)).await;
            assert_eq!(answer, Fetched::Found);
            running.pass(1).await;
            let held = stage.held(newest).expect("a text");
            let Some(told) = held.split(r#"{"second":"#).nth(1) else {
                continue;
            };
            let told: i64 = told
                .split('}')
                .next()
                .and_then(|told| told.parse().ok())
                .unwrap();
            let known = running.handle.coverage().known(start).expect("it was read");
            let known = elapsed(known.at);
            assert!(
                (told - 2..=told + 1).contains(&known),
                "after {second} s: of {told} s, and told to be of {known} s"
            );
            pages.insert(told);
        }
        assert!((5..10).contains(&pages.len()), "{pages:?}");
        running.stop().await.unwrap();
    }
}

/// What is kept counts for the second pass no sooner for being asked for again and again.
#[tokio::test(start_paused = true)]
async fn many_deletions_behind_a_cache_are_waited_for_and_not_asked_for_all_the_while() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let stage = stage(flavour);
        let running = stage.start();
        running.until_live().await;
        stage.cache_lists(KEPT);
        running.pass(600).await;
        for id in stage.ids().into_iter().take(80) {
            stage.world().delete(id);
        }
        running
            .pass_until(SECOND, Duration::from_secs(1800), || {
                running.now().phase == Phase::Held
            })
            .await;
        stage.forget_asked();
        running
            .pass_until(SECOND, Duration::from_secs(1800), || {
                stage.totals().tombstones == 80
            })
            .await;
        let ranges = stage.asked("date_from=").len();
        assert!(ranges < 25, "{ranges} ranges for two passes over six pages");
        running.stop().await.unwrap();
    }
}
