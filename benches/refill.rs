//! Reading calls by id while the file is refilled at full speed.
//!
//! `cargo bench --bench refill` fills a file with 200,000 calls (`REFILL_CALLS` says how many) and
//! reads one after the other, drawn uniformly, through a `store::Reader` on a thread of its own: a
//! closed loop, each read begun when the last is over and timed from its own beginning. It does so
//! at rest, and while a second thread merges every call once more, each of them changed, a page to
//! a transaction and without a pause: far more than any upstream sends. Both take turns, a fifth of
//! the calls at a time, so that the machine's moods befall both.
//!
//! The figure is the 99th percentile during the refill over that at rest. Target: at most 2.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(
    dead_code,
    reason = "no engine and no simulator's server is needed here"
)]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use burki_edge::model::{Call, CallKey, Timestamp, Verified};
use burki_edge::store::{Learned, Reader, Writer};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const CALLS: usize = 200_000;

const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    let count = support::told("REFILL_CALLS", CALLS)?;
    let pages = support::pages(count)?;
    let ids: Vec<i64> = pages.iter().flatten().map(|call| call.id).collect();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("edge.db");
    let mut writer = Writer::open(&file, "http://simulator")?;
    let mut seq = 0;
    for page in &pages {
        seq += 1;
        writer.merge(answer(seq, page.clone()))?;
    }

    println!("reading calls by id, one after the other, out of {count}; {ROUNDS} rounds");
    println!(
        "round  rows/s  at rest: reads, p50, p99 us  in a refill: reads, p50, p99 us  p99 : p99"
    );
    let mut ratios = Vec::new();
    for (round, part) in pages.chunks(pages.len().div_ceil(ROUNDS)).enumerate() {
        let begun = Instant::now();
        let refilled = during(&file, &ids, || {
            for page in part {
                seq += 1;
                let page = page.iter().map(|call| support::changed(call, 1)).collect();
                writer.merge(answer(seq, page))?;
            }
            Ok(())
        })?;
        let took = begun.elapsed();
        let at_rest = during(&file, &ids, || {
            let begun = Instant::now();
            while let Some(left) = took.checked_sub(begun.elapsed()) {
                std::thread::park_timeout(left);
            }
            Ok(())
        })?;
        let rows: usize = part.iter().map(Vec::len).sum();
        let ratio = refilled.p99 / at_rest.p99;
        println!(
            "{:>5}  {:>6.0}  {at_rest}  {refilled}  {ratio:.3}",
            round + 1,
            rows as f64 / took.as_secs_f64()
        );
        ratios.push(ratio);
    }
    let met = if support::median(&ratios) <= 2.0 {
        "met"
    } else {
        "MISSED"
    };
    println!(
        "p99 in a refill : at rest  {}; target at most 2: {met}",
        support::spread(&ratios)
    );
    Ok(())
}

fn answer(seq: u64, calls: Vec<Call>) -> Learned {
    Learned {
        request: Verified {
            at: Timestamp::from_micros(0),
            seq,
        },
        oldest_in_flight: seq,
        newest_seq: seq,
        calls,
        singly: false,
        absent: None,
        denied: Vec::new(),
        complete: None,
        windows: None,
    }
}

/// How long reads took, in microseconds.
struct Reads {
    count: usize,
    p50: f64,
    p99: f64,
}

impl std::fmt::Display for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>8} {:>7.1} {:>7.1}", self.count, self.p50, self.p99)
    }
}

/// Reads on a thread of its own for as long as `work` takes.
fn during(
    file: &Path,
    ids: &[i64],
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Reads> {
    let over = AtomicBool::new(false);
    let mut took = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(file, ids, &over));
        let worked = work();
        over.store(true, Ordering::Release);
        let read = reading.join().map_err(|_| anyhow!("the reader panicked"))?;
        worked?;
        read
    })?;
    took.sort_unstable();
    let percentile = |part: usize| {
        let place = took.len() * part / 100;
        took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e6)
    };
    Ok(Reads {
        count: took.len(),
        p50: percentile(50),
        p99: percentile(99),
    })
}

fn read(file: &Path, ids: &[i64], over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let reader = Reader::open(file)?;
    let mut rng = SmallRng::seed_from_u64(1);
    let mut took = Vec::with_capacity(1 << 20);
    while !over.load(Ordering::Acquire) {
        let id = ids[rng.random_range(0..ids.len())];
        let begun = Instant::now();
        let held = reader.call(&CallKey::Id(id))?;
        took.push(begun.elapsed());
        held.context("a call that is not held")?;
    }
    Ok(took)
}
