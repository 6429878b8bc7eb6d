//! What is asked: the loads, and the keys drawn for them.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::data::Data;

/// So many keys are drawn for a round; `wrk` begins again at the end.
const DRAWN: usize = 250_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    Hot,
    Uniform,
    Sid,
    NotModified,
    List,
    Unkept,
}

impl Load {
    pub const ALL: [Load; 6] = [
        Load::Hot,
        Load::Uniform,
        Load::Sid,
        Load::NotModified,
        Load::List,
        Load::Unkept,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Load::Hot => "by id, hot (Zipf 1.0)",
            Load::Uniform => "by id, uniform",
            Load::Sid => "by SID, uniform",
            Load::NotModified => "by id, hot, 304",
            Load::List => "default list page",
            Load::Unkept => "the same, not kept",
        }
    }

    /// What comes before a key, and after it, in the target of the calls API.
    pub fn target(self) -> (&'static str, &'static str) {
        match self {
            Load::Hot | Load::Uniform | Load::NotModified => ("/api/v1/calls/", ""),
            Load::Sid => ("/api/v1/calls/sid/", ""),
            Load::List => ("/api/v1/calls", ""),
            // A parameter that nobody knows, so that no answer is found that was given before.
            Load::Unkept => ("/api/v1/calls?x=", ""),
        }
    }

    pub fn is_list(self) -> bool {
        matches!(self, Load::List | Load::Unkept)
    }
}

/// Draws from all calls: uniformly, or by Zipf's law with exponent 1, where the call that is asked
/// for most is asked for twice as often as the next, and so on.
pub struct Draws {
    /// Places in the data, the hottest first.
    ranked: Vec<u32>,
    /// The sum of 1 / rank up to each rank.
    sums: Vec<f64>,
    folder: PathBuf,
}

impl Draws {
    pub fn new(calls: u32, folder: &Path) -> Draws {
        let mut ranked: Vec<u32> = (0..calls).collect();
        ranked.shuffle(&mut StdRng::seed_from_u64(1));
        let mut sum = 0.0;
        let sums = (1..=calls).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Draws {
            ranked,
            sums: sums.collect(),
            folder: folder.to_owned(),
        }
    }

    /// Writes the keys of a round, the same whoever is asked. `tags` are by the calls' places.
    pub fn write(
        &self,
        load: Load,
        round: usize,
        data: &Data,
        tags: &[String],
    ) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("keys");
        let mut file = BufWriter::new(std::fs::File::create(&path)?);
        let mut rng = StdRng::seed_from_u64(round as u64);
        for _ in 0..DRAWN {
            match load {
                Load::Hot => writeln!(file, "{}", data.ids[self.hot(&mut rng)])?,
                Load::NotModified => {
                    let place = self.hot(&mut rng);
                    writeln!(file, "{} {}", data.ids[place], tags[place])?;
                }
                Load::Uniform => {
                    let place = rng.random_range(0..data.ids.len());
                    writeln!(file, "{}", data.ids[place])?;
                }
                Load::Sid => {
                    let place = rng.random_range(0..data.sids.len());
                    writeln!(file, "{}", data.sids[place])?;
                }
                Load::Unkept => writeln!(file, "{:x}", rng.random::<u64>())?,
                Load::List => {
                    writeln!(file)?;
                    break;
                }
            }
        }
        file.flush()?;
        Ok(path)
    }

    fn hot(&self, rng: &mut StdRng) -> usize {
        let most = self.sums.last().copied().unwrap_or_default();
        let drawn = rng.random::<f64>() * most;
        let rank = self.sums.partition_point(|sum| *sum < drawn);
        self.ranked[rank.min(self.ranked.len() - 1)] as usize
    }
}
