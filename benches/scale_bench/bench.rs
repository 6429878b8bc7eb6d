//! What does it cost to hold more calls?
//!
//! `benches/scale` makes files of 10,000, 100,000, 1,000,000 and 10,000,000 calls through the
//! store's own writer (`SIZES=10000,100000` makes others; they stay below `target/scale` for the
//! next run), starts the released binary on each, with an upstream that is not there, and writes
//! the figures into `benches/RESULTS.md`, each size's beside the others'.
//!
//! *Latencies* are of one client with one kept connection, which asks one thing after the other, all
//! drawn from the calls with a seed. Each list and figure is asked for with a parameter that nobody
//! knows: none is the answer to an earlier request, which a worker may have kept. *Work* is what the
//! server's threads were running for an answer, which another program on the machine changes less.
//!
//! *Requests per second* of calls by id, drawn uniformly, are `wrk`'s, with 64 connections; it
//! shares the cores with the server. The sizes take turns, so that what else happens on the machine
//! befalls all of them.
//!
//! *Memory* is what a process has that is no page of a file: after that load, and after a load of
//! lists of all depths as well. *Start* is from before the process is there to the last byte of a
//! call, the one before it having been killed. *Room* is the file's, its log emptied.
//!
//! Each file is read into the system's page cache before a round or a kind is timed, as far as there
//! is memory: some machines take pages away that are not in use. What was read from the disk all the
//! same is told.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod ask;
mod client;
mod file;
mod latency;
mod load;
mod report;
mod server;
#[expect(dead_code, reason = "nothing is filled by the engine here")]
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use burki_edge::model::Call;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use ask::{Inputs, KINDS, Sample};
use client::Client;
use file::Made;
use report::{Table, Target, grouped};
use server::Server;

const ROUNDS: usize = 7;
const SECONDS: u32 = 3;
const CONNECTIONS: u32 = 64;
/// No more lists at a time: those that wait for long are refused.
const READERS: u32 = 4;
const STARTS: usize = 9;
const EXPORTS: usize = 5;
/// Of each, in bytes.
const EXPORTED: u64 = 50_000_000;
/// So many calls stand for all where a request is drawn from what a call has.
const SAMPLES: usize = 2000;

fn main() -> anyhow::Result<()> {
    load::find()?;
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sizes = sizes()?;
    let files: Vec<Made> = sizes
        .iter()
        .map(|size| Made::of(*size, &project.join("target/scale")))
        .collect::<anyhow::Result<_>>()?;
    let mut section = format!(
        "## What size costs\n\n{}. `SIZES={} benches/scale`\n\n",
        report::machine()?,
        sizes
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(",")
    );
    let mut table = Table::new("calls", "largest : smallest", &sizes);
    room(&files, &mut table)?;
    start(&files, &mut table)?;
    let edges: Vec<Edge> = files.iter().map(Edge::new).collect::<anyhow::Result<_>>()?;
    rate(&edges, &mut table)?;
    let mut latencies = Table::new(
        "p50 / p99 / work, ms",
        "largest : smallest, p50 / work",
        &sizes,
    );
    disk(&edges, "read from the disk until then, MB", &mut table)?;
    for kind in &KINDS {
        latency::measure(&edges, kind, &mut latencies)?;
    }
    disk(&edges, "the same after the latencies below", &mut table)?;
    mixed(&edges, &mut table)?;
    export(&edges, &mut table)?;
    section.push_str(table.text());
    section.push('\n');
    section.push_str(latencies.text());
    println!("{section}");
    report::keep(&section, &project.join("benches/RESULTS.md"))
}

fn sizes() -> anyhow::Result<Vec<usize>> {
    let told = std::env::var("SIZES");
    let told = told.as_deref().unwrap_or("10000,100000,1000000,10000000");
    let sizes = told.split(',').map(|size| size.trim().parse());
    let sizes: Vec<usize> = sizes.collect::<Result<_, _>>().context("SIZES")?;
    ensure!(
        sizes.is_sorted() && sizes[0] >= 2000,
        "SIZES: ascending, and none below 2000"
    );
    Ok(sizes)
}

/// A file that is served, and what is asked of it.
struct Edge<'a> {
    made: &'a Made,
    server: Server,
    inputs: Inputs,
    by_id: PathBuf,
    lists: PathBuf,
}

impl Edge<'_> {
    fn new(made: &Made) -> anyhow::Result<Edge<'_>> {
        let server = Server::start(made)?;
        let mut client = Client::connect(server.address)?;
        // It holds everything, or half of what follows is asked of an upstream that is not there.
        client.found("/readyz")?;
        let ids = made.all_ids()?;
        let mut rng = StdRng::seed_from_u64(1);
        let mut samples = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let id = ids[rng.random_range(0..ids.len())];
            let answer = client.found(&format!("/api/v1/calls/{id}"))?;
            samples.push(Sample {
                call: Call::from_json(std::str::from_utf8(&answer.body)?)?,
                etag: answer.etag.context("a call without an ETag")?,
            });
        }
        let calls = made.calls;
        let lists = format!(r#""/api/v1/calls?skip=" .. math.random({calls}) .. "&x=" .. id()"#);
        Ok(Edge {
            made,
            server,
            inputs: Inputs {
                detailed: file::detailed(&ids).collect(),
                ids,
                samples,
            },
            by_id: load::script(made, "id", r#""/api/v1/calls/" .. id()"#)?,
            lists: load::script(made, "lists", &lists)?,
        })
    }
}

