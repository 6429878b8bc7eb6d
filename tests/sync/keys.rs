//! A key that is new to the file, before upstreams that say whose it is and before those that don't.

use std::time::Duration;

use burki_edge::simulator::{Fault, Flavour, World, WorldConfig};
use burki_edge::sync::{Phase, UpstreamState};
use rusqlite::Connection;

use super::engine_harness::{Running, Stage};

const MINUTE: Duration = Duration::from_secs(60);

/// Filled with the first key. A self-hosted server that says whose it is, or not.
async fn filled(tells: bool) -> Stage {
    let stage = Stage::at_rest(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 400,
        ..WorldConfig::default()
    });
    if !tells {
        tell_nobody(&stage);
    }
    let running = stage.start();
    running.until_live().await;
    assert!(running.handle.lets_key_in());
    running.stop().await.expect("a good end");
    stage.assert_equal();
    stage.forget_asked();
    stage
}

fn tell_nobody(stage: &Stage) {
    let path = "/assistants/me/organization";
    stage.faults().always_where(path, Fault::ServerError);
}

fn online(running: &Running) -> bool {
    let status = running.now();
    status.state == UpstreamState::Online && status.phase == Phase::Live
}

/// Other calls, by the same ids.
fn other_calls() -> World {
    World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 400,
        seed: 99,
        ..WorldConfig::default()
    })
}

#[tokio::test(start_paused = true)]
async fn another_organizations_key_stores_nothing_and_is_told_nothing() {
    for same_ids in [false, true] {
        let mut stage = filled(false).await;
        let (held, own) = (stage.held_texts(), stage.world().snapshot());
        let mut other = other_calls();
        if !same_ids {
            for id in other.newest(usize::MAX) {
                let mut record = other.delete(id).unwrap();
                record.id += 1_000_000;
                other.insert(record).unwrap();
            }
        }
        stage.world().replace_records_from(&other);
        stage.key = "burki_second";
        let running = stage.start();
        assert!(!running.handle.lets_key_in(), "before anything was asked");
        running.pass(600).await;
        assert!(!running.handle.lets_key_in());
        let status = running.now();
        assert_eq!(status.state, UpstreamState::Unauthorized);
        assert_eq!(status.last_error.unwrap().kind, "other_organization");
        assert_eq!(stage.held_texts(), held);
        assert_eq!(stage.asked("/calls/?").len(), 0, "no list was read");
        let tries = stage.asked("/calls/").len();
        assert!((5..100).contains(&tries), "{tries} calls in ten minutes");

        stage.world().restore(&own);
        running.until(|status| status.phase == Phase::Live).await;
        running
            .pass_until(MINUTE, 10 * MINUTE, || online(&running))
            .await;
        assert!(running.handle.lets_key_in());
        running.stop().await.expect("a good end");
        stage.assert_equal();
        assert_eq!(stage.totals().tombstones, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_key_of_the_same_organization_goes_on_with_the_file() {
    for tells in [false, true] {
        let mut stage = filled(tells).await;
        // The file's newest call may be gone by now.
        let newest = stage.ids()[0];
        stage.world().delete(newest);
        stage.key = "burki_second";
        let running = stage.start();
        assert!(!running.handle.lets_key_in());
        running.until_live().await;
        assert!(running.handle.lets_key_in());
        running.stop().await.expect("a good end");
        stage.faults().cut();
        let running = stage.start();
        assert!(running.handle.lets_key_in(), "it is the file's own now");
        running.stop().await.expect("a good end");
    }
}

/// The calls that are asked for may be gone by now: a few of them say nothing of the key.
#[tokio::test(start_paused = true)]
async fn a_new_key_is_not_refused_for_a_few_calls_that_are_gone() {
    let mut stage = filled(false).await;
    for id in stage.ids().into_iter().skip(1).step_by(3) {
        stage.world().delete(id);
    }
    stage.key = "burki_second";
    for seed in 1..=12 {
        // Others are asked for.
        stage.settings.seed = seed;
        let running = stage.start();
        assert!(!running.handle.lets_key_in(), "{seed}");
        let step = Duration::from_millis(10);
        running
            .pass_until(step, MINUTE, || {
                assert_ne!(running.now().state, UpstreamState::Unauthorized, "{seed}");
                running.handle.lets_key_in()
            })
            .await;
        running.stop().await.expect("a good end");
        // A file that only the first key has opened.
        let connection = Connection::open(stage.path()).expect("a connection");
        let forget = "UPDATE replica SET key_hash = 'another'";
        connection.execute(forget, ()).expect("a write");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_line_is_down_only_the_key_that_filled_the_file_opens_it() {
    for tells in [false, true] {
        let mut stage = filled(tells).await;
        stage.faults().cut();
        for (key, opens) in [("burki_first", true), ("burki_second", false)] {
            stage.key = key;
            let running = stage.start();
            running.pass(120).await;
            assert_eq!(running.handle.lets_key_in(), opens, "{key}, {tells}");
            running.stop().await.expect("a good end");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_knows_no_key_takes_its_own_and_stores_no_others_calls() {
    let stage = filled(false).await;
    assert!(is_stamped(&stage));
    forget_key(&stage);
    let running = stage.start();
    assert!(running.handle.lets_key_in());
    running.until_live().await;
    running.stop().await.expect("a good end");
    assert!(is_stamped(&stage));

    forget_key(&stage);
    let held = stage.held_texts();
    stage.world().replace_records_from(&other_calls());
    let running = stage.start();
    running.pass(60).await;
    assert!(!running.handle.lets_key_in());
    running.stop().await.expect("a good end");
    assert_eq!(stage.held_texts(), held);
    assert!(!is_stamped(&stage));
}

fn is_stamped(stage: &Stage) -> bool {
    let file = Connection::open(stage.path()).expect("the file");
    let select = "SELECT key_hash IS NOT NULL FROM replica";
    file.query_row(select, [], |row| row.get(0))
        .expect("a read")
}

fn forget_key(stage: &Stage) {
    let file = Connection::open(stage.path()).expect("the file");
    let forget = "UPDATE replica SET key_hash = NULL";
    file.execute(forget, []).expect("a write");
}

/// That a server does not say whose key it is says nothing of what else fails.
#[tokio::test(start_paused = true)]
async fn an_outage_of_a_server_that_tells_no_organization_is_told_as_that() {
    let stage = filled(false).await;
    let running = stage.start();
    running
        .pass_until(MINUTE, 10 * MINUTE, || online(&running))
        .await;
    stage.faults().always(Fault::ServerError);
    for _ in 0..20 {
        running.pass(30).await;
        let error = running.now().last_error.expect("an error");
        assert_eq!(error.kind, "server_error", "{error:?}");
    }
    running.stop().await.expect("a good end");
}
