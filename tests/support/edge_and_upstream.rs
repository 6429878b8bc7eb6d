//! A simulated Burki, an edge of it, and a client that asks both.

use std::time::Duration;

use burki_edge::app::App;
use burki_edge::config::Config;
use burki_edge::model::Timestamp;
use burki_edge::simulator::{Faults, Simulator, World, WorldConfig};
use burki_edge::sync::{Handle, Phase, SyncStatus, UpstreamState};
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A key of the edge's own.
pub const TOKEN: &str = "a named token of the edge";

pub struct Site {
    pub simulator: Simulator,
    pub edge: String,
    pub key: String,
    pub handle: Handle,
    client: Client,
    stop: CancellationToken,
    folder: TempDir,
    config: Config,
    running: JoinHandle<anyhow::Result<()>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    async fn read(response: Response) -> Answer {
        let headers = response.headers().iter();
        Answer {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.as_str().to_owned(), value.into_owned())
                })
                .collect(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }
}

impl Site {
    /// An edge that has read all of this world, whose present is now.
    pub async fn of(world: WorldConfig) -> Site {
        Site::with(world, &[]).await
    }

    /// The same with other settings, as environment variables set them.
    pub async fn with(world: WorldConfig, settings: &[(&str, &str)]) -> Site {
        let site = Site::start(world, settings);
        site.until(|status| status.phase == Phase::Live).await;
        site
    }

    /// An edge that just began.
    pub fn start(world: WorldConfig, settings: &[(&str, &str)]) -> Site {
        let world = WorldConfig {
            now: Timestamp::now(),
            ..world
        };
        Site::start_before(World::new(world), settings)
    }

    /// An edge that has read all of a world that is made already, whenever its present is.
    pub async fn before(world: World) -> Site {
        let site = Site::start_before(world, &[]);
        site.until(|status| status.phase == Phase::Live).await;
        site
    }

    pub fn start_before(world: World, settings: &[(&str, &str)]) -> Site {
        Site::start_among(|_| {}, world, settings)
    }

    /// The same amid faults, which are there before the edge asks for anything.
    pub fn start_among(
        order: impl FnOnce(&mut Faults),
        world: World,
        settings: &[(&str, &str)],
    ) -> Site {
        let key = world.api_key().to_owned();
        let simulator = Simulator::start(world, "127.0.0.1:0").unwrap();
        order(&mut simulator.faults());
        let folder = TempDir::new().unwrap();
        let usual = [
            ("BURKI_EDGE_SERVER__LISTEN", "127.0.0.1:0".to_owned()),
            ("BURKI_EDGE_SERVER__WORKERS", "1".to_owned()),
            ("BURKI_EDGE_UPSTREAM__BASE_URL", simulator.base_url()),
            (
                "BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE",
                "60000".to_owned(),
            ),
            ("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s".to_owned()),
            ("BURKI_EDGE_SYNC__DETAILS", "[]".to_owned()),
            ("BURKI_API_KEY", key.clone()),
        ];
        let settings = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        // Of two that set the same, the last counts.
        let settings: std::collections::BTreeMap<_, _> =
            usual.into_iter().chain(settings).collect();
        let mut config = Config::from_environment(settings).unwrap();
        config.store.path = folder.path().join("edge.db");
        config.auth.tokens.push(burki_edge::config::Token {
            name: "test".to_owned(),
            sha256: burki_edge::config::token_digest(TOKEN),
            scopes: burki_edge::model::Scopes::DEFAULT,
            expires: None,
        });
        let app = App::build(&config).unwrap();
        let (edge, handle) = (format!("http://{}", app.addresses()[0]), app.handle());
        let stop = CancellationToken::new();
        let running = tokio::spawn(app.run_until_stopped(stop.clone()));
        Site {
            simulator,
            edge,
            key,
            handle,
            client: Client::builder()
                .redirect(redirect::Policy::none())
                .timeout(DEADLINE)
                .no_gzip()
                .build()
                .unwrap(),
            stop,
            folder,
            config,
            running,
        }
    }

    /// Stops the edge, and starts another one on its file.
    pub async fn restart(&mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, &mut self.running).await;
        ended.expect("in time").unwrap().unwrap();
        let app = App::build(&self.config).unwrap();
        self.edge = format!("http://{}", app.addresses()[0]);
        self.handle = app.handle();
        self.stop = CancellationToken::new();
        self.running = tokio::spawn(app.run_until_stopped(self.stop.clone()));
    }

    pub async fn until(&self, reached: impl Fn(&SyncStatus) -> bool) {
        let mut status = self.handle.status();
        let waiting = status.wait_for(|status| reached(status));
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.expect("in time").expect("the engine runs");
    }

    /// Until the edge says so of what it answers there.
    pub async fn until_served(&self, path: &str, coverage: &str) {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let served = async {
            while self.get(path).await.header("burki-edge-coverage") != Some(coverage) {
                tick.tick().await;
            }
        };
        let served = tokio::time::timeout(DEADLINE, served).await;
        served.expect("in time");
    }

    /// Cuts the line, and waits until the edge knows.
    pub async fn cut(&self) {
        self.simulator.cut();
        self.handle.sync_now();
        self.until(|status| status.state == UpstreamState::Offline)
            .await;
    }

    /// Mends it, and waits until the edge knows.
    pub async fn restore(&self) {
        self.simulator.restore();
        self.handle.sync_now();
        self.until(|status| status.state == UpstreamState::Online)
            .await;
    }

    /// How many recordings are on the edge's disk.
    pub fn audio_files(&self) -> usize {
        match std::fs::read_dir(self.folder.path().join("edge.db-audio")) {
            Ok(files) => files
                .filter(|file| file.as_ref().unwrap().file_name() != "feed")
                .count(),
            Err(_) => 0,
        }
    }

    /// Asks the edge with the upstream's key.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None).await
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        self.send(&self.edge, &self.key, method, path, headers, body)
            .await
    }

    /// Asks the upstream itself.
    pub async fn upstream(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let base = self.simulator.base_url();
        self.send(&base, &self.key, method, path, &[], body).await
    }

    pub async fn send(
        &self,
        base: &str,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let key = format!("Bearer {key}");
        self.send_as(base, Some(&key), method, path, headers, body)
            .await
    }

    /// The same with another `Authorization`, or none.
    pub async fn send_as(
        &self,
        base: &str,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{base}{path}"));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        Answer::read(request.send().await.unwrap()).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
