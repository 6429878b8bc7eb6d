//! Lists and counts of a file of 100,000 calls (`CALLS` says how many; the targets are meant for
//! 1,000,000).
//!
//! `cargo bench --bench lists` makes the file through the writer, from the simulator's texts, and
//! asks a `store::Reader` again and again what clients ask: the first page of each single filter
//! with its exact total, pages at any depth, parts of numbers, SIDs and names drawn from the calls
//! themselves, counts, and an export, page after page. It prints the time of an answer of each kind
//! and what the file takes for a byte of text.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(
    dead_code,
    reason = "no engine and no simulator's server is needed here"
)]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use burki_edge::model::{Call, CallFilter, Part, Timestamp, Verified};
use burki_edge::store::{Learned, Place, Reader, Writer};
use burki_edge::upstream::PAGE_LIMIT;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PAGE: usize = 100;

const ROUNDS: usize = 200;

const DAY: Duration = Duration::from_secs(86_400);

fn main() -> anyhow::Result<()> {
    let count = support::told("CALLS", support::CALLS)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("edge.db");
    let samples = fill(&file, count)?;
    let reader = Reader::open(&file)?;
    let bench = Bench {
        reader,
        samples,
        count: count as u64,
    };
    println!("{ROUNDS} answers of each kind, in ms; targets are for a million calls");
    println!("{:<34} {:>8} {:>8} {:>8}", "", "p50", "p99", "target");
    bench.lists()?;
    bench.parts()?;
    bench.counts()?;
    bench.export()
}

/// Makes the file, and keeps some of its calls. Tells what it takes.
fn fill(file: &Path, count: usize) -> anyhow::Result<Vec<Call>> {
    let pages = support::pages(count)?;
    let mut writer = Writer::open(file, "http://simulator")?;
    let (mut bytes, mut samples) = (0, Vec::new());
    let begun = Instant::now();
    for (page, seq) in pages.into_iter().zip(1..) {
        bytes += page.iter().map(|call| call.body.len() as u64).sum::<u64>();
        samples.extend(page.iter().step_by(50).cloned());
        let calls = page.len();
        let merged = writer.merge(Learned {
            request: Verified {
                at: Timestamp::from_micros(0),
                seq,
            },
            oldest_in_flight: seq,
            newest_seq: seq,
            calls: page,
            singly: false,
            absent: None,
            denied: Vec::new(),
            complete: None,
            windows: None,
        })?;
        ensure!(merged.new == calls, "{calls} calls became {merged:?}");
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    writer.keep_windows(Vec::new())?;
    drop(writer);
    println!("filled {count} calls, {rate:.0} rows/s");
    let size = std::fs::metadata(file)?.len();
    println!(
        "the file has {:.3} bytes for a byte of text ({size} for {bytes})",
        size as f64 / bytes as f64
    );
    sizes(file, bytes)?;
    Ok(samples)
}

/// What each table and index takes for a byte of text.
fn sizes(file: &Path, bytes: u64) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    let mut select = connection.prepare(
        "SELECT name, sum(pgsize) FROM dbstat WHERE aggregate = true
         GROUP BY name HAVING sum(pgsize) > 1000000 ORDER BY 2 DESC",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (name, size): (String, u64) = row?;
        println!("    {name:<30} {:.3}", size as f64 / bytes as f64);
    }
    Ok(())
}

struct Bench {
    reader: Reader,
    samples: Vec<Call>,
    count: u64,
}

impl Bench {
    fn lists(&self) -> anyhow::Result<()> {
        let status = |status: &str| CallFilter {
            status: Some(status.to_owned()),
            ..CallFilter::default()
        };
        self.page("no filter", 10, |_, _| (CallFilter::default(), 0))?;
        self.page("no filter, at any depth", 15, |rng, _| {
            (CallFilter::default(), rng.random_range(0..self.count))
        })?;
        self.page("status completed", 10, |_, _| (status("completed"), 0))?;
        self.page("status failed", 10, |_, _| (status("failed"), 0))?;
        self.page("status ongoing, a few", 10, |_, _| (status("ongoing"), 0))?;
        self.page("status completed, at any depth", 0, |rng, _| {
            let skip = rng.random_range(0..self.count / 2);
            (status("completed"), skip)
        })?;
        self.page("assistant", 10, |_, call| {
            let filter = CallFilter {
                assistant_id: call.assistant_id,
                ..CallFilter::default()
            };
            (filter, 0)
        })?;
        self.page("dates, any two", 10, |rng, call| {
            let filter = CallFilter {
                date_from: call.started_at,
                date_to: (call.started_at).map(|at| at + DAY * rng.random_range(0..20)),
                ..CallFilter::default()
            };
            (filter, 0)
        })?;
        self.page("durations, any bounds", 10, |rng, _| {
            let min = rng.random_range(0..1200);
            let filter = CallFilter {
                min_duration: Some(min),
                max_duration: Some(min + rng.random_range(0..600)),
                ..CallFilter::default()
            };
            (filter, 0)
        })?;
        self.page("status, assistant and dates", 0, |_, call| {
            let filter = CallFilter {
                assistant_id: call.assistant_id,
                date_from: call.started_at,
                ..status("failed")
            };
            (filter, 0)
        })
    }

