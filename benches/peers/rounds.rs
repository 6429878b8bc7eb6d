//! The rounds: every load on every peer in turn, who goes first changing from round to round, so
//! that what else happens on the machine befalls all alike.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use super::Settings;
use super::data::Data;
use super::load::{Draws, Load};
use super::peer::Peer;
use super::wrk::Figures;

/// A 304 has no body; what is longer on average was none.
const LONGEST_304: f64 = 700.0;

/// Requests per second of each peer at each load, a figure a round.
#[derive(Default)]
pub struct Rates(BTreeMap<(Load, &'static str), Vec<f64>>);

impl Rates {
    pub fn of(&self, load: Load, peer: &'static str) -> Option<&[f64]> {
        Some(self.0.get(&(load, peer))?)
    }

    /// Round by round; `None` where one of the two was not asked.
    pub fn ratios(&self, load: Load, one: &'static str, over: &'static str) -> Option<Vec<f64>> {
        let pairs = self.of(load, one)?.iter().zip(self.of(load, over)?);
        Some(pairs.map(|(one, over)| one / over).collect())
    }
}

/// The first round warms, and does not count.
pub fn run(
    peers: &[Box<dyn Peer>],
    data: &Data,
    tags: &[String],
    settings: &Settings,
) -> anyhow::Result<Rates> {
    let draws = Draws::new(u32::try_from(settings.calls)?, settings.folder.path());
    let mut rates = Rates::default();
    let mut misses = Vec::new();
    for round in 0..=settings.rounds {
        for load in Load::ALL {
            let keys = draws.write(load, round, data, tags)?;
            for turn in 0..peers.len() {
                let peer = &peers[(turn + round) % peers.len()];
                if peer.target(load).is_none() {
                    continue;
                }
                let told = || format!("{}, {}", peer.name(), load.name());
                let figures = peer.drive(load, &keys, settings).with_context(told)?;
                as_expected(load, peer.name(), data, &figures).with_context(told)?;
                if round > 0 {
                    let rates = rates.0.entry((load, peer.name())).or_default();
                    rates.push(figures.rate);
                }
            }
        }
        if round == 0 {
            misses = counts(peers)?;
        }
        println!("round {round} of {}", settings.rounds);
    }
    for ((peer, before), after) in peers.iter().zip(misses).zip(counts(peers)?) {
        let missed = after - before;
        ensure!(missed == 0, "{} missed {missed} times", peer.name());
    }
    Ok(rates)
}

fn counts(peers: &[Box<dyn Peer>]) -> anyhow::Result<Vec<u64>> {
    peers.iter().map(|peer| peer.misses()).collect()
}

/// `wrk` tells no 304 from a 200: their lengths do.
fn as_expected(
    load: Load,
    peer: &'static str,
    data: &Data,
    figures: &Figures,
) -> anyhow::Result<()> {
    let (bytes, mean) = (figures.bytes, data.mean as f64);
    let right = match load {
        // The one that can say nothing but its constant bytes.
        Load::NotModified if peer == "floor" => true,
        Load::NotModified => bytes < LONGEST_304,
        Load::List | Load::Unkept => bytes > 90.0 * mean,
        // Redis speaks no HTTP, and its misses are counted.
        _ => peer == "Redis" || bytes > 0.9 * mean,
    };
    ensure!(right, "an answer had {bytes} bytes on average");
    Ok(())
}
