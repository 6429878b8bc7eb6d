//! Filling a replica: whom does the time belong to, the upstream or the edge?
//!
//! `cargo bench --bench fill` fills 100,000 calls from the simulator through a loopback socket, by
//! the real engine into a real file, several times over, and prints two figures.
//!
//! *On the line*: the share of the wall time in which a request was on the line, from its first
//! byte to the last of its answer: the simulator's work, the socket's, and the HTTP client's, which
//! reads while the simulator writes. The source that the engine asks here is the real client with a
//! watch in it. The next page is asked for while one is written, so this share and the edge's own
//! work may add up to more than the whole: a share near 1 means that the edge waits for the
//! upstream, a small one that the upstream waits for the edge. *Decoding* is timed around
//! `wire::reply`.
//!
//! Both are told twice: for the simulator as it is, which answers a page from memory in a few
//! milliseconds, faster than SQLite takes in a thousand rows by any means; and for one that takes
//! 30 ms longer, the quickest page seen of a real server on the same machine.
//!
//! *Against a bare loop*: the fill's rows per second as a share of those of a loop that does
//! nothing but insert the same rows, decoded and hashed beforehand, into the same schema with the
//! same settings and in the same order, a page to a transaction. It takes turns with the fill,
//! since a machine's disk is not the same from minute to minute.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "the simulator serves all of it here")]
mod support;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use burki_edge::model::{Call, KeyHash, Timestamp};
use burki_edge::simulator::{Fault, Simulator};
use burki_edge::store::Reader;
use burki_edge::upstream::{
    CallSource, DateForm, HttpSource, PAGE_LIMIT, Reply, Request, UpstreamError, wire,
};
use support::{CALLS, Plain};
use url::Url;

const ROUNDS: usize = 5;

/// The quickest page of a thousand calls seen of a self-hosted server on the same machine.
const REAL_PAGE: Duration = Duration::from_millis(30);

fn main() -> anyhow::Result<()> {
    let simulator = support::simulate()?;
    let calls = in_order_of_writing(&simulator)?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    println!("filling {CALLS} calls, {ROUNDS} rounds after one that does not count");
    println!("round  page takes longer by  on the line  decoding  rows/s, fill : bare loop");
    let (mut lines, mut slow_lines, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let bare = bare_loop(&calls, &folder.path().join(format!("bare-{round}.db")))?;
        for latency in [Duration::ZERO, REAL_PAGE] {
            let name = format!("edge-{round}-{}.db", latency.as_millis());
            let filled = folder.path().join(name);
            let watch = Arc::new(Watch::default());
            simulator.faults().always(Fault::Latency(latency));
            let took = runtime.block_on(fill(&simulator, &filled, Arc::clone(&watch)))?;
            let held = Reader::open(&filled)?.totals()?.calls;
            ensure!(held == CALLS as u64, "the file holds {held} calls");
            if round == 0 {
                continue;
            }
            let share = |part: Duration| part.as_secs_f64() / took.as_secs_f64();
            let (line, decoding) = (share(watch.line()), share(watch.decoding()));
            let ratio = bare.as_secs_f64() / took.as_secs_f64();
            println!(
                "{round:>5}  {:>18} ms  {line:>11.3}  {decoding:>8.3}  {ratio:>24.3}",
                latency.as_millis(),
            );
            if latency.is_zero() {
                lines.push(line);
                ratios.push(ratio);
            } else {
                slow_lines.push(line);
            }
        }
    }
    println!(
        "on the line:                    {}",
        support::spread(&lines)
    );
    println!(
        "on the line, 30 ms more a page: {}",
        support::spread(&slow_lines)
    );
    println!(
        "fill : bare loop:               {}",
        support::spread(&ratios)
    );
    Ok(())
}

/// Every call of the simulator as the store writes a fill: the newest page first, and each page by
/// ascending id.
fn in_order_of_writing(simulator: &Simulator) -> anyhow::Result<Vec<Call>> {
    let world = simulator.world();
    let mut ids = world.newest(CALLS);
    for page in ids.chunks_mut(PAGE_LIMIT) {
        page.sort_unstable();
    }
    ids.into_iter()
        .map(|id| {
            let text = world.text(id).context("a call without a text")?;
            Ok(Call::from_json(&text)?)
        })
        .collect()
}

async fn fill(simulator: &Simulator, file: &Path, watch: Arc<Watch>) -> anyhow::Result<Duration> {
    let base = Url::parse(&simulator.base_url())?;
    let key = simulator.world().api_key().to_owned();
    let source = Watched {
        inner: HttpSource::new(&base, &key, Duration::from_secs(30))?,
        watch,
    };
    support::fill(source, file, &simulator.base_url()).await
}

/// How long there was something on the line, and how long answers were decoded.
#[derive(Default)]
struct Watch(Mutex<Times>);

#[derive(Default)]
struct Times {
    on_the_line: usize,
    since: Option<Instant>,
    line: Duration,
    decoding: Duration,
}

impl Watch {
    fn with<T>(&self, act: impl FnOnce(&mut Times) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sent(&self) {
        self.with(|times| {
            times.on_the_line += 1;
            times.since.get_or_insert_with(Instant::now);
        });
    }

    fn answered(&self) {
        self.with(|times| {
            times.on_the_line -= 1;
            if let Some(since) = times.since.take_if(|_| times.on_the_line == 0) {
                times.line += since.elapsed();
            }
        });
    }

    fn line(&self) -> Duration {
        self.with(|times| times.line)
    }

    fn decoding(&self) -> Duration {
        self.with(|times| times.decoding)
    }
}

/// The real client, with the two halves of its work timed apart.
struct Watched {
    inner: HttpSource,
    watch: Arc<Watch>,
}

impl CallSource for Watched {
    fn key_hash(&self) -> KeyHash {
        self.inner.key_hash()
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        self.watch.sent();
        let received = self.inner.get(&wire::path_and_query(request, dates)).await;
        self.watch.answered();
        let (status, body) = received?;
        let begun = Instant::now();
        let reply = wire::reply(request, dates, status, None, &body, Timestamp::now());
        self.watch.with(|times| times.decoding += begun.elapsed());
        reply
    }
}

/// How long the mere insertion of all rows takes.
fn bare_loop(calls: &[Call], file: &Path) -> anyhow::Result<Duration> {
    let mut plain = Plain::new(file)?;
    let hashes: Vec<i64> = calls.iter().map(Call::body_hash).collect();
    let rows: Vec<_> = calls.iter().zip(hashes).collect();
    let begun = Instant::now();
    for page in rows.chunks(PAGE_LIMIT) {
        plain.insert(page.iter().copied())?;
    }
    Ok(begun.elapsed())
}
