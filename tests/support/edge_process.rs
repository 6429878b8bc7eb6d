//! A place to run the binary in: a folder of its own, an environment with nothing else in it, and
//! the upstream that it is set up for.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Flavour, Simulator, World, WorldConfig};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use tempfile::TempDir;

use super::child::{DEADLINE, Ended, Running};

/// The key every world here lets in.
pub use super::key::KEY;

/// One call of a world, as clients of the upstream read it.
pub struct Known {
    pub id: i64,
    pub sid: String,
    pub text: String,
}

/// A world whose present is the real one.
pub fn world(flavour: Flavour, calls: usize) -> WorldConfig {
    WorldConfig {
        flavour,
        calls,
        api_key: KEY.to_owned(),
        now: Timestamp::now(),
        ..WorldConfig::default()
    }
}

pub fn serve(world: WorldConfig) -> Simulator {
    Simulator::start(World::new(world), "127.0.0.1:0").unwrap()
}

/// All calls of an upstream, by ascending id.
pub fn calls(simulator: &Simulator) -> Vec<Known> {
    let world = simulator.world();
    let known = world.texts().map(|(id, sid, text)| Known {
        id,
        sid: sid.to_owned(),
        text,
    });
    known.collect()
}

/// Awaits what only asking tells.
pub async fn until(mut reached: impl AsyncFnMut() -> bool) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !reached().await {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, asking).await;
    waited.expect("in time");
}

pub struct Site {
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Site {
    /// An edge of that upstream, on a free port, that reads as fast as it can.
    pub fn of(simulator: &Simulator) -> Site {
        let mut site = Site {
            folder: TempDir::new().unwrap(),
            environment: BTreeMap::new(),
        };
        site.set("BURKI_API_KEY", KEY);
        site.set("BURKI_EDGE_UPSTREAM__BASE_URL", &simulator.base_url());
        site.set("BURKI_EDGE_SERVER__LISTEN", "127.0.0.1:0");
        site.set("BURKI_EDGE_SERVER__WORKERS", "2");
        // What is asked for beside the calls would be counted along with them.
        site.set("BURKI_EDGE_SYNC__DETAILS", "[]");
        site.set("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "100000");
        // Nothing here changes but by order.
        site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1h");
        site
    }

    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment
            .insert(variable.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, variable: &str) {
        self.environment.remove(variable);
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        // As whoever has a key in it keeps it.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The replica's file, where no setting puts it elsewhere.
    pub fn replica(&self) -> PathBuf {
        self.folder().join("burki-edge.db")
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        // Another build of it, where one is to be tried.
        let binary = std::env::var_os("EDGE_BINARY");
        let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_burki-edge").into());
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// An edge that listens.
    pub fn serve(&self) -> Edge {
        Edge::of(self.start(&["serve"]), "http")
    }

    /// An edge that has read everything.
    pub fn serve_all(&self) -> Edge {
        let mut edge = self.serve();
        edge.process.logs("phase=Live");
        edge
    }
}

/// A serving child and a client of it.
pub struct Edge {
    pub process: Running,
    pub address: SocketAddr,
    pub url: String,
    client: reqwest::Client,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header's text; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

impl Edge {
    /// Reads its address from its log: the port is one it chose.
    pub fn of(mut process: Running, scheme: &str) -> Edge {
        let line = process.logs("serving address=");
        let (_, address) = line.trim_end().split_once("address=").unwrap();
        Edge {
            address: address.parse().unwrap(),
            url: format!("{scheme}://{address}"),
            process,
            client: client(reqwest::Client::builder()),
        }
    }

    /// Asks with the upstream's key.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(path, Some(&format!("Bearer {KEY}"))).await
    }

    pub async fn get_as(&self, path: &str, authorization: Option<&str>) -> Answer {
        let request = self.client.get(format!("{}{path}", self.url));
        let request = match authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        answer(request).await
    }

    pub async fn sync_now(&self) {
        let request = self.client.post(format!("{}/edge/sync", self.url));
        let answer = answer(request.bearer_auth(KEY)).await;
        assert_eq!(answer.status, 202);
    }

    pub async fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/edge/status").await.body).unwrap()
    }

    /// Tells it to end, and waits until it has, without a failure.
    pub fn stop(self) -> Ended {
        self.process.terminate();
        let ended = self.process.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }
}

pub fn client(builder: reqwest::ClientBuilder) -> reqwest::Client {
    // An error means that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.timeout(DEADLINE).build().unwrap()
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}
