//! Pages that can't be had as they are asked for: rows at the top that can't be read, and lengths
//! that the upstream does not serve.

use std::time::Duration;

use burki_edge::simulator::{Fault, Flavour, Total, WorldConfig};
use burki_edge::sync::{Phase, UpstreamState};

use super::engine_harness::{Running, Stage};

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A second's poll, and the budget that a file is configured with by default.
fn stage(config: WorldConfig) -> Stage {
    let mut stage = Stage::at_rest(config);
    stage.settings.poll_interval = SECOND;
    stage.settings.max_requests_per_minute = 6000;
    stage
}

fn world(flavour: Flavour, calls: usize) -> WorldConfig {
    WorldConfig {
        flavour,
        calls,
        span: 90 * DAY,
        ..WorldConfig::default()
    }
}

async fn follows(stage: &Stage, running: &Running, context: &str) {
    println!("{context}");
    let new = stage.world().start_call(Some(stage.now()));
    let within = 2 * SECOND;
    running
        .pass_until(SECOND / 20, within, || stage.held(new).is_some())
        .await;
    stage.world().end_call(new, stage.now(), "completed");
    running
        .pass_until(SECOND / 20, within, || stage.is_current(new))
        .await;
    assert_eq!(running.now().state, UpstreamState::Online, "{context}");
}

