//! Merging a page of a thousand calls into a file of 100,000 (`MERGE_CALLS` says how many).
//!
//! `cargo bench --bench merge` merges pages as a comparison of history does, decoded beforehand and
//! with the list's word that they are all, and prints for pages of which *none changed* and of which
//! *all changed* the processor's time of a page, which says something of the machine as well.
//! Targets: under 5 ms, under 40 ms.
//!
//! *All changed* is also told as a ratio to a plain `INSERT` of the same rows, with their hashes
//! computed beforehand, in one transaction into a file of the same schema, settings and content, from
//! which they were taken out before. Both by the clock, disk included, in turns. Target: at most 2.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(
    dead_code,
    reason = "no engine and no simulator's server is needed here"
)]
mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use burki_edge::model::{Call, Timestamp, Verified};
use burki_edge::store::{Complete, Merged, Observation, Trust, Writer};
use burki_edge::upstream::PAGE_LIMIT;
use support::Plain;

const ROUNDS: usize = 7;

/// Pages a round measures of each kind.
const PAGES: usize = 8;

fn main() -> anyhow::Result<()> {
    let count = support::told("MERGE_CALLS", support::CALLS)?;
    let pages = support::pages(count)?;
    let folder = tempfile::tempdir()?;
    let mut seq = 0;
    let mut writer = Writer::open(&folder.path().join("edge.db"), "http://simulator")?;
    for page in &pages {
        seq += 1;
        writer.merge(answer(seq, page.clone()))?;
    }
    let mut plain = Plain::new(&folder.path().join("plain.db"))?;
    for page in &pages {
        plain.insert(page.iter().map(|call| (call, call.body_hash())))?;
    }

    println!("merging pages of {PAGE_LIMIT} calls into {count}, {ROUNDS} rounds of {PAGES} pages");
    println!("round  none changed, CPU ms  all changed, CPU ms  all changed : INSERT");
    let (mut none, mut all, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = 0;
    for round in 0..=ROUNDS {
        let mut spent = [Duration::ZERO; 4];
        for _ in 0..PAGES {
            // Another page each time, and far from the last.
            place = (place + 37) % pages.len();
            let page: Vec<Call> = pages[place]
                .iter()
                .map(|call| support::changed(call, round))
                .collect();
            plain.take_out(&page)?;
            let hashes: Vec<i64> = page.iter().map(Call::body_hash).collect();
            let rows = page.iter().zip(hashes);
            let ((), insert) = by_the_clock(|| plain.insert(rows))?;
            seq += 1;
            let learned = answer(seq, page.clone());
            let ((merged, changed), clock) =
                by_the_clock(|| on_the_processor(|| Ok(writer.merge(learned)?)))?;
            expect(merged.changed, page.len(), merged)?;
            seq += 1;
            let learned = answer(seq, page.clone());
            let (merged, unchanged) = on_the_processor(|| Ok(writer.merge(learned)?))?;
            expect(merged.unchanged, page.len(), merged)?;
            for (sum, part) in spent.iter_mut().zip([unchanged, changed, clock, insert]) {
                *sum += part;
            }
        }
        // The first does not count.
        if round == 0 {
            continue;
        }
        let [unchanged, changed, clock, insert] =
            spent.map(|sum| sum.as_secs_f64() * 1e3 / PAGES as f64);
        println!(
            "{round:>5}  {unchanged:>20.2}  {changed:>19.2}  {:>20.3}",
            clock / insert
        );
        none.push(unchanged);
        all.push(changed);
        ratios.push(clock / insert);
    }
    let verdict = |holds| if holds { "met" } else { "MISSED" };
    let (none_ms, all_ms, ratio) = (
        support::median(&none),
        support::median(&all),
        support::median(&ratios),
    );
    println!(
        "none changed, CPU ms:  {}; target under 5: {}",
        support::spread(&none),
        verdict(none_ms < 5.0)
    );
    println!(
        "all changed, CPU ms:   {}; target under 40: {}",
        support::spread(&all),
        verdict(all_ms < 40.0)
    );
    println!(
        "all changed : INSERT:  {}; target at most 2: {}",
        support::spread(&ratios),
        verdict(ratio <= 2.0)
    );
    Ok(())
}

fn expect(found: usize, expected: usize, merged: Merged) -> anyhow::Result<()> {
    ensure!(found == expected, "{expected} calls became {merged:?}");
    Ok(())
}

/// A page of history, with the list's word that these are all of its time.
fn answer(seq: u64, calls: Vec<Call>) -> Observation {
    let starts = || calls.iter().filter_map(|call| call.started_at);
    let bounds = starts().min().zip(starts().max());
    let request = Verified {
        at: Timestamp::from_micros(0),
        seq,
    };
    Observation {
        complete: bounds.map(|(oldest, newest)| Complete {
            started: Some(oldest..=newest),
            without_start: false,
            listed: calls.iter().map(|call| call.id).collect(),
            belief: Trust::UpTo(10),
        }),
        ..support::answer(request, calls)
    }
}

fn by_the_clock<T>(act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let begun = Instant::now();
    let done = act()?;
    Ok((done, begun.elapsed()))
}

fn on_the_processor<T>(act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let begun = processor_time()?;
    let done = act()?;
    Ok((done, processor_time()? - begun))
}

/// What this thread has had of a processor.
fn processor_time() -> anyhow::Result<Duration> {
    // The figure is brought up to date when the thread gives way.
    std::thread::yield_now();
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = figures.split(' ').next().context("no figures")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
