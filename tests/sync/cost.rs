//! What a day costs: requests, and writes.

use std::time::Duration;

use burki_edge::simulator::{Flavour, Rates, WorldConfig};

use super::engine_harness::{Running, Stage};

const DAY: u64 = 86_400;

/// The part of a day that is looked at; the whole where `BURKI_EDGE_WHOLE_DAY` is set.
fn part() -> u64 {
    match std::env::var_os("BURKI_EDGE_WHOLE_DAY") {
        Some(_) => 1,
        None => 12,
    }
}

/// Twenty thousand calls that were read two hours ago, and are asked for by pages of so many.
async fn twenty_thousand(flavour: Flavour, rows: usize, rates: Rates) -> (Stage, Running) {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 20_000,
        span: Duration::from_secs(500 * DAY),
        ..WorldConfig::default()
    });
    stage.settings.page_limit = rows;
    let running = stage.start();
    running.until_live().await;
    running.pass(7200).await;
    stage.world().set_rates(rates);
    stage.forget_asked();
    (stage, running)
}

async fn idle(flavour: Flavour, most: usize) {
    // As many windows as a million calls have.
    let (stage, running) = twenty_thousand(flavour, 20, Rates::STILL).await;
    let watch = stage.watch();
    let version = watch.version();
    running.pass(DAY / part()).await;
    let asked = stage.asked("").len() * part() as usize;
    assert!(asked < most, "{flavour:?}: {asked} requests a day");
    assert_eq!(watch.version(), version, "something was written");
    running.stop().await.expect("a clean end");
}

#[tokio::test(start_paused = true)]
async fn an_idle_day_over_a_thousand_windows_costs_little_more_than_its_polls() {
    idle(Flavour::Hosted, 12_000).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_day_of_a_self_hosted_server_costs_a_count_a_minute_more() {
    idle(Flavour::SelfHosted, 12_000 + 1_440).await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_day_of_two_thousand_calls_costs_less_than_twenty_thousand() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let rates = Rates {
            calls: 83.0,
            ..Rates::STILL
        };
        // Young windows are read again the most often. Here are five times as many as there would
        // be of pages as long as the upstream's.
        let (stage, running) = twenty_thousand(flavour, 200, rates).await;
        running.pass(DAY / part()).await;
        let asked = stage.asked("").len() * part() as usize;
        assert!(asked < 20_000, "{flavour:?}: {asked} requests a day");
        stage.world().set_rates(Rates::STILL);
        running.pass(3600).await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}
