//! The released binary as a process of its own, serving a file while its upstream is not there.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::client::Client;
use super::file::{BASE_URL, Made};

/// Opens the edge for the bench's requests.
pub const KEY: &str = "burki_0123456789abcdefghijklmnopqrstuv";

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// Killed when it is dropped, as by a power cut.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Returns once it listens.
    pub fn start(made: &Made) -> anyhow::Result<Server> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_burki-edge"))
            .arg("serve")
            // Away from the project's own config.toml.
            .current_dir(made.path.parent().context("a file without a folder")?)
            .envs(settings(made))
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .context("starting burki-edge serve")?;
        let log = child.stderr.take().context("no standard error")?;
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (said, told) = mpsc::channel();
        std::thread::spawn(move || {
            // Read on to the end, lest the process wait for a full pipe.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let address = line.split_once("address=").map(|(_, address)| address);
                let address = address.and_then(|address| address.trim().parse().ok());
                let _ = said.send(address.ok_or(line));
            }
        });
        let mut log = String::new();
        server.address = loop {
            match told.recv_timeout(DEADLINE) {
                Ok(Ok(address)) => break address,
                Ok(Err(line)) => writeln!(log, "{line}")?,
                Err(_) => bail!("burki-edge serve told no address:\n{log}"),
            }
        };
        Ok(server)
    }

    /// From before the process is there to the last byte of a call, in seconds.
    pub fn start_to_answer(made: &Made, id: u32) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let server = Server::start(made)?;
        Client::connect(server.address)?.found(&format!("/api/v1/calls/{id}"))?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// What all its threads have worked so far, in ms.
    pub fn worked(&self) -> anyhow::Result<f64> {
        let mut nanos = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // One that ended meanwhile worked for somebody else.
            let told = std::fs::read_to_string(thread?.path().join("schedstat"));
            let told = told.unwrap_or_default();
            nanos += told
                .split(' ')
                .next()
                .and_then(|nanos| nanos.parse().ok())
                .unwrap_or(0.0);
        }
        Ok(nanos / 1e6)
    }

    /// What came from the disk for it so far, in MB: what the system's cache did not have.
    pub fn read_from_disk(&self) -> anyhow::Result<f64> {
        let told = std::fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let bytes = told
            .lines()
            .find_map(|line| line.strip_prefix("read_bytes: "));
        let bytes: f64 = bytes
            .context("no read_bytes in the process's io")?
            .parse()?;
        Ok(bytes / 1e6)
    }

    /// Resident memory that is no page of a file, in MB.
    pub fn anonymous(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: f64 = kilobytes
            .context("no RssAnon in the process's status")?
            .parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ended by itself: there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All but these are the defaults.
fn settings(made: &Made) -> [(&'static str, OsString); 6] {
    [
        ("BURKI_EDGE_SERVER__LISTEN", "127.0.0.1:0".into()),
        ("BURKI_EDGE_UPSTREAM__BASE_URL", BASE_URL.into()),
        ("BURKI_EDGE_STORE__PATH", made.path.clone().into()),
        // The file was filled by one that keeps none: to want them now would be a fill of its own.
        ("BURKI_EDGE_SYNC__DETAILS", "[]".into()),
        // A miss is not to wait for its turn.
        (
            "BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE",
            "60000".into(),
        ),
        ("BURKI_API_KEY", KEY.into()),
    ]
}
