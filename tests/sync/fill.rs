//! From nothing to a complete replica, and on from wherever it stopped.

use std::time::Duration;

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{Fault, Flavour, Rates, WorldConfig};
use burki_edge::store::{Reader, StoreError};
use burki_edge::sync::{NEVER, Phase, SyncError, UpstreamState};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::engine_harness::Stage;

fn crowded(flavour: Flavour) -> WorldConfig {
    WorldConfig {
        flavour,
        calls: 5000,
        same_instant: 1500,
        without_start: 7,
        ..WorldConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn each_flavour_is_filled_byte_for_byte_with_1500_calls_at_one_instant() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let stage = Stage::new(crowded(flavour));
        let running = stage.start();
        running.until_live().await;
        running.stop().await.unwrap();
        stage.assert_equal();
        let asked = stage.asked("/calls").len();
        assert!(
            asked <= 60,
            "{flavour:?}: {asked} requests for five pages and a crowd"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_start_are_read_though_they_fill_the_first_page() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        for without_start in [999, 1000, 1001, 2300] {
            let config = WorldConfig {
                flavour,
                calls: 4000,
                without_start,
                ..WorldConfig::default()
            };
            let stage = Stage::new(config);
            let running = stage.start();
            running.until_live().await;
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_upstream_is_a_complete_replica() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let config = WorldConfig {
            flavour,
            calls: 0,
            same_instant: 0,
            without_start: 0,
            ..WorldConfig::default()
        };
        let stage = Stage::new(config);
        let running = stage.start();
        let status = running.until_live().await;
        assert_eq!(status.progress, 1.0);
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_caps_its_pages_is_read_to_the_end() {
    let stage = Stage::new(WorldConfig {
        page_cap: Some(100),
        ..crowded(Flavour::Hosted)
    });
    let running = stage.start();
    running.until_live().await;
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_is_read_again_soon_however_rare_the_polls_are() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let mut stage = Stage::new(WorldConfig {
            flavour,
            calls: 1500,
            ..WorldConfig::default()
        });
        stage.settings.poll_interval = Duration::from_secs(3600);
        let page = "limit=1000&date_to=";
        stage.faults().times_where(1, page, Fault::EmptyList);
        let begun = Instant::now();
        let running = stage.start();
        running.until_live().await;
        assert!(begun.elapsed() < Duration::from_secs(120), "{flavour:?}");
        running.stop().await.unwrap();
        assert_eq!(stage.asked(page).len(), 2, "{flavour:?}: it was empty once");
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn history_ends_where_it_is_told_to() {
    let mut stage = Stage::new(WorldConfig {
        calls: 6000,
        span: Duration::from_secs(400 * 86_400),
        ..WorldConfig::default()
    });
    let history = Duration::from_secs(100 * 86_400);
    stage.settings.history = Some(history);
    let since = stage.now() - history;
    let running = stage.start();
    running.until_live().await;
    assert!(running.handle.coverage().is_complete(stage.now() - history));
    assert!(!running.handle.coverage().is_complete(Timestamp::MIN));
    running.stop().await.unwrap();
    let older = stage
        .world()
        .records()
        .filter(|call| call.started_at.is_some_and(|at| at < since))
        .count();
    assert!(older > 1000, "the world reaches further back");
    let held = Reader::open(&stage.path()).unwrap().totals().unwrap().calls as usize;
    assert!(held >= stage.world().len() - older && held <= stage.world().len() - older + 1000);
}

/// What was within the history once is dropped as time goes by, and claimed no more before it is.
#[tokio::test(start_paused = true)]
async fn what_the_history_no_longer_covers_is_dropped_from_day_to_day() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut stage = Stage::at_rest(WorldConfig {
        calls: 4000,
        span: 40 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.history = Some(30 * DAY);
    stage.settings.poll_interval = Duration::from_secs(3600);
    let running = stage.start();
    running.until_live().await;
    let oldest = || {
        let file = rusqlite::Connection::open(stage.path()).unwrap();
        let micros = file.query_row("SELECT min(started_at) FROM calls", [], |row| row.get(0));
        Timestamp::from_micros(micros.unwrap())
    };
    let before = stage.totals().calls;
    for day in 1..=8_u64 {
        running.pass(86_400).await;
        let end = stage.now() - 30 * DAY;
        assert!(running.handle.coverage().is_complete(end), "day {day}");
        // A day's grace, to the day; and what a page brought along is a day longer here. What lies in the
        // newest page stays.
        let (least, held) = (end - 3 * DAY, oldest());
        assert!(
            day < 2 || least <= held,
            "day {day}: {held:?}, not {least:?}"
        );
        let coverage = std::sync::Arc::clone(&running.handle.coverage());
        let starts = coverage.windows().iter().map(|window| window.from);
        let first = starts.filter(|from| *from >= Timestamp::MIN).min();
        let world = stage.world();
        let claimed = world.records().filter(|call| call.started_at >= first);
        let lost = claimed.filter(|call| stage.held(call.id).is_none()).count();
        assert_eq!(lost, 0, "day {day}: nothing is claimed that was dropped");
    }
    let totals = stage.totals();
    assert!(
        totals.calls < before * 9 / 10,
        "{} of {before}",
        totals.calls
    );
    assert_eq!((totals.tombstones, totals.suspects), (0, 0));
    running.stop().await.unwrap();
    let reader = Reader::open(&stage.path()).unwrap();
    let recent = stage.ids()[0];
    assert!(reader.call(&CallKey::Id(recent)).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_was_stopped_goes_on_where_it_was() {
    let stage = Stage::new(WorldConfig {
        calls: 20_000,
        ..WorldConfig::default()
    });
    let running = stage.start();
    running.until(|status| status.progress > 0.5).await;
    running.stop().await.unwrap();
    let first = stage.asked("/calls").len();
    stage.forget_asked();
    let running = stage.start();
    running.until_live().await;
    running.stop().await.unwrap();
    let second = stage.asked("/calls").len();
    assert!(
        first >= 10 && second <= 14 && first + second <= 30,
        "{first} then {second} requests"
    );
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn what_is_complete_is_known_to_be_after_a_restart_without_the_upstream() {
    let stage = Stage::new(crowded(Flavour::Hosted));
    let running = stage.start();
    running.until_live().await;
    running.stop().await.unwrap();
    stage.faults().cut();
    let running = stage.start();
    running.until(|status| status.consecutive_errors > 0).await;
    let coverage = running.handle.coverage();
    assert!(coverage.is_complete(Timestamp::MIN));
    assert!(
        coverage
            .known(None)
            .is_some_and(|verified| verified.at > NEVER)
    );
    let status = running
        .until(|status| status.state == UpstreamState::Offline)
        .await;
    assert_eq!(
        status.phase,
        Phase::Starting,
        "nothing was read since the start"
    );
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_organization_writes_nothing_and_ends_the_sync() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let stage = Stage::new(WorldConfig {
            flavour,
            ..WorldConfig::default()
        });
        let running = stage.start();
        running.until_live().await;
        running.stop().await.unwrap();
        stage.world().set_organization_id(8);
        let newest = stage.world().newest(1)[0];
        stage.world().delete(newest);
        stage.forget_asked();
        let running = stage.start();
        let Err(SyncError::Refused(StoreError::OtherOrganization {
            recorded: 7,
            found: 8,
            ..
        })) = running.end().await
        else {
            panic!("the file was not refused: {flavour:?}");
        };
        assert_eq!(stage.asked("/calls").len(), 0, "not even a list was read");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_to_say_whose_key_it_is_is_mirrored_all_the_same() {
    let stage = Stage::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        ..WorldConfig::default()
    });
    stage
        .faults()
        .always_where("/assistants/me/organization", Fault::ServerError);
    let running = stage.start();
    running.until_live().await;
    assert_eq!(running.now().organization_id, None);
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_whose_key_it_is_at_the_third_try_is_asked_so_often() {
    let stage = Stage::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        ..WorldConfig::default()
    });
    let path = "/assistants/me/organization";
    stage.faults().times_where(2, path, Fault::ServerError);
    let running = stage.start();
    running.until_live().await;
    assert_eq!(running.now().organization_id, Some(7));
    running.stop().await.unwrap();
}

/// `SEEDS=N` runs N worlds instead of a few.
fn seeds() -> std::ops::Range<u64> {
    let told = std::env::var("SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok());
    0..told.unwrap_or(4)
}

/// Random faults on three of ten requests, calls that begin and end meanwhile, and an engine that
/// is dropped where it stands, with whatever it was about to do, again and again.
#[tokio::test(start_paused = true)]
async fn after_any_failures_and_kills_the_replica_becomes_equal() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let flavour = [Flavour::Hosted, Flavour::SelfHosted][rng.random_range(0..2)];
        let without_start = rng.random_range(0..2000);
        let rates = Rates {
            calls: 200.0,
            ..Rates::STILL
        };
        let stage = Stage::new(WorldConfig {
            seed,
            rates,
            without_start,
            ..crowded(flavour)
        });
        let faults = vec![
            Fault::Unauthorized,
            Fault::Throttled {
                retry_after: "7".to_owned(),
            },
            Fault::ServerError,
            Fault::Unavailable,
            Fault::Reset,
            Fault::Hang,
            Fault::Garbage,
            Fault::NotFoundPage,
        ];
        stage.faults().at_random(seed, 0.3, faults);
        for _ in 0..rng.random_range(0..12) {
            let running = stage.start();
            running.pass(rng.random_range(0..30)).await;
            running.kill().await;
        }
        let running = stage.start();
        running.until_live().await;
        stage.world().set_rates(Rates::STILL);
        stage.faults().clear();
        // Half a page of calls without a start makes them slow to follow.
        let settle = if without_start < 400 { 60 } else { 900 };
        running.pass(settle).await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// It has been tens of megabytes beside a file of five; and who copies the file alone gets it all.
#[tokio::test(start_paused = true)]
async fn after_a_fill_the_log_is_in_the_file() {
    let stage = Stage::at_rest(WorldConfig {
        calls: 3000,
        ..WorldConfig::default()
    });
    let running = stage.start();
    running.until_live().await;
    running.pass(30).await;
    let mut log = stage.path().into_os_string();
    log.push("-wal");
    let length = || std::fs::metadata(&log).expect("a log").len();
    assert!(length() < 1 << 20, "{} bytes", length());
    let alone = stage.path().with_extension("copy");
    std::fs::copy(stage.path(), &alone).expect("a copy");
    let copied = rusqlite::Connection::open(&alone).expect("a file");
    let count = |row: &rusqlite::Row<'_>| row.get(0);
    let calls: u64 = copied
        .query_row("SELECT count(*) FROM calls", [], count)
        .expect("a count");
    assert_eq!(calls, stage.world().len() as u64);
    running.stop().await.unwrap();
}

/// Polls would take the whole budget: every other request is history's all the same.
#[tokio::test(start_paused = true)]
async fn a_poll_rate_at_the_budget_does_not_starve_the_fill() {
    let mut stage = Stage::at_rest(WorldConfig {
        calls: 2500,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage.settings.poll_interval = Duration::from_secs(1);
    stage.settings.max_requests_per_minute = 60;
    let running = stage.start();
    running.pass(180).await;
    assert_eq!(running.now().phase, Phase::Live);
    let late = stage.world().start_call(Some(stage.now()));
    running
        .pass_until(Duration::from_secs(1), Duration::from_secs(4), || {
            stage.is_current(late)
        })
        .await;
    running.stop().await.unwrap();
    stage.assert_equal();
}
