//! Answers out of an intermediary's store, which are as old as their `Age`.

use std::collections::BTreeSet;
use std::time::Duration;

use burki_edge::model::{CallKey, KeyHash, Timestamp};
use burki_edge::simulator::{Flavour, WorldConfig};
use burki_edge::sync::{FetchOutcome, Phase};
use burki_edge::upstream::{CallSource, DateForm, Reply, Request, UpstreamError};

use super::engine_harness::{Source, Stage};

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
            assert_eq!(answer, FetchOutcome::Found);
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
            assert_eq!(answer, FetchOutcome::Found);
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
async fn many_deletions_behind_a_cache_are_waited_for() {
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

/// A crowd is read although every answer says `Age: 0`, which an answer of a moment ago says too:
/// the newest page, when the calls without a start are read by themselves.
#[tokio::test(start_paused = true)]
async fn a_same_instant_group_is_no_fresher_than_a_page_cached_a_second() {
    let mut stage = Stage::at_rest(WorldConfig {
        calls: 50,
        without_start: 50,
        flavour: Flavour::SelfHosted,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage.cache_lists(Duration::from_millis(950));
    let running = stage.start();
    let changed = stage.world().newest(1)[0];
    let step = Duration::from_millis(20);
    let mut claims = BTreeSet::new();
    for second in 0..500 {
        let until = stage.now();
        let text = format!(r#"{{"step":{second}}}"#);
        assert!(stage.world().set_metadata(changed, Some(&text)));
        tokio::time::sleep(step).await;
        let Some(known) = running.handle.coverage().known(None) else {
            continue;
        };
        let held = stage.held(changed).expect("a text");
        let told = held.split(r#"{"step":"#).nth(1);
        let told: u32 = told
            .and_then(|told| told.split('}').next()?.parse().ok())
            .unwrap();
        let until = until - step * (second - told) + step;
        assert!(
            known.at <= until,
            "true until {until:?}, and told to be of {:?}",
            known.at
        );
        claims.insert(known.at);
    }
    assert!(!claims.is_empty());
    running.stop().await.unwrap();
}

/// The upstream behind an intermediary that says of every answer that it is less than a second old.
struct Ageless(Source);

impl CallSource for Ageless {
    fn key_hash(&self) -> KeyHash {
        self.0.key_hash()
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        let reply = self.0.fetch(request, dates).await?;
        let age = Some(Duration::ZERO);
        Ok(Reply { age, ..reply })
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_read_and_followed_although_every_answer_has_an_age() {
    for without_start in [0, 120] {
        let mut stage = Stage::at_rest(WorldConfig {
            calls: 200,
            same_instant: 120 - without_start,
            without_start,
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 50;
        let running = stage.start_watched(Ageless);
        running.until_live().await;
        running.pass(120).await;
        stage.assert_equal();
        let one = {
            let world = stage.world();
            let start = |id: &i64| world.get(*id).and_then(|call| call.started_at);
            let ids = world.newest(usize::MAX);
            let ties = |one: &i64| ids.iter().filter(|id| start(id) == start(one)).count();
            *ids.iter().find(|id| ties(id) == 120).expect("a crowd")
        };
        stage.world().delete(one);
        running
            .pass_until(SECOND, Duration::from_secs(600), || stage.is_buried(one))
            .await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}
