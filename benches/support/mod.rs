//! What both benches start from: one simulated Burki, the same in every run, and the engine that
//! fills a file from it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use burki_edge::model::Timestamp;
use burki_edge::simulator::{Simulator, World, WorldConfig};
use burki_edge::store::Writer;
use burki_edge::sync::{Clock, Engine, Phase, Settings};
use burki_edge::upstream::CallSource;
use tokio_util::sync::CancellationToken;

/// How many calls a replica holds in either bench.
pub const CALLS: usize = 100_000;

/// Longer than any fill here takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// A hosted Burki with [`CALLS`] calls in which nothing happens, on a free port.
pub fn simulate() -> anyhow::Result<Simulator> {
    let world = World::new(WorldConfig {
        calls: CALLS,
        ..WorldConfig::default()
    });
    Simulator::start(world, "127.0.0.1:0").context("starting the simulated Burki")
}

/// Lets the engine fill a new file from `source`, under a budget it can't exhaust. Returns how
/// long that took: from the engine's first step to the moment the replica is complete.
pub async fn fill(
    source: impl CallSource,
    file: &Path,
    base_url: &str,
) -> anyhow::Result<Duration> {
    let settings = Settings {
        // One head at the start, and no other request that is not the fill's.
        poll_interval: Duration::from_secs(3600),
        history: None,
        max_concurrency: 4,
        max_requests_per_minute: 1_000_000,
        seed: 1,
    };
    let clock: Clock = Arc::new(Timestamp::now);
    let writer = Writer::open(file, base_url)?;
    let (engine, handle) = Engine::new(source, writer, settings, clock);
    let stop = CancellationToken::new();
    let mut status = handle.status();
    let begun = Instant::now();
    let engine = tokio::spawn(engine.run(stop.clone()));
    tokio::time::timeout(
        DEADLINE,
        status.wait_for(|status| status.phase == Phase::Live),
    )
    .await
    .context("the fill did not end in time")??;
    let took = begun.elapsed();
    stop.cancel();
    engine.await??;
    Ok(took)
}

/// The middle one; of an even number the upper of the two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// `median (lowest to highest)`.
pub fn spread(values: &[f64]) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let middle = median(values);
    format!("{middle:.3} ({lowest:.3} to {highest:.3})")
}
