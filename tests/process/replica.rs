//! The promise itself: every body is the upstream's, also without it, after a restart, and after
//! a kill in mid-fill.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use burki_edge::model::CallKey;
use burki_edge::simulator::{Fault, Flavour, Simulator, WorldConfig};
use burki_edge::store::Reader;
use futures_util::{StreamExt, stream};
use rstest::rstest;

use super::edge_process::{Answer, Edge, Known, Site, calls, serve, until, world};

/// Connections a client keeps open side by side.
const CONNECTIONS: usize = 8;

/// Every how many-th call is also read by its SID.
const SAMPLE: usize = 12;

async fn read_all(edge: &Edge, calls: &[Known], check: impl Fn(&Answer)) {
    let by_id = calls
        .iter()
        .map(|call| (format!("/api/v1/calls/{}", call.id), call));
    let by_sid = calls
        .iter()
        .step_by(SAMPLE)
        .map(|call| (format!("/api/v1/calls/sid/{}", call.sid), call));
    let check = &check;
    stream::iter(by_id.chain(by_sid))
        .for_each_concurrent(CONNECTIONS, |(path, call)| async move {
            let answer = edge.get(&path).await;
            assert_eq!((answer.status, &answer.body), (200, &call.text), "{path}");
            check(&answer);
        })
        .await;
}

#[rstest]
#[case::hosted(Flavour::Hosted)]
#[case::self_hosted(Flavour::SelfHosted)]
#[tokio::test]
async fn every_body_is_the_upstreams_and_stays_so_without_it_after_a_restart(
    #[case] flavour: Flavour,
) {
    let simulator = serve(WorldConfig {
        same_instant: 1500,
        without_start: 7,
        ..world(flavour, 5000)
    });
    let calls = calls(&simulator);
    let with_colon = |call: &&Known| call.sid.starts_with("v3:");
    let sampled = calls.iter().step_by(SAMPLE).filter(with_colon).count();
    assert!(sampled > 20, "the sample has SIDs of either kind");

    let site = Site::of(&simulator);
    let edge = site.serve_all();
    assert_eq!(edge.get_as("/readyz", None).await.status, 200);
    read_all(&edge, &calls, |answer| {
        assert_eq!(answer.header("cache-status"), "burki-edge; hit");
    })
    .await;
    drop(simulator);
    edge.stop();

    let edge = site.serve();
    assert_eq!(edge.get_as("/readyz", None).await.status, 200);
    read_all(&edge, &calls, |answer| {
        let status = answer.header("cache-status");
        assert!(status.starts_with("burki-edge; hit;") && status.ends_with("; detail=offline"));
        assert!(answer.header("age").parse::<u64>().is_ok());
    })
    .await;
    edge.stop();
}

/// Lets the upstream answer the head of the list and that many pages below it, and then no more.
pub fn answer_only(simulator: &Simulator, pages: usize) {
    let mut faults = simulator.faults();
    // And the one that finds out how dates are read.
    faults.times_where(pages + 1, "date_to=", Fault::Latency(Duration::ZERO));
    faults.always_where("date_to=", Fault::Hang);
}

/// Pages of the list asked for, other than those that follow open calls.
pub fn pages(simulator: &Simulator) -> usize {
    let asked = simulator.requests();
    let pages = asked
        .iter()
        .map(|request| &request.target)
        .filter(|target| target.starts_with("/api/v1/calls/?") && !target.contains("status="));
    pages.count()
}

#[tokio::test]
async fn killed_in_mid_fill_it_goes_on_where_it_was() {
    const PAGES: usize = 20;
    let simulator = serve(world(Flavour::Hosted, PAGES * 1000));
    answer_only(&simulator, PAGES / 2);
    let site = Site::of(&simulator);

    let edge = site.serve();
    until(async || pages(&simulator) > PAGES / 2).await;
    let killed = edge.process.kill();
    assert_eq!(killed.code, None);
    assert!(!killed.stderr.contains("phase=Live"));

    simulator.faults().clear();
    let edge = site.serve_all();
    // Each run asks for the head, and the kill loses what was under way, four at most.
    let asked = pages(&simulator);
    assert!(asked <= PAGES + 6, "{asked} pages in both runs");
    edge.stop();

    let reader = Reader::open(&site.replica()).unwrap();
    for call in calls(&simulator) {
        let held = reader.call(&CallKey::Id(call.id)).unwrap().unwrap();
        assert_eq!(held.body, call.text);
    }
}

#[test]
fn its_files_are_their_owners_alone() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    let edge = site.serve_all();
    let mut names = Vec::new();
    for file in std::fs::read_dir(site.folder()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        // What recordings are kept in is a folder.
        let owners = if file.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, owners, "{:?}", file.path());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    let replica = "burki-edge.db";
    let files = ["", "-audio", "-shm", "-wal", ".lock"].map(|end| format!("{replica}{end}"));
    assert_eq!(names, files);
    edge.stop();
}
