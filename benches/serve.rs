//! What serving takes of memory, and how soon the edge is there. What it adds to the cost of an
//! answer is told by the bench `peers`.
//!
//! `cargo bench --bench serve` lets the engine fill a file with 100,000 calls from the simulator,
//! and prints these figures.
//!
//! *Resident memory* of the released binary as a process of its own, with the same file, after a
//! load. Target: under 80 MB.
//!
//! *Start to first answer* of that process, from before it is spawned to the last byte of a call,
//! the file being there (and in the system's page cache). Each is killed, so that each start also
//! has the log of a process that ended without a word to look through. Target: under 0.2 s.
//!
//! Both are absolute, and so say something of the machine as well.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "nothing is written but by the engine here")]
mod support;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use burki_edge::simulator::Simulator;
use burki_edge::upstream::HttpSource;
use tempfile::TempDir;
use url::Url;

const SECONDS: u32 = 4;
const CONNECTIONS: u32 = 64;
const STARTS: usize = 5;

/// How long a thing that takes well under a second may take before it counts as broken.
const DEADLINE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let wrk = Wrk::find()?;
    let bench = Bench::prepare()?;
    let script = bench.script("call", r#""/api/v1/calls/" .. ids[math.random(#ids)]"#)?;
    memory(&bench, &wrk, &script)?;
    start(&bench)
}

/// A filled file, and the upstream it was filled from.
struct Bench {
    simulator: Simulator,
    folder: TempDir,
    ids: Vec<i64>,
    workers: usize,
}

impl Bench {
    fn prepare() -> anyhow::Result<Bench> {
        let simulator = support::simulate()?;
        let world = simulator.world();
        let ids = world.records().map(|record| record.id).collect();
        drop(world);
        let bench = Bench {
            folder: tempfile::tempdir()?,
            ids,
            workers: std::thread::available_parallelism()?.get(),
            simulator,
        };
        let url = Url::parse(&bench.simulator.base_url())?;
        let source = HttpSource::new(&url, &bench.key(), DEADLINE)?;
        runtime()?.block_on(support::fill(
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

    /// The settings of an edge of this file, as environment variables.
    fn settings(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("BURKI_EDGE_SERVER__LISTEN", "127.0.0.1:0".into()),
            (
                "BURKI_EDGE_SERVER__WORKERS",
                self.workers.to_string().into(),
            ),
            (
                "BURKI_EDGE_UPSTREAM__BASE_URL",
                self.simulator.base_url().into(),
            ),
            ("BURKI_EDGE_STORE__PATH", self.file().into()),
            ("BURKI_API_KEY", self.key().into()),
        ]
    }

    /// What `wrk` runs: requests with the key, and at the end a line of figures. `path` is an
    /// expression in Lua.
    fn script(&self, name: &str, path: &str) -> anyhow::Result<PathBuf> {
        let mut list = String::new();
        for id in &self.ids {
            writeln!(list, "{id}")?;
        }
        let ids = self.folder.path().join("ids");
        std::fs::write(&ids, list)?;
        let script = format!(
            r#"
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("seed", threads)
end

local ids = {{}}
function init(args)
  math.randomseed(seed)
  for id in io.lines({ids:?}) do ids[#ids + 1] = id end
end

function request()
  return "GET " .. {path} ..
    " HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\n\r\n"
end

function done(summary)
  local errors = 0
  for _, count in pairs(summary.errors) do errors = errors + count end
  io.write(string.format("\nfigures %d %d %d\n", summary.requests, summary.duration, errors))
end
"#,
            key = self.key(),
        );
        let path = self.folder.path().join(format!("{name}.lua"));
        std::fs::write(&path, script)?;
        Ok(path)
    }
}

/// The load generator.
struct Wrk;

impl Wrk {
    fn find() -> anyhow::Result<Wrk> {
        Command::new("wrk")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context(
                "this bench needs the program `wrk`: install the package wrk (apt-get install wrk)",
            )?;
        Ok(Wrk)
    }

    /// Asks `address` for so long; all must be answered with a 200.
    fn drive(&self, address: SocketAddr, script: &Path, seconds: u32) -> anyhow::Result<()> {
        let output = Command::new("wrk")
            .args(["--threads", "2"])
            .args(["--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .arg("--script")
            .arg(script)
            .arg(format!("http://{address}"))
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text
            .lines()
            .find_map(|line| line.strip_prefix("figures "))
            .with_context(|| format!("wrk ended without its figures:\n{text}"))?;
        let figures: Vec<f64> = figures
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [requests, _, errors] = figures[..] else {
            bail!("wrk's figures can't be read: {figures:?}");
        };
        ensure!(errors == 0.0, "{errors} requests failed:\n{text}");
        ensure!(requests > 0.0, "nothing was answered:\n{text}");
        Ok(())
    }
}

fn memory(bench: &Bench, wrk: &Wrk, script: &Path) -> anyhow::Result<()> {
    let process = Process::start(bench)?;
    wrk.drive(process.address, script, 2 * SECONDS)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id()))?;
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes: f64 = line?.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024.0 / 1e6)
    };
    let resident = megabytes("VmRSS:").context("no VmRSS in the process's status")?;
    let anonymous = megabytes("RssAnon:").context("no RssAnon in the process's status")?;
    println!(
        "resident memory     {resident:.1} MB, of which {anonymous:.1} MB are not the file's or \
         the binary's pages; target under 80 MB: {}",
        met(resident < 80.0)
    );
    Ok(())
}

fn start(bench: &Bench) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let process = Process::start(bench)?;
        process.ask(bench)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    println!(
        "start to answer, s  {}",
        verdict(&times, |time| time < 0.2, "under 0.2")
    );
    Ok(())
}

/// The released binary, serving.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(bench: &Bench) -> anyhow::Result<Process> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_burki-edge"))
            .arg("serve")
            // Away from the project's own config.toml.
            .current_dir(bench.folder.path())
            .envs(bench.settings())
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .context("starting burki-edge serve")?;
        let log = child.stderr.take().context("no standard error")?;
        let mut process = Process {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (said, told) = mpsc::channel();
        std::thread::spawn(move || {
            // Read on to the end, lest the process wait for a full pipe.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let address = line.split_once("address=").map(|(_, address)| address);
                let _ = said.send(
                    address
                        .and_then(|address| address.trim().parse().ok())
                        .ok_or(line),
                );
            }
        });
        let mut log = String::new();
        process.address = loop {
            match told.recv_timeout(DEADLINE) {
                Ok(Ok(address)) => break address,
                Ok(Err(line)) => writeln!(log, "{line}")?,
                Err(_) => bail!("burki-edge serve told no address:\n{log}"),
            }
        };
        Ok(process)
    }

    /// Asks for one call.
    fn ask(&self, bench: &Bench) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let id = bench.ids[bench.ids.len() / 2];
        write!(
            stream,
            "GET /api/v1/calls/{id} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\n\r\n",
            bench.key()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ended by itself: there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn verdict(values: &[f64], holds: impl Fn(f64) -> bool, target: &str) -> String {
    let met = met(holds(support::median(values)));
    format!("{}; target {target}: {met}", support::spread(values))
}

fn met(holds: bool) -> &'static str {
    if holds { "met" } else { "MISSED" }
}
