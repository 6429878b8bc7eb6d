//! The engine on a stage: the simulator's world without a socket, and virtual time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{ApiRequest, Fault, Faults, World, WorldConfig};
use burki_edge::store::{Reader, StoreError, Writer};
use burki_edge::sync::{Clock, Engine, Handle, Phase, Settings, SyncError, SyncStatus};
use burki_edge::upstream::{CallSource, ErrorKind, Reply, Request, UpstreamError, wire};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub const URL: &str = "http://simulator";

/// How long a request takes.
const LATENCY: Duration = Duration::from_millis(50);
/// What `upstream.timeout` would be.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A world, what befalls its answers, and a file for its replica.
pub struct Stage {
    world: Arc<Mutex<World>>,
    faults: Arc<Mutex<Faults>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    begin: (Instant, Timestamp),
    folder: TempDir,
    pub settings: Settings,
}

/// A running engine.
pub struct Running {
    pub handle: Handle,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), SyncError>>,
}

struct Source {
    world: Arc<Mutex<World>>,
    faults: Arc<Mutex<Faults>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    clock: Clock,
}

impl CallSource for Source {
    async fn fetch(&self, request: &Request) -> Result<Reply, UpstreamError> {
        let target = wire::path_and_query(request);
        self.asked
            .lock()
            .expect("a lock")
            .push((Instant::now(), target.clone()));
        tokio::time::sleep(LATENCY).await;
        let answer = {
            let mut world = self.world.lock().expect("a lock");
            world.advance((self.clock)());
            let request =
                ApiRequest::new("GET", &target).with_key("burki_0123456789abcdefghijklmnopqrstuv");
            let mut faults = self.faults.lock().expect("a lock");
            let fault = faults.decide(&request);
            let flavour = world.flavour();
            match fault {
                None | Some(Fault::Latency(_)) => Ok(faults.review(world.answer(&request))),
                Some(fault) => fault.answer(flavour, &request).ok_or(fault),
            }
        };
        match answer {
            Ok(answer) => {
                let (status, retry_after) = (answer.status, answer.header("retry-after"));
                wire::reply(
                    request,
                    status,
                    retry_after,
                    answer.body.as_bytes(),
                    (self.clock)(),
                )
            }
            Err(Fault::Hang) => {
                tokio::time::sleep(TIMEOUT).await;
                Err(UpstreamError::new(ErrorKind::Timeout))
            }
            Err(_) => Err(UpstreamError::new(ErrorKind::Reset)),
        }
    }
}

impl Stage {
    pub fn new(config: WorldConfig) -> Stage {
        let begin = (Instant::now(), config.now);
        Stage {
            world: Arc::new(Mutex::new(World::new(config))),
            faults: Arc::default(),
            asked: Arc::default(),
            begin,
            folder: TempDir::new().expect("a folder"),
            settings: Settings {
                poll_interval: Duration::from_secs(10),
                history: None,
                max_concurrency: 4,
                max_requests_per_minute: 120,
                seed: 1,
            },
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("edge.db")
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("a lock")
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("a lock")
    }

    /// Virtual wall time.
    pub fn now(&self) -> Timestamp {
        self.begin.1 + self.begin.0.elapsed()
    }

    /// Paths asked for so far, with the time, that hold `part`.
    pub fn asked(&self, part: &str) -> Vec<(Instant, String)> {
        let asked = self.asked.lock().expect("a lock");
        asked
            .iter()
            .filter(|(_, target)| target.contains(part))
            .cloned()
            .collect()
    }

    pub fn forget_asked(&self) {
        self.asked.lock().expect("a lock").clear();
    }

    /// Starts an engine on the stage's file.
    pub fn start(&self) -> Running {
        let (instant, wall) = self.begin;
        let clock: Clock = Arc::new(move || wall + instant.elapsed());
        let source = Source {
            world: Arc::clone(&self.world),
            faults: Arc::clone(&self.faults),
            asked: Arc::clone(&self.asked),
            clock: Arc::clone(&clock),
        };
        let writer = self.writer();
        let (engine, handle) = Engine::new(source, writer, self.settings.clone(), clock);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(engine.run(cancel.clone()));
        Running {
            handle,
            cancel,
            task,
        }
    }

    /// A killed engine's last transaction may still be ending: nothing can stop that one but the end
    /// of the process.
    fn writer(&self) -> Writer {
        for _ in 0..1_000_000 {
            match Writer::open(&self.path(), URL) {
                Err(StoreError::Locked(_)) => std::thread::yield_now(),
                other => return other.expect("a writer"),
            }
        }
        panic!("the file stays locked");
    }

    /// Asserts that the replica holds the upstream's calls, byte for byte, and no others.
    pub fn assert_equal(&self) {
        let reader = Reader::open(&self.path()).expect("a reader");
        let world = self.world();
        for (id, sid, text) in world.texts() {
            let by_id = reader
                .call(&CallKey::Id(id))
                .expect("a read")
                .map(|held| held.body);
            assert_eq!(by_id.as_deref(), Some(&*text), "call {id}");
            let by_sid = reader.call(&CallKey::Sid(sid.to_owned())).expect("a read");
            assert_eq!(by_sid.map(|held| held.id), Some(id), "{sid}");
        }
        assert_eq!(reader.totals().expect("totals").calls, world.len() as u64);
    }

    pub fn held(&self, id: i64) -> Option<String> {
        let reader = Reader::open(&self.path()).expect("a reader");
        reader
            .call(&CallKey::Id(id))
            .expect("a read")
            .map(|held| held.body)
    }
}

impl Running {
    /// Until the status is as wanted; the seed's world is to blame where that takes an hour.
    pub async fn until(&self, wanted: impl FnMut(&SyncStatus) -> bool) -> SyncStatus {
        let mut status = self.handle.status();
        let waiting = status.wait_for(wanted);
        let reached = timeout(Duration::from_secs(3600), waiting).await;
        reached.expect("in time").expect("a running engine").clone()
    }

    pub async fn until_live(&self) -> SyncStatus {
        self.until(|status| status.phase == Phase::Live).await
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub async fn stop(self) -> Result<(), SyncError> {
        self.cancel.cancel();
        self.task.await.expect("no panic")
    }

    /// Drops the engine where it stands.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// The engine's own end.
    pub async fn end(self) -> Result<(), SyncError> {
        timeout(Duration::from_secs(3600), self.task)
            .await
            .expect("in time")
            .expect("no panic")
    }
}
