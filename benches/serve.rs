//! Serving calls: what the edge adds to the cost of an HTTP answer, what it takes of memory, and
//! how soon it is there.
//!
//! `cargo bench --bench serve` lets the engine fill a file with 100,000 calls from the simulator,
//! and prints these figures.
//!
//! *Requests per second* of `GET /api/v1/calls/{id}`, as a ratio: edge over floor. The edge is the
//! whole of it, as `serve` runs it, with its engine live: key check, lookup in the file, all
//! headers. The floor is a server of the same framework in this same process, with as many
//! workers, whose one handler answers constant bytes, as many as a call has on average, with a
//! content type and no more. `wrk` drives both with the same script, 64 connections and ids drawn
//! uniformly from all calls, in turns, so that what else happens on the machine befalls both.
//! Target: at least 0.60.
//!
//! *The cost of a list*, as a ratio: time of a request for a page of 100 and of 1,000 calls, over
//! that of constant bytes of the same size: of the first page, over and over, which each worker
//! keeps while the file does not change; of the first page where it is not kept, for each request
//! has a parameter that nobody knows; and of a page drawn uniformly from all, which is seldom kept.
//! Target for the first page: at most 3.
//!
//! *Resident memory* of the released binary as a process of its own, with the same file, after a
//! load. Target: under 80 MB.
//!
//! *Start to first answer* of that process, from before it is spawned to the last byte of a call,
//! the file being there (and in the system's page cache). Each is killed, so that each start also
//! has the log of a process that ended without a word to look through. Target: under 0.2 s.
//!
//! The last two are absolute, and so say something of the machine as well.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "nothing is written but by the engine here")]
mod support;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use anyhow::{Context, anyhow, bail, ensure};
use burki_edge::app::App;
use burki_edge::config::Config;
use burki_edge::simulator::Simulator;
use burki_edge::sync::Phase;
use burki_edge::upstream::HttpSource;
use support::CALLS;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

const ROUNDS: usize = 7;
const SECONDS: u32 = 4;
const CONNECTIONS: u32 = 64;
const STARTS: usize = 5;

/// How long a thing that takes well under a second may take before it counts as broken.
const DEADLINE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let wrk = Wrk::find()?;
    let bench = Bench::prepare()?;
    let script = bench.script("call", r#""/api/v1/calls/" .. ids[math.random(#ids)]"#)?;
    serve_rate(&bench, &wrk, &script)?;
    list_cost(&bench, &wrk)?;
    memory(&bench, &wrk, &script)?;
    start(&bench)
}

/// A filled file, and the upstream it was filled from.
struct Bench {
    simulator: Simulator,
    folder: TempDir,
    ids: Vec<i64>,
    /// Of a body, on average.
    bytes: usize,
    workers: usize,
}

