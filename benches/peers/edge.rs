//! The released binary, serving, with its engine live against the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use super::Settings;
use super::client::Client;
use super::data::Data;
use super::load::Load;
use super::peer::Peer;
use super::service::{DEADLINE, Service};

/// Reading a million calls again takes a while.
const READ: Duration = Duration::from_secs(900);

pub struct Edge {
    service: Service,
}

impl Edge {
    pub fn start(settings: &Settings, data: &Data, base_url: &str) -> anyhow::Result<Edge> {
        let (edge, folder) = (env!("CARGO_BIN_EXE_burki-edge"), settings.folder.path());
        let service = Service::start("burki-edge", edge, folder, DEADLINE, |command, address| {
            command.arg("serve");
            command
                .env("BURKI_EDGE_SERVER__LISTEN", address.to_string())
                .env("BURKI_EDGE_SERVER__WORKERS", settings.workers.to_string())
                .env("BURKI_EDGE_UPSTREAM__BASE_URL", base_url)
                .env("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "100000")
                .env("BURKI_EDGE_STORE__PATH", &data.file)
                .env("BURKI_EDGE_SYNC__DETAILS", "[]")
                .env("BURKI_API_KEY", &settings.key);
            Ok(())
        })?;
        Ok(Edge { service })
    }

    /// Waits until all of the upstream was read.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        self.service.wait(READ, |service| {
            let answer = Client::connect(service.address)?.get("/readyz", "", None)?;
            Ok(answer.status == 200)
        })
    }
}

impl Peer for Edge {
    fn name(&self) -> &'static str {
        "burki-edge"
    }

    fn address(&self, _: Load) -> SocketAddr {
        self.service.address
    }

    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        Some(load.target())
    }

    fn keeps(&self) -> bool {
        true
    }
}