    fn parts(&self) -> anyhow::Result<()> {
        let part = |rng: &mut StdRng, text: &str, length: usize| {
            let chars: Vec<char> = text.chars().collect();
            let length = length.min(chars.len());
            let at = rng.random_range(0..=chars.len() - length);
            Some(Part::new(
                &chars[at..at + length].iter().collect::<String>(),
            ))
        };
        for length in [3, 4, 6, 12] {
            self.page(&format!("phone, {length} characters"), 25, |rng, call| {
                let phone = call.customer_phone_number.as_deref().unwrap_or_default();
                let filter = CallFilter {
                    customer_phone: part(rng, phone, length),
                    ..CallFilter::default()
                };
                (filter, 0)
            })?;
        }
        for length in [3, 4, 8, 34] {
            self.page(&format!("SID, {length} characters"), 25, |rng, call| {
                let filter = CallFilter {
                    call_sid: part(rng, &call.call_sid, length),
                    ..CallFilter::default()
                };
                (filter, 0)
            })?;
        }
        self.page("name, 3 characters", 25, |rng, call| {
            let name = call.assistant_name.as_deref().unwrap_or_default();
            let filter = CallFilter {
                assistant_name: part(rng, name, 3),
                ..CallFilter::default()
            };
            (filter, 0)
        })?;
        self.page("name and phone, 3 characters each", 0, |rng, call| {
            let phone = call.customer_phone_number.as_deref().unwrap_or_default();
            let name = call.assistant_name.as_deref().unwrap_or_default();
            let filter = CallFilter {
                customer_phone: part(rng, phone, 3),
                assistant_name: part(rng, name, 3),
                ..CallFilter::default()
            };
            (filter, 0)
        })
    }

    fn counts(&self) -> anyhow::Result<()> {
        let now = self.samples.iter().filter_map(|call| call.started_at).max();
        let now = now.context("no call has a start")?;
        self.time("count", 3, |_, _| {
            self.reader.count(&CallFilter::default())?;
            Ok(())
        })?;
        self.time("count between any two dates", 3, |rng, call| {
            let filter = CallFilter {
                date_from: call.started_at,
                date_to: (call.started_at).map(|at| at + DAY * rng.random_range(0..20)),
                ..CallFilter::default()
            };
            self.reader.count(&filter)?;
            Ok(())
        })?;
        self.time("durations", 3, |_, _| {
            self.reader.durations()?;
            Ok(())
        })?;
        for days in [90, 7, 1] {
            self.time(&format!("analytics, {days} days"), 3, |_, _| {
                self.reader.analytics(now - DAY * days, now)?;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn export(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let (mut rows, mut after) = (0, None);
        loop {
            let page = self
                .reader
                .list_after(&CallFilter::default(), after, PAGE_LIMIT)?;
            let Some(last) = page.last() else { break };
            rows += page.len() as u64;
            after = Some(Place {
                started_at: last.started_at,
                id: last.id,
            });
        }
        ensure!(rows == self.count, "{rows} rows were exported");
        let rate = rows as f64 / begun.elapsed().as_secs_f64();
        println!("export: {rate:.0} rows/s; target over 200000");
        Ok(())
    }

    fn page(
        &self,
        what: &str,
        target: u64,
        ask: impl Fn(&mut StdRng, &Call) -> (CallFilter, u64),
    ) -> anyhow::Result<()> {
        self.time(what, target, |rng, call| {
            let (filter, skip) = ask(rng, call);
            let page = self.reader.list(&filter, skip, PAGE)?;
            ensure!(page.rows.len() <= PAGE, "a page of {}", page.rows.len());
            Ok(())
        })
    }

    /// The first ten do not count.
    fn time(
        &self,
        what: &str,
        target: u64,
        ask: impl Fn(&mut StdRng, &Call) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut rng = StdRng::seed_from_u64(1);
        let mut times = Vec::new();
        for round in 0..ROUNDS + 10 {
            let call = &self.samples[rng.random_range(0..self.samples.len())];
            let begun = Instant::now();
            ask(&mut rng, call)?;
            if round >= 10 {
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        times.sort_by(f64::total_cmp);
        let target = match target {
            0 => "-".to_owned(),
            ms => ms.to_string(),
        };
        println!(
            "{what:<34} {:>8.3} {:>8.3} {target:>8}",
            times[ROUNDS / 2],
            times[ROUNDS * 99 / 100]
        );
        Ok(())
    }
}
