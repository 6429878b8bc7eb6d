//! The engine on a stage: the simulator's world without a socket, and virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use burki_edge::model::{CallKey, Detail, KeyHash, Timestamp};
use burki_edge::simulator::{ApiRequest, Cache, Fault, Faults, World, WorldConfig};
use burki_edge::store::{Reader, Readers, StoreError, StoredDetail, Totals, Writer};
use burki_edge::sync::{
    Clock, Engine, EngineChannels, Handle, Phase, Settings, Supervisor, SyncError, SyncStatus,
};
use burki_edge::upstream::{
    CallSource, DateForm, ErrorKind, PAGE_LIMIT, Reply, Request, UpstreamError, wire,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::folder::folder;

pub const URL: &str = "http://simulator";

/// How long a request takes.
const LATENCY: Duration = Duration::from_millis(50);
/// What `upstream.timeout` would be.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the upstream tells of calls beside their records.
#[derive(Default)]
pub struct Told {
    /// Instead of the usual text.
    pub texts: BTreeMap<(i64, Detail), String>,
    /// The server has no such paths.
    pub missing: BTreeSet<Detail>,
    /// Those fail, with this status; 0 never answers.
    pub failing: BTreeMap<(i64, Detail), u16>,
    /// All calls are denied.
    pub denies: bool,
}

impl Told {
    /// What is told where nothing else is.
    pub fn usual(id: i64, kind: Detail) -> String {
        match kind {
            Detail::Metrics => format!(r#"{{"user_turns":{id}}}"#),
            _ => format!(r#"[ {{"call_id":{id}, "kind":"{}"}} ]"#, kind.as_str()),
        }
    }

    fn answer(&self, id: i64, kind: Detail, exists: bool) -> (u16, String) {
        if let Some(status) = self.failing.get(&(id, kind)) {
            return (*status, "a failure".to_owned());
        }
        if self.missing.contains(&kind) {
            return (404, r#"{"detail":"Not Found"}"#.to_owned());
        }
        if !exists || self.denies {
            let text =
                format!(r#"{{"detail":"Call with ID {id} not found in your organization"}}"#);
            return (404, text);
        }
        let text = self.texts.get(&(id, kind)).cloned();
        (200, text.unwrap_or_else(|| Told::usual(id, kind)))
    }
}

/// A world, what befalls its answers, and a file for its replica.
pub struct Stage {
    world: Arc<Mutex<World>>,
    faults: Arc<Mutex<Faults>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    /// Calls that are counted, but on no list.
    unlisted: Arc<Mutex<Vec<i64>>>,
    /// What every answer has in place of another text.
    replaced: Arc<Mutex<Option<(String, String)>>>,
    told: Arc<Mutex<Told>>,
    /// What was written at the upstream: path and body.
    written: Arc<Mutex<Vec<(String, String)>>>,
    held_up: Arc<Mutex<Vec<(String, Duration)>>>,
    /// Between the upstream's lists and the edge.
    cache: Arc<Mutex<Option<Cache>>>,
    begin: (Instant, Timestamp),
    /// How far the edge's clock is ahead, in microseconds.
    ahead: Arc<AtomicI64>,
    folder: TempDir,
    /// Opened once: some tests look at the file thousands of times.
    readers: OnceLock<Readers>,
    /// What the edge asks with; the upstream takes any.
    pub key: &'static str,
    pub settings: Settings,
}

/// A running engine.
pub struct Running {
    pub handle: Handle,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), SyncError>>,
}

/// A second connection to the replica's file.
pub struct Watch(rusqlite::Connection);

impl Watch {
    /// Differs from the last time if anything was written since.
    pub fn version(&self) -> i64 {
        let version = self
            .0
            .query_row("PRAGMA data_version", [], |row| row.get(0));
        version.expect("a version")
    }
}

/// A list's body without one of its rows.
fn without_row(body: &str, id: i64) -> String {
    let Some(place) = body.find(&format!("\"id\":{id},")) else {
        return body.to_owned();
    };
    if !body.starts_with('[') && !body.starts_with("{\"items\":[") {
        return body.to_owned();
    }
    // Every row begins with its SID.
    let row = "{\"call_sid\":";
    let start = body[..place].rfind(row).expect("a row");
    let end = body[place..].find(row).map(|next| place + next);
    match end {
        Some(end) => format!("{}{}", &body[..start], &body[end..]),
        None => {
            let end = place + body[place..].find(']').expect("an end");
            format!("{}{}", body[..start].trim_end_matches(','), &body[end..])
        }
    }
}

#[derive(Clone)]
pub struct Source {
    world: Arc<Mutex<World>>,
    faults: Arc<Mutex<Faults>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    unlisted: Arc<Mutex<Vec<i64>>>,
    replaced: Arc<Mutex<Option<(String, String)>>>,
    told: Arc<Mutex<Told>>,
    written: Arc<Mutex<Vec<(String, String)>>>,
    held_up: Arc<Mutex<Vec<(String, Duration)>>>,
    cache: Arc<Mutex<Option<Cache>>>,
    key: &'static str,
    /// The edge's.
    clock: Clock,
    /// The world's.
    time: Clock,
}

impl CallSource for Source {
    fn key_hash(&self) -> KeyHash {
        KeyHash::of(self.key)
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        let target = wire::path_and_query(request, dates);
        self.asked
            .lock()
            .expect("a lock")
            .push((Instant::now(), target.clone()));
        tokio::time::sleep(LATENCY).await;
        let mut age = None;
        let answer = {
            let mut world = self.world.lock().expect("a lock");
            world.advance((self.time)());
            let about = request;
            let asked = match request {
                Request::Detail(id, kind) => Some((*id, *kind)),
                _ => None,
            };
            let body = wire::body(request);
            let method = if body.is_some() { "PATCH" } else { "GET" };
            let request = ApiRequest::new(method, &target)
                .with_key("burki_0123456789abcdefghijklmnopqrstuv")
                .with_body(body.clone().unwrap_or_default());
            let mut faults = self.faults.lock().expect("a lock");
            let fault = faults.decide(&request);
            let flavour = world.flavour();
            let arrives = matches!(fault, None | Some(Fault::Truncated));
            if let Some(body) = body.filter(|_| arrives) {
                let answer = world.answer(&request);
                if answer.status == 200 {
                    let mut written = self.written.lock().expect("a lock");
                    written.push((target.clone(), body));
                }
            }
            match (fault, asked) {
                (None, Some((id, kind))) => {
                    let exists = world.get(id).is_some();
                    let told = self.told.lock().expect("a lock");
                    let (status, body) = told.answer(id, kind, exists);
                    match status {
                        0 => Err(Fault::Hang),
                        _ => {
                            let (body, now) = (body.as_bytes(), (self.clock)());
                            return wire::reply(about, dates, status, None, body, now);
                        }
                    }
                }
                (None, None) => {
                    let mut cache = self.cache.lock().expect("a lock");
                    let cache = cache.as_mut().filter(|_| target.contains("/calls/?"));
                    let mut origin = || faults.review(world.answer(&request));
                    Ok(match cache {
                        Some(cache) => {
                            let answer = cache.answer(&target, (self.time)(), origin);
                            age = answer.1;
                            answer.0
                        }
                        None => origin(),
                    })
                }
                (Some(fault), _) if !fault.is_answered() => Err(fault),
                (Some(fault), _) => Ok(match fault.answer(flavour, &request) {
                    Some(answer) => answer,
                    None => fault.spoil(faults.review(world.answer(&request))),
                }),
            }
        };
        let held_up = self.held_up.lock().expect("a lock").clone();
        for (_, by) in held_up.iter().filter(|(end, _)| target.ends_with(end)) {
            tokio::time::sleep(*by).await;
        }
        if wire::body(request).is_some() {
            // The upstream has it, and the edge does not know.
            tokio::time::sleep(LATENCY).await;
        }
        match answer {
            Ok(mut answer) => {
                for id in self.unlisted.lock().expect("a lock").iter() {
                    answer.body = without_row(answer.text(), *id).into_bytes();
                }
                if let Some((text, other)) = &*self.replaced.lock().expect("a lock") {
                    answer.body = answer.text().replace(text, other).into_bytes();
                }
                let (status, retry_after) = (answer.status, answer.header("retry-after"));
                let reply = wire::reply(
                    request,
                    dates,
                    status,
                    retry_after,
                    &answer.body,
                    (self.clock)(),
                )?;
                Ok(Reply { age, ..reply })
            }
            Err(Fault::Hang) => {
                tokio::time::sleep(TIMEOUT).await;
                Err(UpstreamError::new(ErrorKind::Timeout))
            }
            Err(Fault::Truncated) => Err(UpstreamError {
                status: Some(200),
                ..UpstreamError::new(ErrorKind::BrokenOff)
            }),
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
            unlisted: Arc::default(),
            replaced: Arc::default(),
            told: Arc::default(),
            written: Arc::default(),
            held_up: Arc::default(),
            cache: Arc::default(),
            begin,
            ahead: Arc::default(),
            folder: folder(),
            readers: OnceLock::new(),
            key: "burki_first",
            settings: Settings {
                poll_interval: Duration::from_secs(10),
                reconcile_interval: Duration::from_secs(86_400),
                page_limit: PAGE_LIMIT,
                history: None,
                max_concurrency: 4,
                max_requests_per_minute: 120,
                details: BTreeSet::new(),
                seed: 1,
            },
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("edge.db")
    }

    /// A connection that reads the file as it was first opened.
    pub fn reader(&self) -> Reader {
        let readers = self.readers.get_or_init(|| Readers::of(&self.path(), 4));
        readers.get().expect("a reader")
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("a lock")
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("a lock")
    }

    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("a lock")
    }

    /// What the replica holds of a call beside its record.
    pub fn detail(&self, id: i64, kind: Detail) -> Option<StoredDetail> {
        let reader = self.reader();
        reader.detail(id, kind).expect("a read")
    }

    /// The kinds of details asked for so far, with the time and the call.
    pub fn asked_details(&self) -> Vec<(Instant, i64, Detail)> {
        let asked = self.asked("/api/v1/calls/").into_iter();
        let details = asked.filter_map(|(at, target)| {
            let path = target.split('?').next()?;
            let (id, name) = path.strip_prefix("/api/v1/calls/")?.split_once('/')?;
            Some((at, id.parse().ok()?, Detail::named(name)?))
        });
        details.collect()
    }

    /// Ends every call that is open: nothing changes by itself any more.
    pub fn at_rest(config: WorldConfig) -> Stage {
        let stage = Stage::new(config);
        let now = stage.now();
        let mut world = stage.world();
        for id in world.newest(usize::MAX) {
            world.end_call(id, now, "completed");
        }
        drop(world);
        stage
    }

    /// Sets the edge's clock: so many seconds ahead of the time, behind where negative.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.ahead.store(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// What is asked for by paths that end so is answered at once, and arrives that much later.
    pub fn hold_up(&self, end: &str, by: Duration) {
        let mut held_up = self.held_up.lock().expect("a lock");
        held_up.push((end.to_owned(), by));
    }

    /// From now on an intermediary keeps lists for so long.
    pub fn cache_lists(&self, keep: Duration) {
        *self.cache.lock().expect("a lock") = Some(Cache::new(keep));
    }

    /// Counts the call on, but lists it no more.
    pub fn unlist(&self, id: i64) {
        self.unlisted.lock().expect("a lock").push(id);
    }

    /// Has the upstream give the second call the first one's SID, as no server should.
    pub fn share_sid(&self, first: i64, second: i64) {
        let world = self.world();
        let sid = |id| world.get(id).expect("a call").call_sid.to_string();
        *self.replaced.lock().expect("a lock") = Some((sid(second), sid(first)));
    }

    /// Every call's text as it is sent, by id.
    pub fn sent_texts(&self) -> Vec<(i64, String)> {
        let replaced = self.replaced.lock().expect("a lock");
        let world = self.world();
        let texts = world.texts().map(|(id, _, text)| match &*replaced {
            Some((sid, other)) => (id, text.replace(sid, other)),
            None => (id, text),
        });
        texts.collect()
    }

    /// Ids of the calls that have a start, newest first.
    pub fn ids(&self) -> Vec<i64> {
        let world = self.world();
        let mut ids = world.newest(usize::MAX);
        ids.retain(|id| world.get(*id).is_some_and(|call| call.started_at.is_some()));
        ids
    }

    /// The newest call that started that long ago or earlier.
    pub fn call_of_age(&self, age: Duration) -> i64 {
        let (at, ids) = (self.now() - age, self.ids());
        let world = self.world();
        let old = |id: &&i64| world.get(**id).and_then(|call| call.started_at) <= Some(at);
        *ids.iter().find(old).expect("a call as old")
    }

    /// One of the most calls that started at the same instant.
    pub fn call_of_an_instant(&self) -> i64 {
        let ids = self.ids();
        let world = self.world();
        let mut by_start: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        for id in ids {
            let start = world.get(id).and_then(|call| call.started_at);
            by_start.entry(start).or_default().push(id);
        }
        let most = by_start.into_values().max_by_key(Vec::len);
        most.expect("calls")[0]
    }

    /// A call that started at `at` turns up, long ended.
    pub fn late_call(&self, at: Timestamp) -> i64 {
        let mut world = self.world();
        let id = world.start_call(Some(at));
        world.end_call(id, at + Duration::from_secs(60), "completed");
        id
    }

    /// Changes a call's metadata to what no other change made it.
    pub fn annotate(&self, id: i64) {
        let text = format!(r#"{{"note":"{:?}"}}"#, self.begin.0.elapsed());
        assert!(self.world().set_metadata(id, Some(&text)));
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

    /// What was written at the upstream so far: path and body.
    pub fn written(&self) -> Vec<(String, String)> {
        self.written.lock().expect("a lock").clone()
    }

    pub fn forget_asked(&self) {
        self.asked.lock().expect("a lock").clear();
    }

    /// What the edge takes for the time.
    pub fn clock(&self) -> Clock {
        let (instant, wall) = self.begin;
        let ahead = Arc::clone(&self.ahead);
        Arc::new(move || {
            let time = wall + instant.elapsed();
            Timestamp::from_micros(time.as_micros() + ahead.load(Ordering::Relaxed))
        })
    }

    fn source(&self) -> Source {
        let (instant, wall) = self.begin;
        Source {
            world: Arc::clone(&self.world),
            faults: Arc::clone(&self.faults),
            asked: Arc::clone(&self.asked),
            unlisted: Arc::clone(&self.unlisted),
            replaced: Arc::clone(&self.replaced),
            told: Arc::clone(&self.told),
            written: Arc::clone(&self.written),
            held_up: Arc::clone(&self.held_up),
            cache: Arc::clone(&self.cache),
            key: self.key,
            clock: self.clock(),
            time: Arc::new(move || wall + instant.elapsed()),
        }
    }

    /// Starts an engine on the stage's file, and another one whenever it has to be.
    pub fn start_watched<S, F>(&self, wrap: F) -> Running
    where
        S: CallSource,
        F: Fn(Source) -> S + Send + Sync + 'static,
    {
        let (post, handle) = EngineChannels::new();
        let watchdog = Supervisor::new(post.clone(), self.clock(), &self.settings, TIMEOUT);
        let (source, path, clock) = (self.source(), self.path(), self.clock());
        let settings = self.settings.clone();
        let make = move || {
            let writer = Writer::open(&path, URL)?;
            let (clock, post) = (Arc::clone(&clock), post.clone());
            let source = wrap(source.clone());
            Ok::<_, StoreError>(Engine::resume(
                source,
                writer,
                settings.clone(),
                clock,
                post,
            ))
        };
        let cancel = CancellationToken::new();
        let first = make().expect("an engine");
        let task = tokio::spawn(watchdog.watch(first, make, cancel.clone()));
        Running {
            handle,
            cancel,
            task,
        }
    }

    /// Starts an engine on the stage's file.
    pub fn start(&self) -> Running {
        self.try_start().expect("a writer")
    }

    /// The same where the file may not open.
    pub fn try_start(&self) -> Result<Running, StoreError> {
        let (source, clock) = (self.source(), self.clock());
        let writer = self.writer()?;
        let (engine, handle) = Engine::new(source, writer, self.settings.clone(), clock);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(engine.run(cancel.clone()));
        Ok(Running {
            handle,
            cancel,
            task,
        })
    }

    /// A killed engine's last transaction may still be ending: nothing can stop that one but the end
    /// of the process.
    fn writer(&self) -> Result<Writer, StoreError> {
        for _ in 0..1_000_000 {
            match Writer::open(&self.path(), URL) {
                Err(StoreError::Locked(_)) => std::thread::yield_now(),
                other => return other,
            }
        }
        panic!("the file stays locked");
    }

    /// Asserts that the replica holds the upstream's calls, byte for byte, and no others.
    pub fn assert_equal(&self) {
        let reader = self.reader();
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

    /// Whether the replica has the call as the upstream has it, or both have none.
    pub fn is_current(&self, id: i64) -> bool {
        self.held(id) == self.world().text(id)
    }

    pub fn totals(&self) -> Totals {
        let reader = self.reader();
        reader.totals().expect("totals")
    }

    pub fn is_buried(&self, id: i64) -> bool {
        let reader = self.reader();
        let tombstone = reader.tombstone(&CallKey::Id(id)).expect("a read");
        tombstone.is_some()
    }

    /// Every text that is held.
    pub fn held_texts(&self) -> Vec<(i64, String)> {
        let connection = rusqlite::Connection::open(self.path()).expect("a connection");
        let mut select = connection
            .prepare("SELECT id, body FROM calls")
            .expect("a query");
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).expect("rows")
    }

    /// Sees every transaction that changes the file.
    pub fn watch(&self) -> Watch {
        Watch(rusqlite::Connection::open(self.path()).expect("a connection"))
    }

    pub fn held(&self, id: i64) -> Option<String> {
        let reader = self.reader();
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

    /// Lets time pass by `step` until it is so, and returns how long that took.
    pub async fn pass_until(
        &self,
        step: Duration,
        most: Duration,
        is_so: impl Fn() -> bool,
    ) -> Duration {
        let begun = Instant::now();
        while !is_so() {
            let passed = begun.elapsed();
            assert!(
                passed < most,
                "not so after {passed:?}: {:?}",
                *self.handle.status().borrow()
            );
            tokio::time::sleep(step).await;
        }
        begun.elapsed()
    }

    pub fn now(&self) -> SyncStatus {
        self.handle.status().borrow().clone()
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
