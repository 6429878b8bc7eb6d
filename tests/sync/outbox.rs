//! What clients change while the upstream is away reaches it, once and in order, whatever happens.

use std::time::Duration;

use burki_edge::model::{CallKey, metadata_merge};
use burki_edge::simulator::{Fault, WorldConfig};
use burki_edge::store::{NewWrite, Reader, Write};
use burki_edge::sync::{Dropped, NotQueued, UpstreamState};

use super::engine_harness::{Running, Stage};

const STEP: Duration = Duration::from_millis(5);

impl Stage {
    fn change(&self, call_id: i64, metadata: &str) -> NewWrite {
        NewWrite {
            call_id,
            metadata: metadata.to_owned(),
            accepted_at: self.now(),
            may_have_arrived: false,
            limit: 100,
        }
    }

    async fn queue(&self, running: &Running, call_id: i64, metadata: &str) -> u64 {
        let queued = running.handle.queue_write(self.change(call_id, metadata));
        queued.await.expect("an acceptance").0
    }

    /// The line is cut, and the edge knows.
    async fn cut(&self, running: &Running) {
        self.faults().cut();
        running.handle.sync_now();
        running
            .until(|status| status.state == UpstreamState::Offline)
            .await;
    }

    fn writes(&self) -> Vec<Write> {
        let reader = self.reader();
        reader.writes().expect("a read")
    }

    /// A value of the call's metadata as a client of the edge is served it.
    fn served(&self, running: &Running, id: i64, key: &str) -> Option<String> {
        let pending = running.handle.pending();
        let reader = self.reader();
        let held = reader.call(&CallKey::Id(id)).expect("a read")?;
        let body = pending.overlay(id, &held.body).unwrap_or(held.body);
        value(&body, key)
    }

    fn upstreams(&self, id: i64, key: &str) -> Option<String> {
        value(&self.world().text(id)?, key)
    }

    async fn until_taken(&self, running: &Running) {
        let most = Duration::from_secs(600);
        let taken = || running.handle.pending().is_empty();
        running.pass_until(STEP, most, taken).await;
    }
}

fn value(body: &str, key: &str) -> Option<String> {
    metadata_merge::member(metadata_merge::call_meta(body)?, key).map(str::to_owned)
}

fn stage() -> Stage {
    Stage::at_rest(WorldConfig {
        calls: 60,
        ..WorldConfig::default()
    })
}

