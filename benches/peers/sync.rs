//! What a sync at full speed does to who reads by id: the edge against itself.
//!
//! In each round the upstream has changed every call, the edge's file says that all of it was last
//! compared long ago, and the edge is started anew: it reads everything again, as fast as it can,
//! and writes every row. It is asked by id meanwhile, and once it is at rest; which of the two
//! comes first changes from round to round.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rusqlite::{Connection, OpenFlags};

use super::Settings;
use super::data::Data;
use super::edge::Edge;
use super::load::{Draws, Load};
use super::peer::Peer;
use super::simulator::Upstream;
use super::wrk::Figures;

/// A sync of a million calls takes a while.
const DEADLINE: Duration = Duration::from_secs(900);

/// A figure a round.
#[derive(Default)]
pub struct Slowed {
    /// The 99th percentile during the sync over that at rest.
    pub p99: Vec<f64>,
    /// Requests per second, the same.
    pub rate: Vec<f64>,
    /// Calls written per second while the requests were made.
    pub written: Vec<f64>,
    /// The sync went on beyond the last request of every round.
    pub throughout: bool,
}

pub fn run(upstream: &mut Upstream, data: &Data, settings: &Settings) -> anyhow::Result<Slowed> {
    let draws = Draws::new(u32::try_from(settings.calls)?, settings.folder.path());
    let mut slowed = Slowed {
        throughout: true,
        ..Slowed::default()
    };
    let before = changes(&data.file)?;
    let mut edge = start(upstream, 0, data, settings)?;
    settle(data, before)?;
    for round in 1..=settings.rounds {
        let keys = draws.write(Load::Uniform, round, data, &[])?;
        let first = (round % 2 == 1)
            .then(|| ask(&edge, &keys, settings))
            .transpose()?;
        let before = changes(&data.file)?;
        drop(edge);
        edge = start(upstream, round, data, settings)?;
        let (begun, written) = (Instant::now(), changes(&data.file)?);
        let busy = ask(&edge, &keys, settings)?;
        let during = changes(&data.file)? - written;
        let took = begun.elapsed().as_secs_f64();
        slowed.throughout &= changes(&data.file)? < before + data.ids.len() as u64;
        settle(data, before)?;
        let rest = match first {
            Some(rest) => rest,
            None => ask(&edge, &keys, settings)?,
        };
        slowed.p99.push(busy.p99 / rest.p99);
        slowed.rate.push(busy.rate / rest.rate);
        slowed.written.push(during as f64 / took);
        println!("sync, round {round} of {}", settings.rounds);
    }
    Ok(slowed)
}

fn ask(edge: &Edge, keys: &Path, settings: &Settings) -> anyhow::Result<Figures> {
    edge.drive(Load::Uniform, keys, settings)
}

/// No edge has the file open.
fn start(
    upstream: &mut Upstream,
    round: usize,
    data: &Data,
    settings: &Settings,
) -> anyhow::Result<Edge> {
    upstream.change_all(round, data, settings)?;
    let due = Connection::open(&data.file)?.execute("UPDATE coverage SET verified_at = 0", [])?;
    ensure!(due > 0, "nothing was read before");
    let mut edge = Edge::start(settings, data, &upstream.base_url())?;
    edge.wait_until_ready()?;
    Ok(edge)
}

/// Waits until every call was written since then.
fn settle(data: &Data, before: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    while changes(&data.file)? < before + data.ids.len() as u64 {
        ensure!(begun.elapsed() < DEADLINE, "the sync does not end");
        std::thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}

/// How many changes the file has seen.
fn changes(file: &Path) -> anyhow::Result<u64> {
    let file = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let last = file.query_row("SELECT max(change_seq) FROM calls", [], |row| row.get(0));
    last.context("reading the edge's file")
}
