//! The edge beside what one would pick instead of it.
//!
//! `benches/peers/run` installs what is missing and starts this. Each peer is a process of its own
//! on this machine, set up as one who knows it would, with as many workers as there are cores, and
//! holds the same calls:
//!
//! - *floor*: constant bytes from a server of the edge's framework; what all are measured by;
//! - *burki-edge*: the released binary, with key check, all headers and its engine live;
//! - *nginx* and *Varnish*: caches before the simulated Burki, every answer a hit; no key check;
//! - *Redis*: a text a call, asked in its own protocol;
//! - *Datasette*: a copy of the edge's file, a row as JSON; no key check;
//! - *simulator*: the simulated Burki itself.
//!
//! One generator asks all of them in turns, round by round: see `rounds.rs`. Answers are checked
//! before the rounds, statuses, lengths and misses in them. At the end the edge is asked while a
//! sync writes: see `sync.rs`.
//!
//! `CALLS` (1,000,000), `ROUNDS` (5) and `SECONDS` (3, of one load on one peer) may be set.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod client;
mod data;
mod datasette;
mod edge;
mod floor;
mod load;
mod machine;
mod nginx;
mod peer;
mod redis;
mod report;
mod rounds;
mod service;
mod simulator;
#[expect(
    dead_code,
    reason = "the calls are made here, and by a process of their own"
)]
#[path = "../support/mod.rs"]
mod support;
mod sync;
mod varnish;
mod wrk;

use std::ffi::OsString;

use anyhow::{Context, ensure};
use burki_edge::simulator::WorldConfig;
use tempfile::TempDir;

use data::Data;
use load::Load;
use peer::Peer;

const CONNECTIONS: u32 = 64;

/// What every peer is started with.
pub struct Settings {
    calls: usize,
    rounds: usize,
    seconds: u32,
    workers: usize,
    /// The one that opens the simulator and the edge.
    key: String,
    folder: TempDir,
}

impl Settings {
    fn from_environment() -> anyhow::Result<Settings> {
        let settings = Settings {
            calls: support::told("CALLS", 1_000_000)?,
            rounds: support::told("ROUNDS", 5)?,
            seconds: u32::try_from(support::told("SECONDS", 3)?)?,
            workers: std::thread::available_parallelism()?.get(),
            key: WorldConfig::default().api_key,
            folder: tempfile::tempdir()?,
        };
        ensure!(settings.calls >= 1000, "CALLS: 1000 or more");
        ensure!(
            settings.rounds > 0 && settings.seconds > 0,
            "ROUNDS and SECONDS: 1 or more"
        );
        Ok(settings)
    }

    /// How to measure the same again.
    fn command(&self) -> String {
        let (calls, rounds, seconds) = (self.calls, self.rounds, self.seconds);
        format!("CALLS={calls} ROUNDS={rounds} SECONDS={seconds} benches/peers/run")
    }
}

fn main() -> anyhow::Result<()> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first().and_then(|mode| mode.to_str()) {
        Some(floor::MODE) => floor::serve(&args[1..]),
        Some(simulator::MODE) => simulator::serve(&args[1..]),
        _ => compare(),
    }
}

fn compare() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    // Something that is missing is told before the calls are made.
    println!("{}\n{}", machine::size()?, machine::versions()?);
    let mut upstream = simulator::Upstream::start(&settings)?;
    let file = settings.folder.path().join("edge.db");
    let data = data::make(&file, settings.calls, &upstream.base_url())?;
    println!("made {} calls", settings.calls);
    let peers = start(&settings, &data, &upstream)?;
    let tags = warm(&peers, &data, &settings)?;
    for peer in &peers {
        for load in Load::ALL
            .into_iter()
            .filter(|load| peer.target(*load).is_some())
        {
            peer.verify(load, &data, &tags, &settings)?;
        }
    }
    println!("every peer is warm, and answers as it should");
    let rates = rounds::run(&peers, &data, &tags, &settings)?;
    drop(peers);
    let slowed = sync::run(&mut upstream, &data, &settings)?;
    let text = report::text(&settings, data.mean, &rates, &slowed)?;
    println!("{text}");
    report::keep(&text)
}

fn start(
    settings: &Settings,
    data: &Data,
    upstream: &simulator::Upstream,
) -> anyhow::Result<Vec<Box<dyn Peer>>> {
    // These two read the file, so before the edge has it.
    let redis = redis::Redis::start(settings, data)?;
    let datasette = datasette::Datasette::start(settings, data)?;
    let mut edge = edge::Edge::start(settings, data, &upstream.base_url())?;
    edge.wait_until_ready()?;
    let (list, _) = Load::List.target();
    let page = client::Client::connect(edge.address(Load::List))?.get(list, &settings.key, None)?;
    let direct = upstream.direct();
    Ok(vec![
        Box::new(floor::Floor::start(settings, data.mean, page.body.len())?),
        Box::new(edge),
        Box::new(nginx::Nginx::start(settings, direct.0)?),
        Box::new(varnish::Varnish::start(settings, direct.0)?),
        Box::new(redis),
        Box::new(datasette),
        Box::new(direct),
    ])
}

/// Asks those who keep answers for every id once, for every SID of the load, and for the list.
/// Returns the edge's tags.
fn warm(peers: &[Box<dyn Peer>], data: &Data, settings: &Settings) -> anyhow::Result<Vec<String>> {
    let ids: Vec<String> = data.ids.iter().map(i64::to_string).collect();
    let mut tags = None;
    for peer in peers.iter().filter(|peer| peer.keeps()) {
        let ask = |load: Load, keys: &[String]| {
            let (before, _) = load.target();
            peer::ask_for_each(peer.address(load), before, keys, &settings.key)
        };
        let told = ask(Load::Hot, &ids).with_context(|| format!("warming {}", peer.name()))?;
        ask(Load::Sid, &data.sids)?;
        ask(Load::List, &[String::new()])?;
        if peer.target(Load::NotModified).is_some() {
            tags = Some(told);
        }
        println!("{} is warm", peer.name());
    }
    tags.context("nobody gave tags")
}

/// A file beside this one.
fn here(name: &str) -> String {
    format!("{}/benches/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}