fn written_to(stage: &Stage, id: i64) -> Vec<String> {
    let path = format!("/{id}/");
    let written = stage.written();
    let of_call = written.iter().filter(|(target, _)| target.contains(&path));
    of_call.map(|(_, body)| body.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_offline_is_made_in_order_and_never_seen_to_go() {
    let stage = stage();
    let running = stage.start();
    running.until_live().await;
    stage.cut(&running).await;
    let ids = stage.ids();
    let (a, b) = (ids[3], ids[50]);
    stage.queue(&running, a, r#"{"k":1,"x":[1.50]}"#).await;
    stage.queue(&running, b, r#"{"k":"b"}"#).await;
    stage.queue(&running, a, r#"{"k":2,"x":null}"#).await;
    assert_eq!(stage.served(&running, a, "k").as_deref(), Some("2"));
    assert_eq!(
        stage.held(a),
        stage.world().text(a),
        "the file is the upstream's truth"
    );
    let pending = running.handle.pending();
    assert_eq!((pending.waiting(), pending.write_ids(a).count()), (3, 2));
    drop(pending);
    stage.faults().restore();
    running
        .pass_until(STEP, Duration::from_secs(120), || {
            assert_eq!(stage.served(&running, a, "k").as_deref(), Some("2"));
            assert_eq!(stage.served(&running, a, "x"), None);
            assert_eq!(stage.served(&running, b, "k").as_deref(), Some("\"b\""));
            running.handle.pending().is_empty()
        })
        .await;
    let bodies: Vec<_> = stage.written().into_iter().map(|(_, body)| body).collect();
    assert_eq!(
        bodies,
        [
            r#"{"metadata":{"k":1,"x":[1.50]}}"#,
            r#"{"metadata":{"k":"b"}}"#,
            r#"{"metadata":{"k":2,"x":null}}"#
        ]
    );
    assert_eq!(stage.upstreams(a, "k").as_deref(), Some("2"));
    assert!(stage.writes().is_empty());
    assert_eq!(running.handle.pending().conflicts(), 0);
    running.stop().await.expect("a good end");
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_instant_it_is_made_once() {
    let (mut before, mut between) = (0, 0);
    for at in (0..700).step_by(23) {
        let stage = stage();
        let id = stage.ids()[7];
        let running = stage.start();
        running.until_live().await;
        stage.cut(&running).await;
        stage.queue(&running, id, r#"{"k":1}"#).await;
        stage.faults().restore();
        running.handle.sync_now();
        tokio::time::sleep(Duration::from_millis(at)).await;
        running.kill().await;
        let marked = stage.writes().iter().any(|write| write.sent_at.is_some());
        before += usize::from(marked && stage.written().is_empty());
        between += usize::from(marked && !stage.written().is_empty());
        let running = stage.start();
        running.until_live().await;
        assert_eq!(stage.served(&running, id, "k").as_deref(), Some("1"));
        stage.until_taken(&running).await;
        assert_eq!(written_to(&stage, id).len(), 1, "killed after {at} ms");
        assert_eq!(stage.upstreams(id, "k").as_deref(), Some("1"));
        running.stop().await.expect("a good end");
        stage.assert_equal();
    }
    assert!(before > 0 && between > 0, "{before} {between}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_looked_for_and_not_asked_for_again() {
    for fault in [
        Fault::Truncated,
        Fault::Hang,
        Fault::Reset,
        Fault::ServerError,
    ] {
        let stage = stage();
        let (id, other) = (stage.ids()[7], stage.ids()[8]);
        let running = stage.start();
        running.until_live().await;
        stage.faults().times_where(3, "/metadata", fault.clone());
        stage.queue(&running, id, r#"{"k":1}"#).await;
        stage.queue(&running, other, r#"{"k":2}"#).await;
        stage.until_taken(&running).await;
        for id in [id, other] {
            assert_eq!(written_to(&stage, id).len(), 1, "{fault:?}");
        }
        running.stop().await.expect("a good end");
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_may_have_arrived_before_is_looked_for_first() {
    let stage = stage();
    let (there, lost) = (stage.ids()[7], stage.ids()[8]);
    let running = stage.start();
    running.until_live().await;
    stage.world().merge_metadata(there, r#"{"k":1.0}"#);
    for id in [there, lost] {
        let new = NewWrite {
            may_have_arrived: true,
            ..stage.change(id, r#"{"k":1.00}"#)
        };
        running.handle.queue_write(new).await.expect("kept");
    }
    stage.until_taken(&running).await;
    assert_eq!(written_to(&stage, there), [""; 0]);
    assert_eq!(written_to(&stage, lost).len(), 1);
    running.stop().await.expect("a good end");
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn the_last_writer_wins_and_whose_change_was_lost_is_told_by_its_keys() {
    let stage = stage();
    let (met, free) = (stage.ids()[7], stage.ids()[8]);
    let running = stage.start();
    running.until_live().await;
    stage.cut(&running).await;
    let write_id = stage.queue(&running, met, r#"{"a":"ours","b":1}"#).await;
    stage.queue(&running, met, r#"{"a":"ours too"}"#).await;
    stage.queue(&running, free, r#"{"a":1}"#).await;
    for id in [met, free] {
        assert!(stage.world().merge_metadata(id, r#"{"theirs":"secret"}"#));
    }
    assert!(stage.world().merge_metadata(met, r#"{"a":"secret"}"#));
    stage.faults().restore();
    stage.until_taken(&running).await;
    assert_eq!(stage.upstreams(met, "a").as_deref(), Some("\"ours too\""));
    assert_eq!(
        stage.upstreams(met, "theirs").as_deref(),
        Some("\"secret\"")
    );
    let reader = Reader::open(&stage.path()).expect("a reader");
    let conflicts = reader.conflicts().expect("a read");
    assert!(conflicts[0].write_id == write_id && conflicts[0].keys == ["a"]);
    assert_eq!(
        (conflicts.len(), running.handle.pending().conflicts()),
        (1, 1)
    );
    running.stop().await.expect("a good end");
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_made_is_kept_with_its_reason_and_stops_nothing() {
    let stage = stage();
    let (gone, kept) = (stage.ids()[7], stage.ids()[8]);
    let running = stage.start();
    running.until_live().await;
    stage.cut(&running).await;
    stage.queue(&running, gone, r#"{"a":1}"#).await;
    stage.queue(&running, kept, r#"{"a":2}"#).await;
    assert!(stage.world().delete(gone).is_some());
    stage.faults().restore();
    stage.until_taken(&running).await;
    assert_eq!(stage.upstreams(kept, "a").as_deref(), Some("2"));
    let writes = stage.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(
        writes[0].failed.as_deref(),
        Some("the upstream has no such call")
    );
    let pending = running.handle.pending();
    assert_eq!((pending.waiting(), pending.failed()), (0, 1));
    assert_eq!(pending.overlay(gone, "{}"), None);
    drop(pending);
    assert_eq!(
        running.handle.drop_write(writes[0].write_id).await,
        Dropped::Done
    );
    assert_eq!(running.handle.pending().failed(), 0);
    running.stop().await.expect("a good end");
}

/// Whoever denied it may have been another organization: the key may have changed hands in between.
#[tokio::test(start_paused = true)]
async fn a_change_is_denied_by_the_organization_and_by_nobody_else() {
    let stage = stage();
    let id = stage.ids()[7];
    let running = stage.start();
    running.until_live().await;
    stage.cut(&running).await;
    stage.queue(&running, id, r#"{"a":1}"#).await;
    let record = stage.world().delete(id).expect("a call");
    stage.faults().restore();
    stage.faults().always_where("users/me", Fault::ServerError);
    stage.forget_asked();
    let path = format!("/calls/{id}");
    let denied = || {
        let asked = stage.asked("").into_iter().map(|(_, target)| target);
        let mut later = asked.skip_while(|target| !target.contains(&path));
        later.any(|target| target.contains("users/me"))
    };
    running
        .pass_until(STEP, Duration::from_secs(120), denied)
        .await;
    running.pass(2).await;
    stage.world().insert(record).expect("a free id");
    stage.faults().clear();
    stage.until_taken(&running).await;
    assert_eq!(stage.upstreams(id, "a").as_deref(), Some("1"));
    assert_eq!(running.handle.pending().failed(), 0);
    running.stop().await.expect("a good end");
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_upstream_fails_to_change_holds_up_no_other() {
    let stage = stage();
    let (broken, fine) = (stage.ids()[7], stage.ids()[8]);
    let running = stage.start();
    running.until_live().await;
    let path = format!("/{broken}/metadata");
    stage.faults().always_where(&path, Fault::ServerError);
    let first = stage.queue(&running, broken, r#"{"a":1}"#).await;
    let second = stage.queue(&running, broken, r#"{"a":2}"#).await;
    stage.queue(&running, fine, r#"{"a":3}"#).await;
    running.pass(300).await;
    assert_eq!(stage.upstreams(fine, "a").as_deref(), Some("3"));
    let ids: Vec<_> = running.handle.pending().write_ids(broken).collect();
    assert_eq!(ids, [first, second]);
    assert!(
        stage.asked("/metadata").len() < 40,
        "it is left alone between"
    );
    stage.faults().clear();
    stage.until_taken(&running).await;
    assert_eq!(stage.upstreams(broken, "a").as_deref(), Some("2"));
    assert_eq!(written_to(&stage, broken).len(), 2);
    running.stop().await.expect("a good end");
    stage.assert_equal();
}

/// `sync/writes.rs` states how often it is tried.
#[tokio::test(start_paused = true)]
async fn a_change_that_keeps_failing_is_kept_for_the_operator() {
    let stage = stage();
    let broken = stage.ids()[7];
    let running = stage.start();
    running.until_live().await;
    let path = format!("/{broken}/metadata");
    stage.faults().always_where(&path, Fault::ServerError);
    let first = stage.queue(&running, broken, r#"{"a":1}"#).await;
    running.pass(1300).await;
    let sent = stage.asked("/metadata").len();
    assert_eq!(sent, 40, "and no more");
    running.pass(600).await;
    assert_eq!(stage.asked("/metadata").len(), sent);
    let kept = stage.writes();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].write_id, first);
    assert_eq!(
        kept[0].failed.as_deref(),
        Some("the upstream failed (status 500), 40 times in a row")
    );
    assert_eq!(running.now().state, UpstreamState::Online);
    // The call is changed as any other once it can be.
    stage.faults().clear();
    stage.queue(&running, broken, r#"{"b":2}"#).await;
    let done = || stage.upstreams(broken, "b").is_some();
    running
        .pass_until(STEP, Duration::from_secs(60), done)
        .await;
    running.stop().await.expect("a good end");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_dropped_unless_it_is_on_its_way() {
    let stage = stage();
    let id = stage.ids()[7];
    let running = stage.start();
    running.until_live().await;
    stage.cut(&running).await;
    let dropped = stage.queue(&running, id, r#"{"a":1}"#).await;
    assert_eq!(running.handle.drop_write(dropped).await, Dropped::Done);
    assert_eq!(running.handle.drop_write(dropped).await, Dropped::Unknown);
    assert_eq!(stage.served(&running, id, "a"), None);
    let sent = stage.queue(&running, id, r#"{"a":2}"#).await;
    stage.faults().restore();
    let most = Duration::from_secs(120);
    running
        .pass_until(STEP, most, || !stage.asked("/metadata").is_empty())
        .await;
    assert_eq!(running.handle.drop_write(sent).await, Dropped::BeingSent);
    stage.until_taken(&running).await;
    assert_eq!(stage.upstreams(id, "a").as_deref(), Some("2"));
    let unknown = running
        .handle
        .queue_write(stage.change(9_999_999, "{}"))
        .await;
    assert_eq!(unknown, Err(NotQueued::NotStored));
    running.stop().await.expect("a good end");
    stage.assert_equal();
}
