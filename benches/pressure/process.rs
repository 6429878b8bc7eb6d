//! The released binary, serving a file that is filled, and what it takes of memory.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

/// How long a thing that takes well under a second may take before it counts as broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at its memory.
const LOOK: Duration = Duration::from_millis(50);

pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    pub fn start(folder: &Path, settings: Vec<(&str, OsString)>) -> anyhow::Result<Process> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_burki-edge"))
            .arg("serve")
            // Away from the project's own config.toml.
            .current_dir(folder)
            .envs(settings)
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
        thread::spawn(move || {
            // Read on to the end, lest the process wait for a full pipe.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let mut log = String::new();
        loop {
            let Ok(line) = told.recv_timeout(DEADLINE) else {
                bail!("burki-edge serve told no address:\n{log}");
            };
            if let Some((_, address)) = line.split_once("address=") {
                process.address = address.trim().parse()?;
                return Ok(process);
            }
            writeln!(log, "{line}")?;
        }
    }

    /// Looks at its memory from now on.
    pub fn watch(&self) -> Memory {
        let (stop, stopped) = mpsc::channel::<()>();
        let (pid, begun) = (self.child.id(), Instant::now());
        let looks = thread::spawn(move || {
            let mut looks = Vec::new();
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                looks.push((begun.elapsed(), anonymous(pid)?));
            }
            Ok(looks)
        });
        Memory { stop, looks }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ended by itself: there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A look at a process's memory, over and over.
pub struct Memory {
    /// It looks until this is dropped.
    stop: Sender<()>,
    looks: JoinHandle<anyhow::Result<Vec<(Duration, f64)>>>,
}

impl Memory {
    /// Megabytes that are not the pages of a file, at each instant since the first look.
    pub fn end(self) -> anyhow::Result<Vec<(Duration, f64)>> {
        drop(self.stop);
        self.looks
            .join()
            .map_err(|_| anyhow!("the look at memory broke off"))?
    }
}

fn anonymous(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.context("no RssAnon")?.parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
