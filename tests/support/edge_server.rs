//! An edge on a port of its own, the upstream behind it, and a client that sends a path as it is
//! written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use burki_edge::http::{self, Audio, Auth, Gate, Grant, Places, Proxies, Scans, Shared, Webhooks};
use burki_edge::model::{Call, CallKey, Detail, KeyHash, Scope, Timestamp};
use burki_edge::store::{Readers, Writer};
use burki_edge::sync::{Clock, Engine, Handle, Phase, Settings, SyncStatus};
use burki_edge::upstream::{
    Answer, CallSource, DateForm, ErrorKind, HttpSource, ListQuery, PAGE_LIMIT, Page, Reply,
    Request, UpstreamError,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub use super::key::KEY;
pub const TOKEN: &str = "a named token";
pub const SECRET: &str = "0123456789abcdef~hook";
pub const BASE_URL: &str = "https://upstream.test";

/// No pages, and no proxies.
pub fn gate(auth: Auth) -> Gate {
    Gate::new(auth, Vec::new(), Proxies::default())
}

/// A token of the edge's own.
pub fn grant(token: &str, scopes: &[Scope]) -> Grant {
    Grant {
        sha256: Sha256::digest(token).into(),
        scopes: scopes.iter().copied().collect(),
        expires: None,
    }
}

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// A Burki upstream: what it has, whether it answers, and what it was asked.
#[derive(Clone, Default)]
pub struct Upstream(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    /// In the list's order.
    calls: Vec<Call>,
    fails: Option<ErrorKind>,
    points: Vec<CallKey>,
    details: BTreeMap<(i64, Detail), String>,
    /// Kinds that the server does not know.
    lacks: BTreeSet<Detail>,
    details_asked: Vec<(i64, Detail)>,
    requests: usize,
    /// It was asked for the calls of one instant, as an engine does that finds out how dates are read.
    tested: bool,
}

impl Upstream {
    pub fn holding(bodies: &[&str]) -> Upstream {
        let upstream = Upstream::default();
        for body in bodies {
            upstream.put(body);
        }
        upstream
    }

    /// Creates or replaces a call.
    pub fn put(&self, body: &str) {
        let call = Call::from_json(body).unwrap();
        let mut world = self.0.lock().unwrap();
        world.calls.retain(|other| other.id != call.id);
        world.calls.push(call);
        let newest_first =
            |call: &Call| std::cmp::Reverse((call.started_at.is_none(), call.started_at));
        world.calls.sort_by_key(newest_first);
    }

    pub fn delete(&self, id: i64) {
        self.0.lock().unwrap().calls.retain(|call| call.id != id);
    }

    pub fn fail(&self, kind: ErrorKind) {
        self.0.lock().unwrap().fails = Some(kind);
    }

    /// The single calls it was asked for since the last time.
    pub fn asked(&self) -> Vec<CallKey> {
        std::mem::take(&mut self.0.lock().unwrap().points)
    }

    /// What is told of a call beside its record; an empty list where nothing is.
    pub fn tell(&self, id: i64, kind: Detail, text: &str) {
        let mut world = self.0.lock().unwrap();
        world.details.insert((id, kind), text.to_owned());
    }

    pub fn lack(&self, kind: Detail) {
        self.0.lock().unwrap().lacks.insert(kind);
    }

    /// The details it was asked for since the last time.
    pub fn asked_details(&self) -> Vec<(i64, Detail)> {
        std::mem::take(&mut self.0.lock().unwrap().details_asked)
    }

    /// Whether an engine that has read it all has nothing more to ask.
    fn is_settled(&self) -> bool {
        let world = self.0.lock().unwrap();
        world.tested || world.calls.iter().all(|call| call.started_at.is_none())
    }

    /// How many requests of any kind it got.
    pub fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }
}

impl CallSource for Upstream {
    fn key_hash(&self) -> KeyHash {
        KeyHash::of("burki_key")
    }

    async fn fetch(&self, request: &Request, _: DateForm) -> Result<Reply, UpstreamError> {
        let mut world = self.0.lock().unwrap();
        world.requests += 1;
        world.tested |= matches!(request, Request::List(query) if query.from.is_some() && query.from == query.to);
        if let Request::Call(key) = request {
            world.points.push(key.clone());
        }
        if let Some(kind) = world.fails {
            return Err(UpstreamError::new(kind));
        }
        let answer = match request {
            Request::Identity(_) => Answer::Identity(Some(7)),
            Request::List(query) => Answer::Page(world.page(query)),
            Request::Count { .. } => Answer::Count(world.calls.len() as u64),
            Request::Call(key) => {
                let asked = |call: &&Call| match key {
                    CallKey::Id(id) => call.id == *id,
                    CallKey::Sid(sid) => call.call_sid == *sid,
                };
                let found = world.calls.iter().find(asked).cloned();
                found.map_or(Answer::NotFound, |call| Answer::Call(Box::new(call)))
            }
            Request::Detail(id, kind) => {
                world.details_asked.push((*id, *kind));
                match world.details.get(&(*id, *kind)) {
                    Some(text) => Answer::Detail(text.as_str().into()),
                    None if world.lacks.contains(kind) => Answer::NoSuchDetail,
                    None if world.calls.iter().any(|call| call.id == *id) => {
                        Answer::Detail("[]".into())
                    }
                    None => Answer::NotFound,
                }
            }
            Request::Assistants { .. } => Answer::Assistants(None),
            Request::Changes { .. } => Answer::NoFeed,
            Request::Patch { .. } => Answer::Refused(405),
        };
        Ok(Reply {
            answer,
            retry_after: None,
            age: None,
        })
    }
}

