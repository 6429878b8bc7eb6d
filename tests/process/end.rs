//! How it ends: in good order when it is told to, and with a reason when it must.

use std::time::{Duration, Instant};

use burki_edge::simulator::{Fault, Flavour};

use super::edge_process::{KEY, Site, serve, until, world};

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_finishes_what_it_was_asked_and_closes_the_file() {
    let simulator = serve(world(Flavour::Hosted, 300));
    let site = Site::of(&simulator);
    let mut edge = site.serve_all();
    let (id, text) = {
        let mut world = simulator.world();
        let now = world.now();
        let id = world.start_call(Some(now));
        (id, world.text(id).unwrap())
    };
    simulator
        .faults()
        .always(Fault::Latency(Duration::from_secs(1)));

    let sent = edge.status().await["sync"]["requests_last_hour"].as_u64();
    let reading = {
        let url = format!("{}/api/v1/calls/{id}", edge.url);
        let request = super::edge_process::client(reqwest::Client::builder()).get(url);
        tokio::spawn(super::edge_process::answer(request.bearer_auth(KEY)))
    };
    // It has passed the question on.
    until(async || edge.status().await["sync"]["requests_last_hour"].as_u64() > sent).await;
    edge.process.terminate();
    edge.process.logs("stopping");
    let answer = reading.await.unwrap();
    assert_eq!((answer.status, answer.body), (200, text));
    assert_eq!(
        answer.headers["cache-status"],
        "burki-edge; fwd=miss; stored"
    );

    let ended = edge.process.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = site.folder().join("burki-edge.db-wal");
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0);
}

#[tokio::test]
async fn an_upstream_that_hangs_does_not_keep_it_from_ending() {
    let simulator = serve(world(Flavour::Hosted, 100));
    simulator.faults().always(Fault::Hang);
    let site = Site::of(&simulator);
    let edge = site.serve();
    until(async || simulator.count_requests("") > 0).await;
    let begun = Instant::now();
    edge.process.interrupt();
    let ended = edge.process.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // upstream.timeout is 30 seconds.
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_key_of_another_organization_ends_it_with_both_named() {
    let simulator = serve(world(Flavour::Hosted, 100));
    let site = Site::of(&simulator);
    assert_eq!(site.run(&["sync"]).code, Some(0));

    simulator.world().set_organization_id(8);
    for command in ["serve", "sync"] {
        simulator.clear_requests();
        let ended = site.run(&[command]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        let mut errors = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("burki-edge: "));
        let error = errors.next().unwrap();
        assert_eq!(errors.next(), None);
        for part in [
            "burki-edge.db",
            "organization 7",
            "organization 8",
            "use that organization's key",
            "store.path",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!ended.stderr.contains(KEY));
        // Nothing but what it is and whose key it is was asked, so nothing could be mixed in.
        assert_eq!(simulator.count_requests(""), 2);
        assert_eq!(simulator.count_requests("/edge/changes"), 1);
        assert_eq!(simulator.count_requests("/users/me"), 1);
    }
}
