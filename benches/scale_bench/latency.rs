//! How long each kind of request takes, and what the server works for it.

use anyhow::ensure;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Edge;
use super::ask::Kind;
use super::client::Client;
use super::report::{Latency, Table, Target};

/// In so many turns of each size's the answers of a kind are asked for.
const TURNS: usize = 5;
/// The first answers of a turn, which do not count.
const WARM_UP: usize = 5;

/// Times one kind of request. The sizes take turns here too.
pub fn measure(edges: &[Edge<'_>], kind: &Kind, table: &mut Table) -> anyhow::Result<()> {
    let mut series: Vec<Series> = edges.iter().map(|_| Series::new()).collect();
    for edge in edges {
        edge.made.warm()?;
    }
    for _ in 0..TURNS {
        for (edge, series) in edges.iter().zip(&mut series) {
            series.go_on(edge, kind)?;
        }
    }
    let cells: Vec<Latency> = series.into_iter().map(Series::end).collect();
    let target = kind.target.map_or(Target::None, Target::AtMost);
    table.latencies(kind.name, &cells, target);
    println!("{}", table.text().lines().last().unwrap_or_default());
    Ok(())
}

/// The answers of one edge to one kind of request.
struct Series {
    rng: StdRng,
    /// In ms.
    times: Vec<f64>,
    work: f64,
    refused: usize,
}

impl Series {
    fn new() -> Series {
        Series {
            rng: StdRng::seed_from_u64(2),
            times: Vec::new(),
            work: 0.0,
            refused: 0,
        }
    }

    fn go_on(&mut self, edge: &Edge<'_>, kind: &Kind) -> anyhow::Result<()> {
        let mut client = Client::connect(edge.server.address)?;
        for _ in 0..WARM_UP {
            self.ask(edge, kind, &mut client)?;
        }
        let before = edge.server.worked()?;
        for _ in 0..kind.times / TURNS {
            let time = self.ask(edge, kind, &mut client)?;
            self.times.push(time);
        }
        self.work += edge.server.worked()? - before;
        Ok(())
    }

    fn ask(&mut self, edge: &Edge<'_>, kind: &Kind, client: &mut Client) -> anyhow::Result<f64> {
        let asked = (kind.draw)(&edge.inputs, &mut self.rng);
        let answer = client.get(&asked.target, &asked.headers)?;
        let refused = answer.status == 503;
        self.refused += usize::from(refused);
        ensure!(
            refused || answer.status == asked.status,
            "{} of {} calls is answered {}: {}",
            asked.target,
            edge.made.calls,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.took.as_secs_f64() * 1e3)
    }

    fn end(mut self) -> Latency {
        self.times.sort_by(f64::total_cmp);
        let count = self.times.len();
        Latency {
            p50: self.times[count / 2],
            p99: self.times[count * 99 / 100],
            work: self.work / count as f64,
            refused: self.refused,
        }
    }
}