impl World {
    fn page(&self, query: &ListQuery) -> Page {
        let within = |call: &&Call| {
            query.from.is_none_or(|from| call.started_at >= Some(from))
                && (query.to).is_none_or(|to| call.started_at.is_some_and(|start| start <= to))
                && (query.status.as_ref()).is_none_or(|status| call.status == *status)
        };
        let matching: Vec<Call> = self.calls.iter().filter(within).cloned().collect();
        let total = Some(matching.len() as u64);
        let page = matching.into_iter().skip(query.skip).take(query.limit);
        let calls: Vec<Call> = page.collect();
        Page {
            total,
            rows: calls.len(),
            doubled: Vec::new(),
            calls,
        }
    }
}

/// What an edge starts with.
#[derive(Default)]
pub struct Beginning {
    /// How far back its engine reads.
    pub history: Option<Duration>,
    /// What it keeps beside the calls.
    pub details: BTreeSet<Detail>,
    /// What is done to its file before.
    pub sql: &'static str,
}

/// A running edge. Its clock stands until it is moved.
pub struct Edge {
    pub upstream: Upstream,
    pub handle: Handle,
    address: SocketAddr,
    now: Arc<AtomicI64>,
    server: ServerHandle,
    cancel: CancellationToken,
    directory: TempDir,
}

impl Edge {
    /// An edge that has read all of `upstream`.
    pub async fn synced(upstream: Upstream) -> Edge {
        let edge = Edge::start(upstream, |_| {});
        edge.until(|status| status.phase == Phase::Live).await;
        // The last it asks for by itself, which would tell of what the test changes next.
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        let settled = async {
            while !edge.upstream.is_settled() {
                tick.tick().await;
            }
        };
        let settled = tokio::time::timeout(DEADLINE, settled).await;
        settled.expect("in time");
        edge
    }

    /// Waits until the engine has nothing to do before its next poll: what the clock does from then
    /// on, it does not notice until it is asked for something.
    pub async fn quiet(&self) {
        const QUIET: Duration = Duration::from_millis(200);
        let mut status = self.handle.status();
        while tokio::time::timeout(QUIET, status.changed()).await.is_ok() {}
    }

    pub fn start(upstream: Upstream, adjust: impl FnOnce(&mut Shared)) -> Edge {
        Edge::start_from(upstream, Beginning::default(), adjust)
    }

    pub fn start_from(
        upstream: Upstream,
        beginning: Beginning,
        adjust: impl FnOnce(&mut Shared),
    ) -> Edge {
        Edge::asking(upstream.clone(), upstream, beginning, adjust)
    }

    /// An edge that has this one as its upstream.
    pub fn start_behind(&self) -> Edge {
        let url = format!("http://{}", self.address).parse().unwrap();
        let source = HttpSource::new(&url, KEY, DEADLINE).unwrap();
        Edge::asking(source, self.upstream.clone(), Beginning::default(), |_| {})
    }

    fn asking(
        source: impl CallSource,
        upstream: Upstream,
        beginning: Beginning,
        adjust: impl FnOnce(&mut Shared),
    ) -> Edge {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("replica.db");
        drop(Writer::open(&path, BASE_URL).unwrap());
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute_batch(beginning.sql).unwrap();
        drop(file);
        let writer = Writer::open(&path, BASE_URL).unwrap();
        let start = Timestamp::parse("2026-11-22T10:00:00Z").unwrap();
        let now = Arc::new(AtomicI64::new(start.as_micros()));
        let clock: Clock = {
            let now = Arc::clone(&now);
            Arc::new(move || Timestamp::from_micros(now.load(Ordering::SeqCst)))
        };
        let settings = Settings {
            poll_interval: Duration::from_secs(3600),
            reconcile_interval: Duration::from_secs(86_400),
            page_limit: PAGE_LIMIT,
            history: beginning.history,
            max_concurrency: 4,
            max_requests_per_minute: 100_000,
            details: beginning.details,
            seed: 1,
        };
        let (engine, handle) = Engine::new(source, writer, settings, Arc::clone(&clock));
        let cancel = CancellationToken::new();
        tokio::spawn(engine.run(cancel.clone()));

        let readers = Readers::of(&path, 8);
        let mut shared = Shared {
            webhooks: Webhooks::new(Some(SECRET)),
            scans: Scans::of(&readers),
            readers,
            places: Places::at_most(100),
            audio: Audio::none(),
            damage: Default::default(),
            store_path: path,
            handle: handle.clone(),
            clock,
            gate: gate(Auth::new(Some(KEY), [grant(TOKEN, &[Scope::Read])], false)),
            base_url: BASE_URL.to_owned(),
            history: None,
            most_waiting_writes: None,
            budget_per_minute: 120,
        };
        adjust(&mut shared);
        let shared = Arc::new(shared);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = http::start(shared, NonZero::new(1), None, vec![listener]).unwrap();
        let stop = server.handle();
        tokio::spawn(server);
        Edge {
            upstream,
            handle,
            address,
            now,
            server: stop,
            cancel,
            directory,
        }
    }

