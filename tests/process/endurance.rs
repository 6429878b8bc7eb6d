//! Hours in seconds: an upstream that lives fast, a line that fails, a process that is killed; and
//! at the end not one call differs.

use std::time::{Duration, Instant};

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Fault, Flavour, Rates, Simulator, WorldConfig};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::child::Ended;
use super::edge_process::{Edge, Site, serve, until, world};

const KILLS: usize = 3;

/// `variable` as a number, or what is usual.
fn told(variable: &str, usual: u64) -> u64 {
    let told = std::env::var(variable).ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What may befall a request: every fault there is, but for mere latency.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Unauthorized,
        Fault::Throttled {
            retry_after: "1".to_owned(),
        },
        Fault::ServerError,
        Fault::Unavailable,
        Fault::Reset,
        Fault::Hang,
        Fault::Truncated,
        Fault::Garbage,
        Fault::NotFoundPage,
        Fault::EmptyList,
        Fault::ShortList(3),
        Fault::OtherOrder,
        Fault::SharedSid,
        Fault::DuplicateKeys,
        Fault::WrongTypes,
        Fault::WithoutId,
        Fault::HugeNumber,
    ]
}

/// Calls that began minutes ago are compared every few seconds.
fn fast_world(seed: u64) -> WorldConfig {
    WorldConfig {
        seed,
        span: Duration::from_secs(300),
        same_instant: 1100,
        rates: Rates {
            calls: 20_000.0,
            annotations: 20_000.0,
            deletions: 4000.0,
        },
        ..world(Flavour::Hosted, 5000)
    }
}

fn fast_site(simulator: &Simulator) -> Site {
    let mut site = Site::of(simulator);
    site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
    site.set("BURKI_EDGE_SYNC__RECONCILE_INTERVAL", "60s");
    site.set("BURKI_EDGE_UPSTREAM__TIMEOUT", "2s");
    site
}

/// The edge is killed at moments drawn from `rng` and started again at once.
async fn live_through(site: &Site, length: Duration, rng: &mut StdRng) -> Edge {
    let mut moments: Vec<f64> = (0..KILLS).map(|_| rng.random_range(0.0..1.0)).collect();
    moments.sort_by(f64::total_cmp);
    let begun = tokio::time::Instant::now();
    let mut edge = site.serve();
    for moment in moments {
        tokio::time::sleep_until(begun + length.mul_f64(moment)).await;
        let killed = edge.process.kill();
        assert_eq!(killed.code, None, "it ended by itself:\n{}", killed.stderr);
        edge = site.serve();
    }
    tokio::time::sleep_until(begun + length).await;
    edge
}

/// How long a change may stay unseen, once the edge knows.
async fn stated_bound(edge: &Edge) -> Duration {
    let mut bound = None;
    until(async || {
        let status = edge.status().await;
        let live = status["sync"]["phase"] == "live" && status["upstream"]["state"] == "online";
        bound = status["sync"]["freshness_bound_s"]
            .as_u64()
            .filter(|_| live);
        bound.is_some()
    })
    .await;
    Duration::from_secs(bound.unwrap())
}

/// Verifies until there is no difference, or there should be none any more.
fn verified(site: &Site, overdue: Instant) -> Ended {
    loop {
        let last = Instant::now() >= overdue;
        let ended = site.run(&["verify"]);
        if ended.code == Some(0) || last {
            return ended;
        }
    }
}

/// `ENDURANCE_SECONDS` and `ENDURANCE_SEED` say how long, and which; `EDGE_BINARY` names another
/// binary than the tests' own.
#[tokio::test]
async fn whatever_befell_it_nothing_differs_once_it_is_quiet() {
    let seed = told("ENDURANCE_SEED", 1);
    let length = Duration::from_secs(told("ENDURANCE_SECONDS", 10));
    println!("seed {seed}, {} s", length.as_secs());
    let mut rng = StdRng::seed_from_u64(seed);
    let simulator = serve(fast_world(seed));
    simulator.live(Timestamp::now);
    simulator.faults().at_random(seed, 0.1, faults());
    let site = fast_site(&simulator);
    // Nobody tells the edge of any change: all hints are lost.
    let edge = live_through(&site, length, &mut rng).await;

    let asked = simulator.count_requests("");
    simulator.faults().clear();
    simulator.world().set_rates(Rates::STILL);
    let still = Instant::now();
    let bound = stated_bound(&edge).await;
    let live = still.elapsed();
    let ended = verified(&site, still + bound);
    println!(
        "{} calls, {asked} requests, {KILLS} kills; live again after {:.1} s, equal after {:.1} s, \
         of a bound of {} s: {}",
        simulator.world().len(),
        live.as_secs_f64(),
        still.elapsed().as_secs_f64(),
        bound.as_secs(),
        ended.stdout.lines().last().unwrap_or_default(),
    );
    assert_eq!(ended.code, Some(0), "seed {seed}: {ended:?}");
    edge.stop();
}
