//! An edge that has an edge as its upstream, both as they are shipped, over real sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use burki_edge::app::App;
use burki_edge::config::Config;
use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{Rates, Simulator, World, WorldConfig};
use burki_edge::store::Reader;
use burki_edge::sync::{Handle, Phase, UpstreamState};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::edge_server::{Edge, KEY, Upstream};

const DEADLINE: Duration = Duration::from_secs(30);

/// A simulated Burki, and a folder for the files of its edges.
struct Tree {
    simulator: Simulator,
    folder: TempDir,
}

struct Running {
    handle: Handle,
    address: SocketAddr,
    path: PathBuf,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Tree {
    fn new(calls: usize) -> Tree {
        let world = World::new(WorldConfig {
            calls,
            now: Timestamp::now(),
            ..WorldConfig::default()
        });
        Tree {
            simulator: Simulator::start(world, "127.0.0.1:0").unwrap(),
            folder: TempDir::new().unwrap(),
        }
    }

    fn first(&self) -> Running {
        self.first_at("127.0.0.1:0".parse().unwrap())
    }

    fn first_at(&self, address: SocketAddr) -> Running {
        self.start("first.db", &self.simulator.base_url(), address)
    }

    fn second(&self, first: &Running) -> Running {
        let url = format!("http://{}", first.address);
        self.start("second.db", &url, "127.0.0.1:0".parse().unwrap())
    }

    fn start(&self, file: &str, base_url: &str, address: SocketAddr) -> Running {
        let path = self.folder.path().join(file);
        let mut config = Config::from_environment([
            ("BURKI_API_KEY", KEY),
            ("BURKI_EDGE_UPSTREAM__BASE_URL", base_url),
            ("BURKI_EDGE_SERVER__LISTEN", &address.to_string()),
            ("BURKI_EDGE_SERVER__WORKERS", "1"),
            ("BURKI_EDGE_STORE__PATH", path.to_str().unwrap()),
            ("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "6000"),
        ])
        .unwrap();
        config.sync.poll_interval = Duration::from_millis(100);
        let app = App::build(&config).unwrap();
        let (handle, address) = (app.handle(), app.addresses()[0]);
        let stop = CancellationToken::new();
        Running {
            handle,
            address,
            path,
            task: tokio::spawn(app.run_until_stopped(stop.clone())),
            stop,
        }
    }

    /// Waits until the edge holds what the simulated Burki has, byte for byte, and no more.
    async fn until_equal(&self, edge: &Running) {
        edge.until(|| self.is_equal(&edge.path)).await;
    }

    fn is_equal(&self, path: &Path) -> bool {
        let reader = Reader::open(path).unwrap();
        let world = self.simulator.world();
        let totals = reader.totals().unwrap();
        (totals.calls, totals.suspects) == (world.len() as u64, 0)
            && world.texts().all(|(id, _, text)| {
                let held = reader.call(&CallKey::Id(id)).unwrap();
                held.is_some_and(|held| held.body == text)
            })
    }
}

impl Running {
    /// Looks again whenever the sync has done something.
    async fn until(&self, reached: impl Fn() -> bool) {
        let mut status = self.handle.status();
        let waiting = async {
            while !reached() {
                status.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        let totals = Reader::open(&self.path).unwrap().totals().unwrap();
        assert!(
            waited.is_ok(),
            "{totals:?} {:?}",
            *self.handle.status().borrow()
        );
    }

    async fn until_live(&self) {
        let status = self.handle.status();
        self.until(|| status.borrow().phase == Phase::Live).await;
    }

    async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.address
    }

    /// Where it has got to in the other's order of changes, and whether that is all of its calls.
    fn followed(&self) -> (u64, bool) {
        let file = rusqlite::Connection::open(&self.path).unwrap();
        let row = file.query_row("SELECT place, whole FROM followed", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        row.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_upstream_arrives_and_costs_it_nothing() {
    let tree = Tree::new(1200);
    let first = tree.first();
    first.until_live().await;
    let second = tree.second(&first);
    second.until_live().await;
    tree.until_equal(&second).await;
    let id = tree.simulator.world().start_call(Some(Timestamp::now()));
    tree.until_equal(&second).await;
    tree.simulator
        .world()
        .set_metadata(id, Some(r#"{"n": 1.10}"#));
    tree.until_equal(&second).await;
    let record = tree.simulator.world().delete(id).unwrap();
    tree.until_equal(&second).await;
    assert!(
        Reader::open(&second.path)
            .unwrap()
            .tombstone(&CallKey::Id(id))
            .unwrap()
            .is_some()
    );
    tree.simulator.world().insert(record).unwrap();
    tree.until_equal(&second).await;
    {
        let status = second.handle.status().borrow().clone();
        assert_eq!(
            (status.phase, status.state),
            (Phase::Live, UpstreamState::Online)
        );
        let bound = first.handle.status().borrow().freshness_bound;
        assert!(status.freshness_bound > bound && bound.is_some());
    }
    // Every request the simulator got was the first edge's own.
    let own = first.handle.status().borrow().requests_last_hour;
    let got = tree.simulator.count_requests("") as u32;
    assert!(
        got.abs_diff(own) <= 4,
        "{got} requests, of which {own} are the first edge's"
    );
    assert_eq!(tree.simulator.count_requests("/edge/"), 1, "asked once");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_edge_may_restart() {
    let tree = Tree::new(1500);
    let first = tree.first();
    let second = tree.second(&first);
    tree.until_equal(&second).await;
    second.until_live().await;
    let before = second.followed();
    assert!(before.0 >= 1500 && before.1);
    second.stop().await;
    tree.simulator.world().start_call(Some(Timestamp::now()));
    let second = tree.second(&first);
    tree.until_equal(&second).await;
    assert_eq!(second.followed(), (before.0 + 1, true));

    let address = first.stop().await;
    let status = second.handle.status();
    second
        .until(|| status.borrow().state == UpstreamState::Offline)
        .await;
    let gone = tree.simulator.world().newest(2)[1];
    tree.simulator.world().delete(gone);
    tree.simulator.world().start_call(Some(Timestamp::now()));
    let first = tree.first_at(address);
    second.handle.sync_now();
    tree.until_equal(&second).await;
    second.until_live().await;
    second.stop().await;
    first.stop().await;
}

fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let _ = std::fs::remove_file(name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_edge_with_a_new_file_removes_what_it_never_lists() {
    let tree = Tree::new(1500);
    let first = tree.first();
    let second = tree.second(&first);
    tree.until_equal(&second).await;
    second.until_live().await;
    let path = first.path.clone();
    let address = first.stop().await;
    remove(&path);
    let ids = tree.simulator.world().newest(1500);
    for id in &ids[700..710] {
        tree.simulator.world().delete(*id);
    }
    let first = tree.first_at(address);
    second.handle.sync_now();
    tree.until_equal(&second).await;
    assert!(second.followed().1);
    second.until_live().await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_are_gone_at_once_are_held_here_too_until_they_are_released() {
    let tree = Tree::new(1000);
    let first = tree.first();
    let second = tree.second(&first);
    tree.until_equal(&second).await;
    second.until_live().await;
    let path = first.path.clone();
    let address = first.stop().await;
    remove(&path);
    let ids = tree.simulator.world().newest(1000);
    for id in &ids[100..400] {
        tree.simulator.world().delete(*id);
    }
    let first = tree.first_at(address);
    second.handle.sync_now();
    let status = second.handle.status();
    second.until(|| status.borrow().phase == Phase::Held).await;
    let reader = Reader::open(&second.path).unwrap();
    assert_eq!(reader.totals().unwrap().calls, 1000, "they are served on");
    second.handle.release_holds();
    tree.until_equal(&second).await;
    second.until_live().await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_begun_while_calls_come_change_and_go_ends_equal() {
    let tree = Tree::new(3000);
    let first = tree.first();
    first.until_live().await;
    tree.simulator.live(Timestamp::now);
    tree.simulator.world().set_rates(Rates {
        calls: 30_000.0,
        annotations: 30_000.0,
        deletions: 6000.0,
    });
    let second = tree.second(&first);
    second.until_live().await;
    let begun = second.followed().0;
    second.until(|| second.followed().0 > begun + 30).await;
    tree.simulator.world().set_rates(Rates::STILL);
    // A deletion deep in history is found by the count, and that in its own time.
    let (one, other) = (&first.path, &second.path);
    second.until(|| content(one) == content(other)).await;
    second.stop().await;
    first.stop().await;
}

fn content(path: &Path) -> Vec<(i64, String)> {
    let file = rusqlite::Connection::open(path).unwrap();
    let mut select = file
        .prepare("SELECT id, body FROM calls ORDER BY id")
        .unwrap();
    let rows = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_edge_that_is_gone_in_mid_feed_is_gone_on_with() {
    let tree = Tree::new(12_000);
    let first = tree.first();
    tree.until_equal(&first).await;
    let second = tree.second(&first);
    let reader = || Reader::open(&second.path).unwrap().totals().unwrap().calls;
    second.until(|| reader() >= 2000).await;
    let address = first.stop().await;
    let (place, whole) = second.followed();
    assert!(place < 12_000 && whole, "it is in mid-feed");
    assert_ne!(second.handle.status().borrow().phase, Phase::Live);
    second.stop().await;
    let first = tree.first_at(address);
    let second = tree.second(&first);
    tree.until_equal(&second).await;
    second.until_live().await;
    second.stop().await;
    first.stop().await;
}

const BODIES: [&str; 3] = [
    r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":"2026-08-15T07:16:08"}"#,
    r#"{"id":6,"call_sid":"CA6","status":"failed","started_at":null}"#,
    r#"{"id":7,"call_sid":"CA7","status":"completed","started_at":"2026-11-22T09:00:00"}"#,
];

fn assert_no_younger(first: &Edge, second: &Edge) {
    for id in [5, 6, 7] {
        let path = format!("/api/v1/calls/{id}");
        let (one, other) = (first.get(&path), second.get(&path));
        assert_eq!((one.status, other.status), (200, 200));
        assert_eq!(one.body, other.body);
        assert!(other.age() >= one.age(), "{id}: {other:?} {one:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_edge_of_a_chain_tells_an_age_younger_than_true() {
    let first = Edge::synced(Upstream::holding(&BODIES)).await;
    first.pass(500);
    // Its clock need not agree.
    let second = first.start_behind();
    second.until(|status| status.phase == Phase::Live).await;
    assert_no_younger(&first, &second);
    let age = second.get("/api/v1/calls/5").age().unwrap();
    assert!((500..510).contains(&age), "{age}");
    // Asked for by name, it is as old as it is there.
    let fresh = second.get_with("/api/v1/calls/5", &[("Cache-Control", "no-cache")]);
    assert!(fresh.age() >= Some(500), "{fresh:?}");

    // A suspect is not younger here, and the others are not older than they have to be.
    first.upstream.delete(7);
    first.sync_after(100).await;
    second.sync_after(100).await;
    let (one, other) = (first.get("/api/v1/calls/7"), second.get("/api/v1/calls/7"));
    if one.status == 200 {
        assert!(other.age() >= one.age(), "{other:?} {one:?}");
    }
    assert!(second.get("/api/v1/calls/5").age() < Some(5));
    assert!(second.get("/api/v1/calls/6").age() < Some(5));

    // With the line beyond it gone, both grow old together.
    first.upstream.put(BODIES[2]);
    first.sync_after(40).await;
    second.sync_after(40).await;
    first
        .go_offline(burki_edge::upstream::ErrorKind::Unreachable)
        .await;
    first.pass(1000);
    second.sync_after(1000).await;
    assert_no_younger(&first, &second);
    assert!(second.get("/api/v1/calls/5").age() >= Some(1000));
    let missing = second.get("/api/v1/calls/3");
    assert_eq!(missing.status, 404);
    assert!(missing.age() >= Some(1000), "{missing:?}");
}
