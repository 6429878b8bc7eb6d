//! Redis with a text a call. No HTTP: `redis-benchmark` asks it, over as many connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use rusqlite::Connection;

use super::Settings;
use super::data::Data;
use super::load::Load;
use super::peer::Peer;
use super::service::{DEADLINE, Service};
use super::wrk::Figures;

const BATCH: usize = 1000;

/// What finds out how many requests fill the time of a load.
const FIRST: u64 = 100_000;

pub struct Redis {
    service: Service,
}

impl Redis {
    pub fn start(settings: &Settings, data: &Data) -> anyhow::Result<Redis> {
        let folder = settings.folder.path().join("redis");
        std::fs::create_dir(&folder)?;
        // redis.conf advises threads from four cores on; on two, they wait for each other and
        // cost it four fifths of its rate.
        let threads = if settings.workers < 4 {
            1
        } else {
            settings.workers
        };
        let threads = threads.to_string();
        let service = Service::start("redis", "redis-server", &folder, DEADLINE, |command, at| {
            command.args(["--bind", "127.0.0.1", "--port", &at.port().to_string()]);
            command.args(["--save", "", "--appendonly", "no", "--io-threads", &threads]);
            Ok(())
        })?;
        let redis = Redis { service };
        redis.load(data)?;
        Ok(redis)
    }

    /// Under keys as `redis-benchmark` draws them: the calls' places, in twelve digits.
    fn load(&self, data: &Data) -> anyhow::Result<()> {
        let mut redis = TcpStream::connect(self.service.address)?;
        let file = Connection::open(&data.file)?;
        let mut select = file.prepare("SELECT body FROM calls ORDER BY id")?;
        let bodies = select.query_map([], |row| row.get::<_, String>(0))?;
        let (mut batch, mut waiting) = (Vec::new(), 0);
        for (place, body) in bodies.enumerate() {
            let (key, body) = (key(place), body?);
            let (name, text) = (key.len(), body.len());
            write!(
                batch,
                "*3\r\n$3\r\nSET\r\n${name}\r\n{key}\r\n${text}\r\n{body}\r\n"
            )?;
            waiting += 1;
            if waiting == BATCH || place + 1 == data.ids.len() {
                redis.write_all(&batch)?;
                let mut said = vec![0; waiting * 5];
                redis.read_exact(&mut said)?;
                ensure!(said == b"+OK\r\n".repeat(waiting), "a SET was refused");
                batch.clear();
                waiting = 0;
            }
        }
        Ok(())
    }

    fn ask(&self, requests: u64, keys: usize) -> anyhow::Result<Figures> {
        let output = Command::new("redis-benchmark")
            .args(["-h", "127.0.0.1", "-p"])
            .arg(self.service.address.port().to_string())
            .args(["-c", &super::CONNECTIONS.to_string(), "--threads", "2"])
            .args(["-n", &requests.to_string(), "-r", &keys.to_string()])
            .args(["--csv", "GET", "call:__rand_int__"])
            .output()
            .context("starting redis-benchmark")?;
        let text = String::from_utf8(output.stdout)?;
        // "GET …","rps","avg","min","p50","p95","p99","max"
        let line = text.lines().last().unwrap_or_default();
        let figure = |place: usize| line.split(',').nth(place)?.trim_matches('"').parse().ok();
        let told: Option<(f64, f64)> = figure(1).zip(figure(6));
        let (rate, p99) = told.with_context(|| format!("redis-benchmark said:\n{text}"))?;
        Ok(Figures {
            rate,
            bytes: 0.0,
            p99: p99 * 1e3,
        })
    }
}

impl Peer for Redis {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn address(&self, _: Load) -> SocketAddr {
        self.service.address
    }

    /// `redis-benchmark` draws uniformly, and by one key.
    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        (load == Load::Uniform).then_some(("call:", ""))
    }

    fn misses(&self) -> anyhow::Result<u64> {
        let output = Command::new("redis-cli")
            .args([
                "-p",
                &self.service.address.port().to_string(),
                "INFO",
                "stats",
            ])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let misses = text
            .lines()
            .find_map(|line| line.strip_prefix("keyspace_misses:"));
        Ok(misses.context("INFO tells no misses")?.trim().parse()?)
    }

    fn drive(&self, _: Load, _: &Path, settings: &Settings) -> anyhow::Result<Figures> {
        let rate = self.ask(FIRST, settings.calls)?.rate;
        self.ask((rate * f64::from(settings.seconds)) as u64, settings.calls)
    }

    fn verify(&self, _: Load, data: &Data, _: &[String], _: &Settings) -> anyhow::Result<()> {
        let mut redis = TcpStream::connect(self.service.address)?;
        redis.set_read_timeout(Some(DEADLINE))?;
        for sample in &data.samples {
            let (key, body) = (key(sample.place), &sample.body);
            write!(redis, "*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())?;
            let expected = format!("${}\r\n{body}\r\n", body.len());
            let mut said = vec![0; expected.len()];
            redis.read_exact(&mut said)?;
            ensure!(said == expected.as_bytes(), "Redis holds another text");
        }
        Ok(())
    }
}

fn key(place: usize) -> String {
    format!("call:{place:012}")
}
