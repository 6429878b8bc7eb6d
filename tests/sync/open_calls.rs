//! The newest calls, the open ones, and the pace.

use std::time::Duration;

use burki_edge::simulator::{Flavour, Rates, WorldConfig};

use super::engine_harness::Stage;

#[tokio::test(start_paused = true)]
async fn a_living_upstream_is_followed() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let rates = Rates {
            calls: 400.0,
            annotations: 0.0,
            deletions: 0.0,
        };
        let stage = Stage::new(WorldConfig {
            flavour,
            rates,
            without_start: 0,
            ..WorldConfig::default()
        });
        let running = stage.start();
        running.until_live().await;
        running.pass(900).await;
        stage.world().set_rates(Rates::STILL);
        running.pass(30).await;
        running.stop().await.unwrap();
        assert!(stage.world().len() > 1060);
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_call_far_below_the_head_is_followed_until_it_ends() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let stage = Stage::new(WorldConfig {
            flavour,
            calls: 3000,
            // Younger than a day: an older one follows its tier.
            span: Duration::from_secs(20 * 3600),
            ..WorldConfig::default()
        });
        let oldest: Vec<i64> = stage
            .world()
            .newest(3000)
            .into_iter()
            .rev()
            .take(5)
            .collect();
        for id in &oldest {
            stage
                .world()
                .update(*id, |call| call.status = "in-progress".into());
        }
        let running = stage.start();
        running.until_live().await;
        let at = stage.now();
        assert!(stage.world().end_call(oldest[2], at, "completed"));
        stage
            .world()
            .set_metadata(oldest[3], Some(r#"{"note":"still talking"}"#));
        running.pass(25).await;
        stage.assert_equal();
        for id in oldest.iter().filter(|id| **id != oldest[2]) {
            stage.world().end_call(*id, at, "failed");
        }
        running.pass(25).await;
        stage.forget_asked();
        running.pass(300).await;
        assert!(
            stage.asked("status=").is_empty(),
            "nothing is open any more"
        );
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// The list of the open ones fails for it: they are asked for one by one.
#[tokio::test(start_paused = true)]
async fn an_open_call_beside_an_unreadable_one_is_followed_to_its_end() {
    let mut stage = Stage::at_rest(WorldConfig {
        calls: 600,
        span: Duration::from_secs(20 * 3600),
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 100;
    let oldest = stage.ids().split_off(590);
    for id in &oldest {
        stage
            .world()
            .update(*id, |call| call.status = "in-progress".into());
    }
    let running = stage.start();
    running.until_live().await;
    running.pass(30).await;
    stage.assert_equal();
    stage.faults().make_unreadable(oldest[3]);
    running.pass(60).await;
    for id in oldest.iter().filter(|id| **id != oldest[3]) {
        let at = stage.now();
        stage.world().end_call(*id, at, "completed");
        running
            .pass_until(Duration::from_secs(1), Duration::from_secs(30), || {
                stage.is_current(*id)
            })
            .await;
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn more_new_calls_than_a_page_between_two_heads_are_all_read() {
    let stage = Stage::new(WorldConfig::default());
    let running = stage.start();
    running.until_live().await;
    let from = stage.now();
    for second in 0..2500 {
        stage
            .world()
            .start_call(Some(from + Duration::from_millis(second)));
    }
    running.pass(25).await;
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn an_idle_edge_asks_once_a_poll_counts_now_and_then_and_writes_nothing() {
    let stage = Stage::new(WorldConfig {
        calls: 3000,
        ..WorldConfig::default()
    });
    let ids = stage.world().newest(3000);
    for id in ids {
        let at = stage.now();
        stage.world().end_call(id, at, "completed");
    }
    let running = stage.start();
    running.until_live().await;
    running.pass(30).await;
    stage.forget_asked();
    let log = stage.path().with_extension("db-wal");
    let before = std::fs::metadata(&log).unwrap().len();
    running.pass(1200).await;
    // And one count up to a cut every second minute.
    assert_eq!(stage.asked("/count").len(), 10);
    assert_eq!(stage.asked("").len(), 130);
    assert_eq!(std::fs::metadata(&log).unwrap().len(), before);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_minute_costs_more_than_the_budget() {
    let mut stage = Stage::new(WorldConfig {
        calls: 30_000,
        ..WorldConfig::default()
    });
    stage.settings.max_requests_per_minute = 12;
    let running = stage.start();
    let status = running.until_live().await;
    running.stop().await.unwrap();
    let asked = stage.asked("");
    assert!(asked.len() > 30);
    assert_eq!(status.requests_last_hour as usize, asked.len());
    for (place, (first, _)) in asked.iter().enumerate() {
        let minute = asked[place..]
            .iter()
            .take_while(|(at, _)| at.duration_since(*first) < Duration::from_secs(60));
        assert!(minute.count() <= 12);
    }
}

#[tokio::test(start_paused = true)]
async fn sync_now_does_not_wait_for_the_poll() {
    let mut stage = Stage::new(WorldConfig::default());
    stage.settings.poll_interval = Duration::from_secs(3600);
    let running = stage.start();
    running.until_live().await;
    let id = stage.world().start_call(Some(stage.now()));
    assert_eq!(stage.held(id), None);
    running.handle.sync_now();
    running.pass(1).await;
    assert!(stage.held(id).is_some());
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_start_are_followed_though_they_fill_the_first_page() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let stage = Stage::new(WorldConfig {
            flavour,
            calls: 3000,
            without_start: 1200,
            ..WorldConfig::default()
        });
        let running = stage.start();
        running.until_live().await;
        stage.forget_asked();
        let (new, changed) = {
            let mut world = stage.world();
            let changed = world.newest(1)[0];
            world.set_metadata(changed, Some(r#"{"note":"changed"}"#));
            (world.start_call(None), changed)
        };
        running.pass(600).await;
        assert_eq!(stage.held(new), stage.world().text(new));
        assert_eq!(stage.held(changed), stage.world().text(changed));
        let polls = 60;
        let asked = stage.asked("").len();
        assert!(
            asked <= 2 * polls + 30,
            "{flavour:?}: {asked} requests in {polls} polls"
        );
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_start_are_revalidated_each_reconcile_interval() {
    let mut stage = Stage::new(WorldConfig {
        calls: 300,
        without_start: 200,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 20;
    stage.settings.max_requests_per_minute = 6000;
    stage.settings.reconcile_interval = Duration::from_secs(60);
    let running = stage.start();
    running.until_live().await;
    // Ten pages a pass: at one request a poll that is a rest of many minutes.
    for _ in 0..3 {
        let changed = stage.world().newest(1)[0];
        stage.annotate(changed);
        running.pass(100).await;
        assert_eq!(stage.held(changed), stage.world().text(changed));
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_start_do_not_shorten_the_head() {
    // Also where the server cuts its pages shorter than it is asked for.
    for (page_cap, without_start, place) in [(None, 995, 1300), (Some(100), 60, 120)] {
        let stage = Stage::new(WorldConfig {
            calls: 4000,
            without_start,
            page_cap,
            ..WorldConfig::default()
        });
        let running = stage.start();
        running.until_live().await;
        let id = stage.world().newest(place)[place - 1];
        stage.annotate(id);
        running.pass(25).await;
        assert_eq!(stage.held(id), stage.world().text(id), "{page_cap:?}");
        running.stop().await.unwrap();
    }
}
