//! What the benches start from: one simulated Burki, the same in every run, the engine that fills a
//! file from it, and a file that is filled by nothing but `INSERT`.

pub mod replica;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use burki_edge::model::{Call, Timestamp, Verified};
use burki_edge::simulator::{Simulator, World, WorldConfig};
use burki_edge::store::{Observation, Writer};
use burki_edge::sync::{Clock, Engine, Phase, Settings};
use burki_edge::upstream::{CallSource, PAGE_LIMIT};
use rusqlite::Connection;
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
        reconcile_interval: Duration::from_secs(86_400),
        page_limit: PAGE_LIMIT,
        history: None,
        max_concurrency: 4,
        max_requests_per_minute: 1_000_000,
        details: BTreeSet::new(),
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

/// A number from the environment, or what is usual.
pub fn told(variable: &str, usual: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text}")),
        Err(_) => Ok(usual),
    }
}

/// The calls of a simulated Burki that have a start, in pages as a fill reads them: the newest
/// first, and each by ascending id.
pub fn pages(count: usize) -> anyhow::Result<Vec<Vec<Call>>> {
    let world = World::new(WorldConfig {
        calls: count,
        without_start: 0,
        ..WorldConfig::default()
    });
    let mut ids = world.newest(count);
    let pages = ids.chunks_mut(PAGE_LIMIT).map(|page| {
        page.sort_unstable();
        let call = |id: &i64| {
            let text = world.text(*id).context("a call without a text")?;
            Ok(Call::from_json(&text)?)
        };
        page.iter().map(call).collect()
    });
    pages.collect()
}

/// An answer that lists calls, and tells no more than that they are there.
pub fn answer(request: Verified, calls: Vec<Call>) -> Observation {
    Observation {
        calls,
        ..Observation::of(request)
    }
}

/// The call with another text for each `round`, of about the same length.
pub fn changed(call: &Call, round: usize) -> Call {
    let field = format!("\"round\":{round},\"call_meta\":");
    Call {
        body: call.body.replacen("\"call_meta\":", &field, 1).into(),
        ..call.clone()
    }
}

/// A file of the same schema and settings as the store's, written without the store.
pub struct Plain {
    connection: Connection,
    change_seq: i64,
}

impl Plain {
    pub fn new(file: &Path) -> anyhow::Result<Plain> {
        let connection = Connection::open(file)?;
        // As the store's writer has them.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.execute_batch(include_str!("../../schema.sql"))?;
        Ok(Plain {
            connection,
            change_seq: 0,
        })
    }

    /// One transaction.
    pub fn insert<'a>(
        &mut self,
        calls: impl IntoIterator<Item = (&'a Call, i64)>,
    ) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO calls (id, call_sid, assistant_id, assistant_name, customer_phone_number,
                 status, duration, started_at, open, suspect_at, seen_at, request_seq, body_hash,
                 body, change_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, 0, 0, ?10, ?11, ?12)",
        )?;
        for (call, hash) in calls {
            self.change_seq += 1;
            insert.execute((
                call.id,
                &call.call_sid,
                call.assistant_id,
                &call.assistant_name,
                &call.customer_phone_number,
                &call.status,
                call.duration,
                call.started_at.map(Timestamp::as_micros),
                call.is_open(),
                hash,
                &*call.body,
                self.change_seq,
            ))?;
        }
        drop(insert);
        Ok(transaction.commit()?)
    }

    /// Makes room for rows that are there.
    pub fn take_out(&mut self, calls: &[Call]) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        for call in calls {
            transaction
                .prepare_cached("DELETE FROM calls WHERE id = ?1")?
                .execute([call.id])?;
        }
        Ok(transaction.commit()?)
    }
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