fn room(files: &[Made], table: &mut Table) -> anyhow::Result<()> {
    let mut cells = Vec::new();
    for made in files {
        // A log that was not emptied is room as well.
        let log = made.path.with_extension("db-wal");
        let log = std::fs::metadata(log).map_or(0, |log| log.len());
        let size = std::fs::metadata(&made.path)?.len() + log;
        let ratio = size as f64 / made.text as f64;
        cells.push((format!("{ratio:.3}"), ratio));
    }
    table.row(
        "bytes of the file for a byte of the calls' text",
        &cells,
        Target::AtMost(1.8),
    );
    if let Some(largest) = files.last() {
        parts(largest)?;
    }
    Ok(())
}

/// Prints what each table and index takes for a byte of text.
fn parts(made: &Made) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(&made.path)?;
    let mut select = connection.prepare(
        "SELECT name, sum(pgsize) FROM dbstat WHERE aggregate = true
         GROUP BY name ORDER BY 2 DESC LIMIT 16",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    println!(
        "of {} calls, bytes for a byte of text, and for a call:",
        grouped(made.calls)
    );
    for row in rows {
        let (name, size): (String, u64) = row?;
        let (text, call) = (
            size as f64 / made.text as f64,
            size as f64 / made.calls as f64,
        );
        println!("    {name:<30} {text:>6.3} {call:>7.1}");
    }
    Ok(())
}

fn start(files: &[Made], table: &mut Table) -> anyhow::Result<()> {
    let mut times = vec![Vec::new(); files.len()];
    // One more, which finds the log of whoever made the file.
    for round in 0..=STARTS {
        for (made, times) in files.iter().zip(&mut times) {
            let ids = made.all_ids()?;
            made.warm()?;
            let time = Server::start_to_answer(made, ids[ids.len() / 2])?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let cells = times.iter().map(|times| {
        let median = support::median(times);
        let slowest = times.iter().copied().fold(0.0, f64::max);
        (format!("{median:.3} (slowest {slowest:.3})"), median)
    });
    let cells: Vec<_> = cells.collect();
    table.row("start to the first answer, s", &cells, Target::AtMost(0.1));
    Ok(())
}

fn rate(edges: &[Edge<'_>], table: &mut Table) -> anyhow::Result<()> {
    let mut rates = vec![Vec::new(); edges.len()];
    let mut works = vec![Vec::new(); edges.len()];
    for round in 0..=ROUNDS {
        // Whoever comes first changes from round to round.
        for turn in 0..edges.len() {
            let at = (turn + round) % edges.len();
            let edge = &edges[at];
            edge.made.warm()?;
            let before = edge.server.worked()?;
            let rate = load::drive(edge.server.address, &edge.by_id, CONNECTIONS, SECONDS)?;
            let work = edge.server.worked()? - before;
            if round > 0 {
                rates[at].push(rate);
                // From ms to microseconds.
                works[at].push(work * 1e3 / (rate * f64::from(SECONDS)));
            }
        }
    }
    let medians = |series: &[Vec<f64>], digits: usize| -> Vec<(String, f64)> {
        let medians = series.iter().map(|these| support::median(these));
        medians
            .map(|median| (format!("{median:.digits$}"), median))
            .collect()
    };
    let what = "by id, 64 connections, requests/s";
    table.row(what, &medians(&rates, 0), Target::None);
    let cells: Vec<_> = rates
        .iter()
        .map(|these| {
            let ratios = these
                .iter()
                .zip(&rates[0])
                .map(|(this, least)| this / least);
            let ratios: Vec<f64> = ratios.collect();
            (support::spread(&ratios), support::median(&ratios))
        })
        .collect();
    let what = "the same, as a share of the smallest";
    table.row(what, &cells, Target::AtLeast(0.85));
    let what = "what the server works for one, µs";
    table.row(what, &medians(&works, 1), Target::None);
    memory(edges, "resident after it without file pages, MB", table)
}

fn memory(edges: &[Edge<'_>], what: &str, table: &mut Table) -> anyhow::Result<()> {
    let mut cells = Vec::new();
    for edge in edges {
        let megabytes = edge.server.anonymous()?;
        cells.push((format!("{megabytes:.1}"), megabytes));
    }
    table.row(what, &cells, Target::AtMost(150.0));
    Ok(())
}

fn disk(edges: &[Edge<'_>], what: &str, table: &mut Table) -> anyhow::Result<()> {
    let mut cells = Vec::new();
    for edge in edges {
        let megabytes = edge.server.read_from_disk()?;
        cells.push((format!("{megabytes:.0}"), megabytes));
    }
    table.row(what, &cells, Target::None);
    Ok(())
}

fn export(edges: &[Edge<'_>], table: &mut Table) -> anyhow::Result<()> {
    let mut cells = Vec::new();
    for edge in edges {
        let mut rates = Vec::new();
        for _ in 0..EXPORTS {
            let client = Client::connect(edge.server.address)?;
            rates.push(client.rate("/api/v1/calls/export?format=json", EXPORTED)? / 1e6);
        }
        let median = support::median(&rates);
        cells.push((format!("{median:.0}"), median));
    }
    let what = "export as JSON, MB/s of the first 50 MB";
    table.row(what, &cells, Target::None);
    Ok(())
}

/// After lists of all depths as well.
fn mixed(edges: &[Edge<'_>], table: &mut Table) -> anyhow::Result<()> {
    for edge in edges {
        let address = edge.server.address;
        load::drive(address, &edge.lists, READERS, 2 * SECONDS)?;
        load::drive(address, &edge.by_id, CONNECTIONS, SECONDS)?;
    }
    memory(
        edges,
        "resident after lists and all else as well, MB",
        table,
    )
}
