//! Steady under pressure: latency at half of what the edge can do, what it does with twice as much,
//! and how soon it is itself again.
//!
//! `cargo bench --bench pressure` fills a file with 100,000 calls, serves it by the released binary
//! as a process of its own, and finds for calls by id, for pages of 100 calls that are computed
//! anew (each has a parameter that nobody knows), and for a mix of nine to one:
//!
//! - the *capacity*: answers a second where each of some connections sends as soon as it is
//!   answered;
//! - at *half* the capacity, sent at random instants whether or not earlier ones are answered, the
//!   latencies, counted from the instant a request was due;
//! - at *twice* the capacity, the same, how many were answered and how many refused, and the
//!   server's memory;
//! - at half again, at once: how long latency takes to be what it was.
//!
//! Clients have a bounded number of connections, as any do, more than the edge serves. A request
//! that finds all of them busy is not sent, and counted by itself. The generator shares the
//! machine's cores: the capacity is what is left of them, and shares of it are what counts.
//!
//! The table is written to `benches/RESULTS.md` too. `HALF`, `TWICE` and `AGAIN` set the seconds
//! of the phases.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod load;
mod process;
mod report;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "nothing is written but by the engine here")]
mod support;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use burki_edge::simulator::Simulator;
use burki_edge::upstream::HttpSource;
use load::{Load, Phase, Questions};
use process::Process;
use report::{Course, Report};
use tempfile::TempDir;
use url::Url;

/// Connections that the clients may have: more than the edge serves, by more than it refuses at a
/// time.
const CONNECTIONS: usize = 1400;

/// Connections by which the capacity is found; fewer lists than may wait.
const CLOSED: usize = 48;

/// How long the capacity is looked for each time.
const LOOK: Duration = Duration::from_secs(3);

const LOOKS: usize = 3;

const DEADLINE: Duration = Duration::from_secs(30);

/// A kind of load: its name, and how many of a hundred requests are lists.
const KINDS: [(&str, u32); 3] = [("by id", 0), ("lists", 100), ("mix", 10)];

fn main() -> anyhow::Result<()> {
    // Figures of a machine that does other things as well say little: it is told with them.
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let bench = Bench::prepare()?;
    let mut reports = Vec::new();
    for (name, lists) in KINDS {
        let course = bench.run(lists)?;
        let report = Report::of(name, &course)?;
        println!("{}", report.lines());
        reports.push(report);
    }
    let table = report::table(&reports, &load);
    println!("{table}");
    report::keep(&table)
}

/// A filled file, and the upstream it was filled from.
struct Bench {
    simulator: Simulator,
    folder: TempDir,
    ids: Vec<i64>,
}

impl Bench {
    fn prepare() -> anyhow::Result<Bench> {
        let simulator = support::simulate()?;
        let ids = simulator.world().texts().map(|(id, _, _)| id).collect();
        let bench = Bench {
            folder: tempfile::tempdir()?,
            ids,
            simulator,
        };
        let url = Url::parse(&bench.simulator.base_url())?;
        let source = HttpSource::new(&url, &bench.key(), DEADLINE)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(support::fill(
            source,
            &bench.file(),
            &bench.simulator.base_url(),
        ))?;
        Ok(bench)
    }

    fn key(&self) -> String {
        self.simulator.world().api_key().to_owned()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("burki-edge.db")
    }

    fn settings(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("BURKI_EDGE_SERVER__LISTEN", "127.0.0.1:0".into()),
            (
                "BURKI_EDGE_UPSTREAM__BASE_URL",
                self.simulator.base_url().into(),
            ),
            ("BURKI_EDGE_STORE__PATH", self.file().into()),
            ("BURKI_API_KEY", self.key().into()),
        ]
    }

    /// A load on a process of its own.
    fn run(&self, lists: u32) -> anyhow::Result<Course> {
        let process = Process::start(self.folder.path(), self.settings())?;
        let load = Load {
            address: process.address,
            questions: Questions {
                key: self.key(),
                ids: self.ids.clone(),
                lists,
            },
            connections: CONNECTIONS,
        };
        let few = Load {
            connections: CLOSED,
            ..load.clone()
        };
        few.closed(LOOK)?;
        let mut rates = Vec::new();
        for _ in 0..LOOKS {
            rates.push(few.closed(LOOK)?);
        }
        let capacity = support::median(&rates);
        let phase = |share: f64, variable, usual| -> anyhow::Result<Phase> {
            Ok(Phase {
                rate: capacity * share,
                time: Duration::from_secs(support::told(variable, usual)? as u64),
            })
        };
        let half = phase(0.5, "HALF", 12)?;
        let twice = phase(2.0, "TWICE", 6)?;
        let again = phase(0.5, "AGAIN", 6)?;
        let memory = process.watch();
        let samples = load.open(&[half, twice, again])?;
        let memory = memory.end()?;
        // It is what it was, and not slower for what it went through.
        rates.push(few.closed(LOOK)?);
        Ok(Course {
            rates,
            capacity,
            half: half.time,
            twice: twice.time,
            samples,
            memory,
        })
    }
}