impl Bench {
    fn prepare() -> anyhow::Result<Bench> {
        let simulator = support::simulate()?;
        let (mut ids, mut bytes) = (Vec::with_capacity(CALLS), 0);
        for (id, _, text) in simulator.world().texts() {
            ids.push(id);
            bytes += text.len();
        }
        let bench = Bench {
            folder: tempfile::tempdir()?,
            bytes: bytes / ids.len(),
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

    /// Requests per second that `address` answered, all of them with a 200.
    fn drive(&self, address: SocketAddr, script: &Path, seconds: u32) -> anyhow::Result<f64> {
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
        let [requests, micros, errors] = figures[..] else {
            bail!("wrk's figures can't be read: {figures:?}");
        };
        ensure!(errors == 0.0, "{errors} requests failed:\n{text}");
        ensure!(requests > 0.0, "nothing was answered:\n{text}");
        Ok(requests / micros * 1e6)
    }
}

fn serve_rate(bench: &Bench, wrk: &Wrk, script: &Path) -> anyhow::Result<()> {
    let edge = edge(bench)?;
    let floor = floor(bench, bench.bytes)?;
    println!(
        "serving {CALLS} calls of {} bytes, {CONNECTIONS} connections, {ROUNDS} rounds of 2 x \
         {SECONDS} s after a warm-up",
        bench.bytes
    );
    for server in [&edge, &floor] {
        wrk.drive(server.address, script, SECONDS)?;
    }
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let rate = |server: &Server| wrk.drive(server.address, script, SECONDS);
        // Whoever comes first changes from round to round.
        let (edge, floor) = if round % 2 == 0 {
            let edge = rate(&edge)?;
            (edge, rate(&floor)?)
        } else {
            let floor = rate(&floor)?;
            (rate(&edge)?, floor)
        };
        println!("round {round}  edge : floor = {:.3}", edge / floor);
        ratios.push(edge / floor);
    }
    println!(
        "edge : floor        {}",
        verdict(&ratios, |ratio| ratio >= 0.60, "at least 0.60")
    );
    edge.stop()?;
    floor.stop()
}

fn list_cost(bench: &Bench, wrk: &Wrk) -> anyhow::Result<()> {
    let edge = edge(bench)?;
    for limit in [100, 1000] {
        let first = format!(r#""/api/v1/calls?limit={limit}""#);
        let pages = CALLS / limit;
        let any = format!(
            r#""/api/v1/calls?limit={limit}&skip=" .. {limit} * (math.random({pages}) - 1)"#
        );
        let floor = floor(bench, bench.bytes * limit)?;
        let constant = bench.script("constant", r#""/""#)?;
        let unkept = format!(r#""/api/v1/calls?limit={limit}&x=" .. math.random(1e9)"#);
        for (name, path, most) in [
            ("the first page, kept    ", first, Some(3.0)),
            ("the first page, not kept", unkept, Some(3.0)),
            ("any page                ", any, None),
        ] {
            let script = bench.script("list", &path)?;
            let mut ratios = Vec::new();
            for round in 0..ROUNDS {
                let edge = || wrk.drive(edge.address, &script, SECONDS / 2);
                let floor = || wrk.drive(floor.address, &constant, SECONDS / 2);
                let (edge, floor) = if round % 2 == 0 {
                    let edge = edge()?;
                    (edge, floor()?)
                } else {
                    let floor = floor()?;
                    (edge()?, floor)
                };
                ratios.push(floor / edge);
            }
            let told = match most {
                Some(most) => verdict(&ratios, |ratio| ratio <= most, &format!("at most {most}")),
                None => support::spread(&ratios),
            };
            println!("{name} of {limit:>4}, time : constant bytes' {told}");
        }
        floor.stop()?;
    }
    edge.stop()
}

/// A server on a thread of its own.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    /// `serve` tells its address through the channel once it can be asked.
    fn start(
        serve: impl FnOnce(mpsc::Sender<SocketAddr>, CancellationToken) -> anyhow::Result<()>
        + Send
        + 'static,
    ) -> anyhow::Result<Server> {
        let stop = CancellationToken::new();
        let (ready, address) = mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(ready, stopped));
        match address.recv_timeout(DEADLINE) {
            Ok(address) => Ok(Server {
                address,
                stop,
                thread,
            }),
            Err(_) if thread.is_finished() => Err(joined(thread)
                .err()
                .unwrap_or_else(|| anyhow!("a server ended at once"))),
            Err(timeout) => Err(timeout).context("a server did not start"),
        }
    }

    fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        joined(self.thread)
    }
}

fn joined(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    thread
        .join()
        .map_err(|_| anyhow!("a server's thread panicked"))?
}

/// The edge, as `serve` composes it.
fn edge(bench: &Bench) -> anyhow::Result<Server> {
    let config = Config::from_environment(bench.settings())?;
    Server::start(move |ready, stop| {
        runtime()?.block_on(async {
            let app = App::build(&config)?;
            let (address, mut status) = (app.addresses()[0], app.handle().status());
            let live = async {
                if status
                    .wait_for(|status| status.phase == Phase::Live)
                    .await
                    .is_ok()
                {
                    // The one who waits may have given up.
                    let _ = ready.send(address);
                }
            };
            let (ran, ()) = tokio::join!(app.run_until_stopped(stop), live);
            ran
        })
    })
}

/// As little as a server of this framework can do to send that many bytes.
fn floor(bench: &Bench, bytes: usize) -> anyhow::Result<Server> {
    let workers = bench.workers;
    Server::start(move |ready, stop| {
        let body = web::Bytes::from(vec![b'x'; bytes]);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        runtime()?.block_on(async {
            let server = HttpServer::new(move || {
                let body = body.clone();
                Actix::new().default_service(web::to(move || {
                    let body = body.clone();
                    async move {
                        HttpResponse::Ok()
                            .content_type("application/json")
                            .body(body)
                    }
                }))
            })
            .workers(workers)
            .disable_signals()
            .listen(listener)?
            .run();
            let handle = server.handle();
            let running = tokio::spawn(server);
            let _ = ready.send(address);
            stop.cancelled().await;
            handle.stop(true).await;
            Ok(running.await??)
        })
    })
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
