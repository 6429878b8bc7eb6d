//! Varnish before the simulator, its storage in memory. It checks no key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use super::Settings;
use super::client::Answer;
use super::data::Sample;
use super::load::Load;
use super::peer::{Peer, as_the_api};
use super::service::{DEADLINE, Service};

/// What its log in memory would say of each request: the access logs are off.
const UNLOGGED: &str = "-ReqStart,-ReqMethod,-ReqURL,-ReqProtocol,-ReqHeader,-ReqAcct,-ReqUnset,\
    -RespProtocol,-RespStatus,-RespReason,-RespHeader,-VCL_call,-VCL_return,-Timestamp,-Hit,\
    -Begin,-End,-Link";

pub struct Varnish {
    service: Service,
    folder: PathBuf,
}

impl Varnish {
    pub fn start(settings: &Settings, upstream: SocketAddr) -> anyhow::Result<Varnish> {
        let folder = settings.folder.path().join("varnish");
        std::fs::create_dir(&folder)?;
        let arrange = |command: &mut Command, address: SocketAddr| {
            let (host, port) = (upstream.ip(), upstream.port());
            let vcl = format!(
                r#"
vcl 4.1;
backend simulator {{ .host = "{host}"; .port = "{port}"; }}
# Not the usual way, which passes on whatever has an Authorization.
sub vcl_recv {{ return (hash); }}
sub vcl_hash {{ hash_data(req.url); return (lookup); }}
sub vcl_backend_response {{ set beresp.ttl = 1d; return (deliver); }}
"#
            );
            let file = folder.join("calls.vcl");
            std::fs::write(&file, vcl)?;
            command.args(["-F", "-j", "none", "-a", &address.to_string(), "-f"]);
            command.arg(&file).arg("-n").arg(folder.join("work"));
            // Twice what a call of 1.3 KB takes with what is kept beside it.
            let megabytes = 256 + settings.calls / 200;
            command.args(["-s", &format!("malloc,{megabytes}M")]);
            command.args(["-p", &format!("thread_pools={}", settings.workers)]);
            command.args([
                "-p",
                "timeout_idle=3600",
                "-p",
                &format!("vsl_mask={UNLOGGED}"),
            ]);
            Ok(())
        };
        Ok(Varnish {
            service: Service::start("varnish", "varnishd", &folder, DEADLINE, arrange)?,
            folder: folder.clone(),
        })
    }
}

impl Peer for Varnish {
    fn name(&self) -> &'static str {
        "Varnish"
    }

    fn address(&self, _: Load) -> SocketAddr {
        self.service.address
    }

    /// The upstream gives no tag, and Varnish makes none. What it never saw it can't have kept.
    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        (!matches!(load, Load::NotModified | Load::Unkept)).then(|| load.target())
    }

    /// A hit names the request that brought the answer beside this one.
    fn check(&self, load: Load, sample: &Sample, answer: &Answer) -> anyhow::Result<()> {
        let named = answer.header("x-varnish").map(|ids| ids.split(' ').count());
        ensure!(named == Some(2), "not a hit");
        as_the_api(load, sample, answer)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn misses(&self) -> anyhow::Result<u64> {
        let output = Command::new("varnishstat")
            .args(["-1", "-f", "MAIN.cache_miss", "-f", "MAIN.s_pass", "-n"])
            .arg(self.folder.join("work"))
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let count = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let counts = text.lines().map(count).collect::<Option<Vec<_>>>();
        let counts = counts.filter(|counts| counts.len() == 2);
        Ok(counts.context("varnishstat tells no misses")?.iter().sum())
    }
}