    /// Waits for the sync to be in a state.
    pub async fn until(&self, reached: impl Fn(&SyncStatus) -> bool) {
        let mut status = self.handle.status();
        let reached = status.wait_for(|status| reached(status));
        let waited = tokio::time::timeout(DEADLINE, reached).await;
        waited.expect("in time").expect("the engine runs");
    }

    /// Until the edge answers as wanted; looks again after each step of the engine.
    pub async fn until_served(&self, as_wanted: impl Fn() -> bool) {
        let mut status = self.handle.status();
        let waiting = async {
            while !as_wanted() {
                status.changed().await.expect("the engine runs");
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.expect("in time");
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    pub fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Lets time pass, and reads the head again.
    pub async fn sync_after(&self, seconds: i64) {
        self.pass(seconds);
        let now = self.now();
        self.handle.sync_now();
        self.until(|status| status.last_success_at == Some(now))
            .await;
    }

    /// The same until the newest page was taken in, not just something.
    pub async fn read_head_after(&self, seconds: i64) {
        self.pass(seconds);
        let now = self.now();
        self.handle.sync_now();
        self.until_served(|| {
            let coverage = self.handle.coverage();
            coverage.head().is_some_and(|head| head.verified.at == now)
        })
        .await;
    }

    /// Cuts the upstream off, and waits until the edge knows.
    pub async fn go_offline(&self, kind: ErrorKind) {
        self.upstream.fail(kind);
        self.handle.sync_now();
        self.until(|status| status.consecutive_errors > 0).await;
    }

    /// The replica's file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("replica.db")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn get(&self, path: &str) -> Received {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Received {
        self.send("GET", path, Some(&format!("Bearer {KEY}")), headers)
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Received {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in authorization
            .map(|value| ("Authorization", value))
            .iter()
            .chain(headers)
        {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.send_as_is(request.as_bytes())
    }

    pub fn head_with(&self, path: &str, headers: &[(&str, &str)]) -> Received {
        self.send("HEAD", path, Some(&format!("Bearer {KEY}")), headers)
    }

    /// Sends a body as the upstream's webhooks come: without a token.
    pub fn post(&self, path: &str, body: &[u8]) -> Received {
        let length = body.len();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.send_as_is(&request)
    }

    /// Sends these bytes, however complete, and reads until the edge ends the connection.
    pub fn send_as_is(&self, request: &[u8]) -> Received {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Received::read(&answer)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.cancel.cancel();
        // The order is given at once; nobody waits for its end.
        drop(self.server.stop(false));
    }
}

/// An answer, as it came over the wire.
#[derive(Debug)]
pub struct Received {
    pub status: u16,
    headers: Vec<(String, String)>,
    /// As text, where it is one.
    pub body: String,
    /// As it came, put together from its chunks.
    pub bytes: Vec<u8>,
    /// Whether the end of the chunks was seen.
    pub is_whole: bool,
}

impl Received {
    pub fn read(answer: &[u8]) -> Received {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.unwrap());
        let head = String::from_utf8(head.to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let mut received = Received {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: String::new(),
            bytes: body[4..].to_vec(),
            is_whole: true,
        };
        if received.header("transfer-encoding") == Some("chunked") {
            received.join_chunks();
        }
        received.body = String::from_utf8_lossy(&received.bytes).into_owned();
        received
    }

    fn join_chunks(&mut self) {
        let chunked = std::mem::take(&mut self.bytes);
        let mut rest = &*chunked;
        self.is_whole = false;
        while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                self.is_whole = true;
                return;
            }
            let chunk = &rest[end + 2..];
            self.bytes
                .extend_from_slice(&chunk[..size.min(chunk.len())]);
            rest = chunk.get(size + 2..).unwrap_or_default();
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn cache_status(&self) -> &str {
        self.header("cache-status").unwrap_or_default()
    }

    pub fn age(&self) -> Option<u64> {
        self.header("age").map(|age| age.parse().unwrap())
    }

    /// All headers but `Date`, in order of name.
    pub fn sorted_headers(&self) -> Vec<(&str, &str)> {
        let headers = self
            .headers
            .iter()
            .filter(|(name, _)| name != "date" && name != "x-request-id");
        let mut headers: Vec<_> = headers
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        headers.sort_unstable();
        headers
    }
}