/// What happens to the newest call while it can't be read.
#[tokio::test(start_paused = true)]
async fn unreadable_calls_at_the_top_leave_all_others_followed() {
    for flavour in FLAVOURS {
        for (context, without_start, ahead, bad) in [
            ("the newest", 0, None, 1),
            ("the newest two", 0, None, 2),
            ("eighteen", 0, None, 18),
            ("below calls without a start", 5, None, 1),
            ("dated in the future", 0, Some(30 * DAY), 1),
            (
                "dated in the future, below calls without a start",
                5,
                Some(30 * DAY),
                1,
            ),
        ] {
            let context = format!("{flavour:?}, {context}");
            let stage = stage(WorldConfig {
                without_start,
                ..world(flavour, 3000)
            });
            let running = stage.start();
            running.until_live().await;
            let open = stage.world().start_call(Some(stage.now()));
            running.pass(3).await;
            assert!(stage.is_current(open), "{context}");
            let start = stage.now() + ahead.unwrap_or_default();
            for _ in 0..bad {
                let id = stage.late_call(start);
                stage.faults().make_unreadable(id);
            }
            let within = 2 * SECOND;
            stage.world().end_call(open, stage.now(), "completed");
            running
                .pass_until(SECOND / 20, 2 * within, || stage.is_current(open))
                .await;
            let status = running.now();
            assert_eq!(status.state, UpstreamState::Online, "{context}: {status:?}");
            for _ in 0..3 {
                follows(&stage, &running, &context).await;
            }
            // Counted, and not passed off as mirrored.
            running
                .pass_until(SECOND, 30 * SECOND, || running.now().unreadable > 0)
                .await;
            assert_eq!(running.now().freshness_bound, None, "{context}");
            // What is deleted beside them is found as well.
            let gone = stage.call_of_age(40 * DAY);
            stage.world().delete(gone);
            running
                .pass_until(SECOND, 120 * SECOND, || stage.is_buried(gone))
                .await;
            stage.faults().clear();
            running
                .pass_until(SECOND, 2 * 3600 * SECOND, || {
                    running.now().unreadable == 0
                        && stage.totals().calls as usize == stage.world().len()
                })
                .await;
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

/// The row that was stepped over may start when the one below it does: nothing is known of that
/// instant, nor above it, and what is held there is asked for by id once a minute.
#[tokio::test(start_paused = true)]
async fn calls_above_the_head_are_asked_for_once_a_minute() {
    for flavour in FLAVOURS {
        let stage = stage(world(flavour, 60));
        let running = stage.start();
        running.until_live().await;
        // Those of last week would be asked for at their own pace.
        for seconds in [3, 2, 1] {
            stage.late_call(stage.now() - seconds * SECOND);
        }
        running.pass(3).await;
        let ids = stage.ids();
        let start = |place: usize| {
            stage
                .world()
                .get(ids[place])
                .and_then(|call| call.started_at)
        };
        let known = |place| running.handle.coverage().known(start(place)).is_some();
        assert!(known(0) && known(1));
        stage.faults().make_unreadable(ids[0]);
        running.pass(60).await;
        for _ in 0..60 {
            running.pass(1).await;
            assert!(!known(0) && !known(1) && known(2), "{flavour:?}");
        }
        stage.forget_asked();
        running.pass(600).await;
        let asked = stage.asked(&format!("/calls/{}", ids[1])).len();
        assert!((9..=11).contains(&asked), "{asked} times in ten minutes");
        stage.faults().clear();
        running
            .pass_until(SECOND, 60 * SECOND, || known(0) && known(1))
            .await;
        assert_eq!(running.now().unreadable, 0);
        running.stop().await.unwrap();
    }
}

/// The page is read below it, and says nothing of it.
#[tokio::test(start_paused = true)]
async fn an_unreadable_call_without_a_start_is_reported_until_it_is_read() {
    for flavour in FLAVOURS {
        let stage = stage(WorldConfig {
            without_start: 5,
            ..world(flavour, 300)
        });
        let undated = stage.world().newest(1)[0];
        let start = stage.world().get(undated).and_then(|call| call.started_at);
        assert_eq!(start, None, "those come first");
        stage.faults().make_unreadable(undated);
        let running = stage.start();
        let within = 120 * SECOND;
        running
            .pass_until(SECOND, within, || running.now().unreadable == 1)
            .await;
        for second in 0..60 {
            running.pass(1).await;
            assert_eq!(running.now().unreadable, 1, "{flavour:?}, after {second} s");
        }
        stage.faults().clear();
        running
            .pass_until(SECOND, 1200 * SECOND, || running.now().unreadable == 0)
            .await;
        assert!(stage.is_current(undated), "{flavour:?}");
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// None of them can be read, and nobody can tell them from a row with a start that can't either.
#[tokio::test(start_paused = true)]
async fn no_bound_is_reported_while_calls_without_a_start_are_unreadable() {
    for flavour in FLAVOURS {
        let stage = stage(WorldConfig {
            without_start: 5,
            ..world(flavour, 300)
        });
        let undated = stage.world().newest(5);
        for id in &undated {
            stage.faults().make_unreadable(*id);
        }
        let running = stage.start();
        running
            .pass_until(SECOND, 120 * SECOND, || running.now().unreadable == 5)
            .await;
        for _ in 0..60 {
            running.pass(1).await;
            let told = running.now();
            assert_eq!((told.unreadable, told.freshness_bound), (5, None));
        }
        stage.faults().clear();
        running
            .pass_until(SECOND / 5, 1200 * SECOND, || {
                let are_held = undated.iter().all(|id| stage.is_current(*id));
                let is_bounded = running.now().freshness_bound.is_some();
                assert!(are_held || !is_bounded, "{flavour:?}");
                is_bounded
            })
            .await;
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_unreadable_row_delays_a_first_fill_by_little() {
    for flavour in FLAVOURS {
        for place in [0, 1, 500, 2500, 4999] {
            let stage = stage(world(flavour, 5000));
            let bad = stage.world().newest(5000)[place];
            stage.faults().make_unreadable(bad);
            let running = stage.start();
            let took = running
                .pass_until(SECOND / 20, 10 * SECOND, || stage.totals().calls == 4999)
                .await;
            println!("{flavour:?}, row {place}: {took:?}");
            follows(&stage, &running, "while it is there").await;
            running.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_length_the_server_refuses_or_breaks_at_is_learned_and_kept() {
    for flavour in FLAVOURS {
        for (context, most_rows, breaks) in [("refused", 20, None), ("broken", 1000, Some(150))] {
            let context = format!("{flavour:?}, {context}");
            let mut stage = stage(WorldConfig {
                most_rows,
                ..world(flavour, 500)
            });
            stage.settings.page_limit = 200;
            if let Some(rows) = breaks {
                stage.faults().break_above(rows);
            }
            let running = stage.start();
            running
                .pass_until(SECOND / 10, 10 * SECOND, || stage.totals().calls == 500)
                .await;
            running.until_live().await;
            follows(&stage, &running, &context).await;
            running.pass(60).await;
            stage.forget_asked();
            running.pass(300).await;
            let longest = breaks.unwrap_or(20);
            let too_long = stage.asked("limit=").into_iter().filter(|(_, target)| {
                let limit = target.split("limit=").nth(1).unwrap_or_default();
                let digits: String = limit.chars().take_while(char::is_ascii_digit).collect();
                digits.parse::<usize>().unwrap_or(0) > longest
            });
            let too_long = too_long.count();
            assert!(too_long <= 3, "{context}: {too_long} tries of a longer one");
            running.stop().await.unwrap();

            // Another process knows.
            stage.forget_asked();
            stage.settings.poll_interval = 60 * SECOND;
            let running = stage.start();
            running.pass(45).await;
            assert!(stage.asked("limit=200").is_empty(), "{context}: it is kept");
            let gone = stage.call_of_age(50 * DAY);
            stage.world().delete(gone);
            running
                .pass_until(SECOND, 200 * SECOND, || stage.is_buried(gone))
                .await;
            // A server that serves more again is found to, in a while.
            stage.world().set_most_rows(1000);
            stage.faults().clear();
            running.pass(4 * 3600).await;
            assert!(
                !stage.asked("limit=200").is_empty(),
                "{context}: it is tried"
            );
            assert_eq!(running.now().phase, Phase::Live, "{context}");
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_altogether_is_said_once_and_left_alone() {
    let stage = stage(world(Flavour::Hosted, 2500));
    let running = stage.start();
    running.until_live().await;
    stage.forget_asked();
    stage.faults().always_where("/calls/?", Fault::ServerError);
    running
        .pass_until(SECOND, 20 * SECOND, || {
            running.now().state == UpstreamState::Offline
        })
        .await;
    running.pass(600).await;
    let asked = stage.asked("").len();
    // Some at once, then one each half minute; and a count up to a cut every twelve seconds.
    assert!(asked < 150, "{asked} requests in ten minutes");
    stage.faults().clear();
    running
        .pass_until(SECOND, 40 * SECOND, || {
            running.now().state == UpstreamState::Online
        })
        .await;
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_total_or_with_a_false_one_is_mirrored_all_the_same() {
    for total in [Total::Missing, Total::Null, Total::Capped(200)] {
        let mut stage = stage(WorldConfig {
            total,
            ..world(Flavour::Hosted, 350)
        });
        stage.settings.page_limit = 100;
        let running = stage.start();
        running
            .pass_until(SECOND / 10, 15 * SECOND, || stage.totals().calls == 350)
            .await;
        running.pass(120).await;
        let status = running.now();
        assert_eq!(
            (status.state, status.phase),
            (UpstreamState::Online, Phase::Live),
            "{total:?}: {status:?}"
        );
        stage.forget_asked();
        running.pass(200).await;
        // A head each second, and where it tells no total a count each six; cuts, and the tiers.
        let asked = stage.asked("").len();
        assert!(asked < 350, "{total:?}: {asked} requests in 200 seconds");
        let gone = stage.call_of_age(50 * DAY);
        stage.world().delete(gone);
        running
            .pass_until(SECOND, 15 * SECOND, || stage.is_buried(gone))
            .await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// Soon after history was read, and a day later.
#[tokio::test(start_paused = true)]
async fn a_capped_total_delays_no_deletion() {
    let mut stage = stage(WorldConfig {
        total: Total::Capped(500),
        ..world(Flavour::Hosted, 2000)
    });
    stage.settings.page_limit = 100;
    stage.settings.poll_interval = 60 * SECOND;
    let running = stage.start();
    running.until_live().await;
    for hours in [1, 26] {
        running.pass(hours * 3600).await;
        let gone = stage.call_of_age(50 * DAY);
        stage.world().delete(gone);
        running
            .pass_until(SECOND, 240 * SECOND, || stage.is_buried(gone))
            .await;
        let status = running.now();
        assert_eq!(status.state, UpstreamState::Online, "{status:?}");
    }
    running.stop().await.unwrap();
    stage.assert_equal();
}
