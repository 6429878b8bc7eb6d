//! Datasette serving a copy of the edge's file, a row as JSON. It checks no key.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::Settings;
use super::client::Answer;
use super::data::{Data, Sample};
use super::load::Load;
use super::peer::Peer;
use super::service::{DEADLINE, Service};

pub struct Datasette {
    service: Service,
}

/// The virtual environment that `benches/peers/run` makes.
pub fn environment() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("DATASETTE_VENV");
    Ok(folder
        .context("DATASETTE_VENV is not set; start this bench with benches/peers/run")?
        .into())
}

impl Datasette {
    /// No edge may have the file open.
    pub fn start(settings: &Settings, data: &Data) -> anyhow::Result<Datasette> {
        let (folder, python) = (settings.folder.path(), environment()?.join("bin/python"));
        // Its name is the database's.
        let file = folder.join("calls.db");
        std::fs::copy(&data.file, &file)?;
        let service = Service::start("datasette", python, folder, DEADLINE, |command, at| {
            command.args(["-m", "uvicorn", "datasette_app:app", "--app-dir"]);
            command.arg(super::here(""));
            command.args(["--host", "127.0.0.1", "--port", &at.port().to_string()]);
            command.args(["--workers", &settings.workers.to_string()]);
            command.args(["--loop", "uvloop", "--http", "httptools"]);
            command.args(["--no-access-log", "--log-level", "warning"]);
            command.args(["--timeout-keep-alive", "3600"]);
            command.env("CALLS_FILE", file);
            Ok(())
        })?;
        Ok(Datasette { service })
    }
}

impl Peer for Datasette {
    fn name(&self) -> &'static str {
        "Datasette"
    }

    fn address(&self, _: Load) -> SocketAddr {
        self.service.address
    }

    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        let by_id = matches!(load, Load::Hot | Load::Uniform);
        by_id.then_some(("/calls/calls/", ".json?_shape=array"))
    }

    /// The whole row, and the text in it.
    fn check(&self, _: Load, sample: &Sample, answer: &Answer) -> anyhow::Result<()> {
        ensure!(answer.status == 200, "not a 200");
        let rows: serde_json::Value = serde_json::from_slice(&answer.body)?;
        ensure!(rows[0]["body"] == sample.body.as_str(), "another text");
        Ok(())
    }
}
