//! The load generator, the same for all that speak HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::Settings;

/// Of one run.
pub struct Figures {
    /// Requests per second, all of them answered with less than 400.
    pub rate: f64,
    /// Of an answer, head included, on average; 0: not known.
    pub bytes: f64,
    /// In microseconds.
    pub p99: f64,
}

/// Asks for the keys in a file, for as long as a load lasts.
pub fn drive(
    address: SocketAddr,
    (before, after): (&str, &str),
    keys: &Path,
    settings: &Settings,
) -> anyhow::Result<Figures> {
    let output = Command::new("wrk")
        .args(["--threads", "2"])
        .args(["--connections", &super::CONNECTIONS.to_string()])
        .args(["--duration", &format!("{}s", settings.seconds)])
        .args(["--timeout", "10s"])
        .args(["--script", super::here("requests.lua").as_str()])
        .arg(format!("http://{address}"))
        .arg("--")
        .arg(keys)
        .args([settings.key.as_str(), before, after])
        .stderr(Stdio::inherit())
        .output()
        .context("starting wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text
        .lines()
        .find_map(|line| line.strip_prefix("figures "))
        .with_context(|| format!("wrk ended without its figures:\n{text}"))?;
    let figures = figures
        .split(' ')
        .map(str::parse)
        .collect::<Result<Vec<f64>, _>>()?;
    let [requests, micros, errors, bytes, p99] = figures[..] else {
        bail!("wrk's figures can't be read: {figures:?}");
    };
    ensure!(errors == 0.0, "{errors} requests failed:\n{text}");
    ensure!(requests > 0.0, "nothing was answered:\n{text}");
    Ok(Figures {
        rate: requests / micros * 1e6,
        bytes: bytes / requests,
        p99,
    })
}
