//! A process beside the bench, which ends when the bench does, however that comes about.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a thing that takes well under a second may take before it counts as broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A server on a port of this machine. Dropping it ends it and the processes it started.
pub struct Service {
    name: &'static str,
    pub child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Service {
    /// Starts `program` with what `arrange` gives it, its log in `folder`, and waits until it
    /// accepts connections at the address that `arrange` was told.
    pub fn start(
        name: &'static str,
        program: impl AsRef<std::ffi::OsStr>,
        folder: &Path,
        deadline: Duration,
        arrange: impl FnOnce(&mut Command, SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<Service> {
        let address = free_address()?;
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        // The kernel ends it when the bench is gone without a word. It counts the thread that
        // starts it, so every service is started by the main one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        arrange(&mut command, address)?;
        let child = command
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let mut service = Service {
            name,
            child,
            address,
            log,
        };
        service.wait(deadline, |service| {
            Ok(TcpStream::connect(service.address).is_ok())
        })?;
        Ok(service)
    }

    /// Waits until `done`.
    pub fn wait(
        &mut self,
        deadline: Duration,
        mut done: impl FnMut(&Service) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !done(self)? {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.last_words());
            }
            if begun.elapsed() > deadline {
                bail!("{} is not there in time:\n{}", self.name, self.last_words());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Asks it to end, so that it ends its own workers too, and ends it if it does not.
    fn stop(&mut self) -> std::io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > DEADLINE {
                self.child.kill()?;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            println!("{} was not ended: {error}", self.name);
        }
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
