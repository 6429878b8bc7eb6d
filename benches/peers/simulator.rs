//! The upstream of the edge and of the caches: the simulated Burki, in a process of its own.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::Settings;
use super::client::Client;
use super::data::{self, Data};
use super::load::Load;
use super::peer::Peer;
use super::service::Service;

pub const MODE: &str = "simulator";

/// Making a million calls takes a while.
const DEADLINE: Duration = Duration::from_secs(300);

pub struct Upstream {
    service: Service,
}

impl Upstream {
    pub fn start(settings: &Settings) -> anyhow::Result<Upstream> {
        let bench = std::env::current_exe()?;
        let service = Service::start(
            "simulator",
            bench,
            settings.folder.path(),
            DEADLINE,
            |command, address| {
                command.arg(MODE).arg(address.to_string());
                command.arg(settings.calls.to_string());
                Ok(())
            },
        )?;
        Ok(Upstream { service })
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.service.address)
    }

    /// Changes every call, each round to another text of the same length.
    pub fn change_all(
        &mut self,
        round: usize,
        data: &Data,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        let patch = format!("{{\"round\":{}}}", 1000 + round);
        let stdin = self.service.child.stdin.as_mut();
        writeln!(stdin.context("no standard input")?, "{patch}")?;
        let last = data.ids.last().context("no calls")?;
        let address = self.service.address;
        self.service.wait(DEADLINE, |_| {
            let mut client = Client::connect(address)?;
            let call = client.get(&format!("/api/v1/calls/{last}"), &settings.key, None)?;
            let text = String::from_utf8_lossy(&call.body).replace(' ', "");
            Ok(text.contains(patch.trim_matches(['{', '}'])))
        })
    }
}

/// Asked directly, it is what the edge saves one from, on the same machine.
pub struct Direct(pub SocketAddr);

impl Upstream {
    pub fn direct(&self) -> Direct {
        Direct(self.service.address)
    }
}

impl Peer for Direct {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn address(&self, _: Load) -> SocketAddr {
        self.0
    }

    /// It gives no tag.
    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        (load != Load::NotModified).then(|| load.target())
    }
}

/// The process: an address, and the number of calls. Each line of its input is merged into the
/// metadata of every call.
pub fn serve(args: &[OsString]) -> anyhow::Result<()> {
    let args: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let [address, calls] = args[..] else {
        anyhow::bail!("simulator ADDRESS CALLS");
    };
    let world = data::world(calls.parse().context("CALLS")?);
    let ids: Vec<i64> = world.records().map(|record| record.id).collect();
    let simulator = burki_edge::simulator::Simulator::start(world, address)?;
    for patch in std::io::stdin().lines() {
        let (patch, mut world) = (patch?, simulator.world());
        for id in &ids {
            world.merge_metadata(*id, &patch);
        }
    }
    Ok(())
}
