//! What the engine does while the disk fails, how long that lasts, and what must be true then.

use std::collections::BTreeMap;
use std::time::Duration;

use burki_edge::model::Call;
use burki_edge::simulator::WorldConfig;
use burki_edge::store::{Changed, Reader};
use rusqlite::Connection;

use super::engine_harness::{Running, Stage};
use super::vfs::{Disk, Failure};

#[derive(Clone, Copy, Debug)]
pub enum Scene {
    /// An empty file is filled.
    Fill,
    /// A complete one meets calls that changed, were deleted, or came late, meanwhile.
    Compare,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// One operation fails, and the engine runs on.
    Once,
    /// Nothing reaches the disk any more, and the process dies and is started anew.
    Killed,
    /// Everything fails for a minute, and the engine runs on.
    AWhile,
}

const CALLS: usize = 150;

/// Between two looks, in seconds of virtual time.
const STEP: u64 = 5;

/// By then each scene is over if nothing fails, and some polls have followed.
const LENGTH: u64 = 400;

/// The longest that it may take to become equal once the disk works again.
const OVERDUE: u64 = 3600;

/// Runs the scene with a disk that fails after `left` operations. Returns whether it had to.
pub async fn run(scene: Scene, course: Course, failure: Failure, left: u64) -> bool {
    let stage = scene.prepare().await;
    let path = stage.path();
    let disk = Disk::under(path.parent().expect("a folder"));
    let times = if course == Course::Once { 1 } else { u64::MAX };
    disk.fail(failure, left, times);
    let context = format!("{scene:?}, {course:?}, {failure:?} after {left}");

    let mut running = stage.try_start().ok();
    if let Some(begun) = &running {
        for _ in 0..LENGTH / STEP {
            if disk.failed() > 0 {
                break;
            }
            begun.pass(STEP).await;
        }
    }
    if disk.failed() == 0 {
        let found = disk.aside(|| difference(&stage));
        assert_eq!(found, None, "{context}: not equal without a failure");
    } else if course == Course::Killed {
        if let Some(begun) = running.take() {
            begun.kill().await;
        }
    } else if let (Course::AWhile, Some(begun)) = (course, &running) {
        begun.pass(60).await;
    }
    if disk.failed() > 0 {
        disk.heal();
        // A file that did not open is the operator's to start again.
        let going_on = running.unwrap_or_else(|| stage.start());
        until_equal(&stage, &going_on, &context).await;
        running = Some(going_on);
    }
    if let Some(running) = running {
        let stopped = running.stop().await;
        assert!(stopped.is_ok(), "{context}: {stopped:?}");
    }
    let failed = disk.failed() > 0;
    disk.heal();
    assert_eq!(difference(&stage), None, "{context}: after the end");
    check_file(&stage, &context);
    failed
}

impl Scene {
    async fn prepare(self) -> Stage {
        let mut stage = Stage::new(WorldConfig {
            calls: CALLS,
            same_instant: 25,
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 20;
        stage.settings.max_requests_per_minute = 10_000;
        if let Scene::Compare = self {
            stage.settings.reconcile_interval = Duration::from_secs(60);
            let running = stage.start();
            running.until_live().await;
            running.stop().await.expect("a stop");
            change(&stage);
        }
        stage
    }
}

/// Far below the head, and in it.
fn change(stage: &Stage) {
    let mut world = stage.world();
    let ids = world.newest(CALLS);
    let now = world.now();
    for place in [5, 40, 75, 110, 145] {
        assert!(world.set_metadata(ids[place], Some(r#"{"note":"changed"}"#)));
        assert!(world.delete(ids[place + 3]).is_some());
    }
    for days in [1, 9, 17, 25] {
        let id = world.start_call(Some(now - Duration::from_secs(days * 86_400)));
        assert!(world.end_call(id, now, "completed"));
    }
}

async fn until_equal(stage: &Stage, running: &Running, context: &str) {
    for _ in 0..OVERDUE / STEP {
        if difference(stage).is_none() {
            return;
        }
        running.pass(STEP).await;
    }
    let status = running.handle.status().borrow().clone();
    panic!("{context}: {:?}; {status:?}", difference(stage));
}

/// The first difference between the replica and the upstream.
fn difference(stage: &Stage) -> Option<String> {
    let reader = Reader::open(&stage.path()).expect("a reader");
    let mut held: BTreeMap<i64, String> = reader
        .scan()
        .map(|text| text.map(|text| (text.id, text.body)))
        .collect::<Result<_, _>>()
        .expect("a scan");
    let calls = held.len() as u64;
    for (id, _, text) in stage.world().texts() {
        match held.remove(&id) {
            None => return Some(format!("{id} is missing")),
            Some(body) if body != text => return Some(format!("{id} is another")),
            Some(_) => {}
        }
    }
    if let Some(id) = held.keys().next() {
        return Some(format!("{id} is still held"));
    }
    let totals = reader.totals().expect("totals");
    ((totals.calls, totals.suspects) != (calls, 0)).then(|| format!("{totals:?} of {calls}"))
}

/// The file is whole, and whoever follows its changes from zero holds what it holds.
fn check_file(stage: &Stage, context: &str) {
    let connection = Connection::open(stage.path()).expect("the file");
    let found: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check");
    assert_eq!(found, "ok", "{context}");

    let reader = Reader::open(&stage.path()).expect("a reader");
    let (mut after, mut copy) = (0, BTreeMap::new());
    loop {
        let changes = reader.changes(after, 40).expect("changes");
        for change in changes.items {
            assert!(change.seq > after, "{context}: {} again", change.seq);
            after = change.seq;
            match change.what {
                Changed::Upsert(body) => {
                    let id = Call::from_json(&body).expect("a call").id;
                    copy.insert(id, body);
                }
                Changed::Delete(id) => {
                    copy.remove(&id);
                }
            }
        }
        if !changes.more {
            break;
        }
    }
    let world = stage.world();
    let texts: BTreeMap<i64, String> = world.texts().map(|(id, _, text)| (id, text)).collect();
    assert!(copy == texts, "{context}: the feed tells of others");
}
