//! Counts: what moved anywhere in history is found by them, whatever the size of a page.

use std::time::Duration;

use burki_edge::simulator::{Flavour, WorldConfig};
use burki_edge::sync::{Phase, UpstreamState};

use super::engine_harness::{Running, Stage};

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Three hundred windows of three years.
async fn hundreds_of_windows(flavour: Flavour) -> (Stage, Running) {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 6_000,
        span: 1100 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 20;
    let running = stage.start();
    running.until_live().await;
    running.pass(200).await;
    stage.forget_asked();
    (stage, running)
}

/// Three polls, and a minute where only a count tells that there is something to find.
fn bound(flavour: Flavour) -> Duration {
    match flavour {
        Flavour::Hosted => Duration::from_secs(31),
        Flavour::SelfHosted => Duration::from_secs(85),
    }
}

/// Requests but for the heads.
fn extra(stage: &Stage) -> Vec<String> {
    let asked = stage.asked("").into_iter().map(|(_, target)| target);
    asked
        .filter(|target| !target.ends_with("?skip=0&limit=20") && !target.ends_with("?limit=20"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_turns_up_two_years_back_is_found_by_counts() {
    for flavour in FLAVOURS {
        let (stage, running) = hundreds_of_windows(flavour).await;
        let id = stage.late_call(stage.now() - 730 * DAY);
        running
            .pass_until(SECOND, bound(flavour), || stage.is_current(id))
            .await;
        let extra = extra(&stage);
        assert!(
            extra.len() <= 20,
            "{flavour:?}: {} requests, {extra:#?}",
            extra.len()
        );
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_two_years_back_is_found_by_counts() {
    for flavour in FLAVOURS {
        let (stage, running) = hundreds_of_windows(flavour).await;
        let id = stage.call_of_age(730 * DAY);
        stage.world().delete(id);
        running
            .pass_until(SECOND, bound(flavour), || stage.is_buried(id))
            .await;
        assert_eq!(stage.held(id), None);
        let extra = extra(&stage);
        assert!(
            extra.len() <= 20,
            "{flavour:?}: {} requests, {extra:#?}",
            extra.len()
        );
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn several_changes_at_once_are_all_found_by_counts() {
    for flavour in FLAVOURS {
        let (stage, running) = hundreds_of_windows(flavour).await;
        let late: Vec<i64> = [1000, 700, 699, 300, 40]
            .map(|days| stage.late_call(stage.now() - days * DAY))
            .to_vec();
        running
            .pass_until(SECOND, bound(flavour), || {
                late.iter().all(|id| stage.is_current(*id))
            })
            .await;
        for days in [900, 500, 20] {
            let id = stage.call_of_age(days * DAY);
            stage.world().delete(id);
        }
        running
            .pass_until(SECOND, bound(flavour) + MINUTE, || {
                stage.totals().calls as usize == stage.world().len()
            })
            .await;
        let extra = extra(&stage);
        assert!(
            extra.len() <= 130,
            "{flavour:?}: {} requests, {extra:#?}",
            extra.len()
        );
        running.pass(2).await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_above_the_list_is_not_searched_for_ever() {
    for flavour in FLAVOURS {
        let mut stage = Stage::at_rest(WorldConfig {
            flavour,
            calls: 2000,
            span: 200 * DAY,
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 50;
        stage.settings.poll_interval = MINUTE;
        let id = stage.call_of_age(100 * DAY);
        stage.unlist(id);
        let running = stage.start();
        running.until_live().await;
        running.pass(600).await;
        stage.forget_asked();
        running.pass(86_400).await;
        let asked = stage.asked("").len();
        // Heads, each window on its tier, a count a minute at most, and some searches.
        let polls = match flavour {
            Flavour::Hosted => 1440,
            Flavour::SelfHosted => 2 * 1440,
        };
        assert!(asked < polls + 1500, "{flavour:?}: {asked} requests");
        let status = running.now();
        assert_eq!(
            (status.phase, status.state),
            (Phase::Live, UpstreamState::Online)
        );
        // And what is new elsewhere is found all the same, on its tier at the latest.
        let late = stage.late_call(stage.now() - 50 * DAY);
        running
            .pass_until(MINUTE, 25 * 60 * MINUTE, || stage.is_current(late))
            .await;
        // Once the counts have agreed for a while, a difference is news again, however great.
        running.pass(86_400).await;
        stage.world().delete(id);
        running.pass(600).await;
        let late = stage.late_call(stage.now() - 50 * DAY);
        let polls = match flavour {
            Flavour::Hosted => 3,
            Flavour::SelfHosted => 4,
        };
        running
            .pass_until(SECOND, polls * MINUTE + SECOND, || stage.is_current(late))
            .await;
        running.stop().await.unwrap();
    }
}

fn capped(flavour: Flavour, page_cap: Option<usize>) -> Stage {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 600,
        span: 60 * DAY,
        page_cap,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage
}

async fn changes_arrive(stage: &Stage, running: &Running) {
    let late = stage.late_call(stage.now() - 40 * DAY);
    let new = stage.late_call(stage.now());
    running
        .pass_until(SECOND, 5 * MINUTE, || {
            stage.is_current(late) && stage.is_current(new)
        })
        .await;
    let gone = stage.call_of_age(30 * DAY);
    stage.world().delete(gone);
    running
        .pass_until(SECOND, 5 * MINUTE, || stage.is_buried(gone))
        .await;
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_always_cuts_its_pages_is_mirrored() {
    for flavour in FLAVOURS {
        let stage = capped(flavour, Some(7));
        let running = stage.start();
        running.until_live().await;
        running.pass(300).await;
        stage.assert_equal();
        changes_arrive(&stage, &running).await;
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_begins_to_cut_its_pages_is_mirrored_on() {
    for flavour in FLAVOURS {
        let stage = capped(flavour, None);
        let running = stage.start();
        running.until_live().await;
        stage.world().set_page_cap(Some(7));
        running.pass(600).await;
        assert_eq!(stage.totals().tombstones, 0);
        stage.assert_equal();
        changes_arrive(&stage, &running).await;
        running.pass(86_400).await;
        let status = running.now();
        assert_eq!((status.phase, stage.totals().suspects), (Phase::Live, 0));
        changes_arrive(&stage, &running).await;
        stage.world().set_page_cap(None);
        running.pass(600).await;
        changes_arrive(&stage, &running).await;
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn changes_deep_in_history_are_each_found_in_time() {
    for flavour in FLAVOURS {
        let (stage, running) = hundreds_of_windows(flavour).await;
        for (turn, days) in [900, 901, 700, 500, 499, 300, 100, 890]
            .into_iter()
            .enumerate()
        {
            match turn % 3 {
                1 => {
                    let id = stage.late_call(stage.now() - days * DAY);
                    running
                        .pass_until(SECOND, bound(flavour), || stage.is_current(id))
                        .await;
                }
                _ => {
                    let id = stage.call_of_age(days * DAY);
                    stage.world().delete(id);
                    running
                        .pass_until(SECOND, bound(flavour), || stage.is_buried(id))
                        .await;
                }
            }
        }
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// The same difference each time, and each time it is explained.
#[tokio::test(start_paused = true)]
async fn calls_that_turn_up_one_after_the_other_are_each_found_in_time() {
    for flavour in FLAVOURS {
        let (stage, running) = hundreds_of_windows(flavour).await;
        for days in [900, 700, 899, 300, 500] {
            let id = stage.late_call(stage.now() - days * DAY);
            running
                .pass_until(SECOND, bound(flavour), || stage.is_current(id))
                .await;
        }
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_poll_counts_sooner() {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 3000,
        span: 100 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.poll_interval = SECOND;
    stage.settings.max_requests_per_minute = 6000;
    let running = stage.start();
    running.until_live().await;
    running.pass(60).await;
    for days in [95, 90, 94] {
        let id = stage.call_of_age(days * DAY);
        stage.world().delete(id);
        let bound = Duration::from_secs(6 + 3);
        running
            .pass_until(SECOND / 4, bound, || stage.is_buried(id))
            .await;
    }
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn two_changes_whose_counts_cancel_are_told_apart_by_a_cut() {
    for flavour in FLAVOURS {
        let (stage, running) = hundreds_of_windows(flavour).await;
        running.pass(7).await;
        // A sixteenth of history apart: 69 of 1,100 days.
        let late = stage.late_call(stage.now() - 700 * DAY);
        let gone = stage.call_of_age(620 * DAY);
        stage.world().delete(gone);
        // Fifteen cuts, one each second minute, and then what a count takes to find the other.
        let bound = 32 * MINUTE + bound(flavour);
        running
            .pass_until(10 * SECOND, bound, || {
                stage.is_current(late) && stage.is_buried(gone)
            })
            .await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn deletions_in_a_same_instant_group_are_found_in_twelve_polls() {
    for flavour in FLAVOURS {
        let mut stage = Stage::at_rest(WorldConfig {
            flavour,
            calls: 3000,
            span: 100 * DAY,
            same_instant: 1300,
            ..WorldConfig::default()
        });
        stage.settings.poll_interval = SECOND;
        stage.settings.max_requests_per_minute = 6000;
        let running = stage.start();
        running.until_live().await;
        running.pass(120).await;
        for _ in 0..3 {
            let id = stage.call_of_an_instant();
            stage.world().delete(id);
            let bound = Duration::from_secs(12 + if flavour == Flavour::Hosted { 0 } else { 6 });
            running
                .pass_until(SECOND / 2, bound, || stage.is_buried(id))
                .await;
        }
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}
