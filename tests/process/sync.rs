//! `burki-edge sync`: once through, for a script or a timer.

use burki_edge::simulator::Flavour;
use burki_edge::store::Reader;

use super::edge_process::{KEY, Site, serve, until, world};
use super::replica::{answer_only, pages};

#[test]
fn it_mirrors_all_and_says_so_in_one_line_and_the_next_run_costs_little() {
    let simulator = serve(world(Flavour::Hosted, 3000));
    let site = Site::of(&simulator);
    let first = site.run(&["sync"]);
    assert_eq!((first.code, &*first.stderr), (Some(0), ""));
    assert!(
        first
            .stdout
            .starts_with("burki-edge.db: 3000 calls, complete; ")
    );
    assert_eq!(first.stdout.lines().count(), 1);

    simulator.clear_requests();
    let second = site.run(&["sync"]);
    assert_eq!((second.code, &*second.stderr), (Some(0), ""));
    assert!(
        second
            .stdout
            .starts_with("burki-edge.db: 3000 calls, complete; ")
    );
    // Whose key it is, the head, and what may be under way behind it: the open calls.
    let asked = simulator.count_requests("");
    assert!(asked <= 6, "{asked} requests");

    // A head that moved on leaves a window whose count is a bound; the line says what is held.
    for _ in 0..5 {
        let mut world = simulator.world();
        let now = world.now();
        world.start_call(Some(now));
    }
    let third = site.run(&["sync"]);
    assert!(
        third
            .stdout
            .starts_with("burki-edge.db: 3005 calls, complete; "),
        "{}",
        third.stdout
    );
}

#[test]
fn a_wrong_key_is_told_at_once_with_what_to_do() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    site.set("BURKI_API_KEY", "burki_a_key_that_was_replaced");
    let ended = site.run(&["sync"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.contains("refuses the API key (status 401)"));
    assert!(ended.stderr.contains("set the new one"));
    assert!(!ended.stderr.contains("burki_a_key"));
    assert_eq!(simulator.count_requests("/users/me"), 1);
}

#[tokio::test]
async fn interrupted_it_keeps_what_it_read() {
    let simulator = serve(world(Flavour::Hosted, 8000));
    answer_only(&simulator, 3);
    let site = Site::of(&simulator);
    let running = site.start(&["sync"]);
    until(async || pages(&simulator) > 5).await;
    running.interrupt();
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.contains("what was read is kept"));
    assert!(!ended.stderr.contains(KEY));
    let calls = || {
        let reader = Reader::open(&site.replica()).unwrap();
        reader.totals().unwrap().calls
    };
    // The head and three pages, which share a call wherever one ends and the next begins.
    let kept = calls();
    assert!((3990..=4000).contains(&kept), "{kept} calls");
    simulator.faults().clear();
    assert_eq!(site.run(&["sync"]).code, Some(0));
    assert_eq!(calls(), 8000);
}

#[test]
fn details_that_are_due_are_reported_and_waited_for_on_request() {
    let simulator = serve(world(Flavour::Hosted, 60));
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_SYNC__DETAILS", r#"["transcripts"]"#);
    site.set("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "1000");
    let first = site.run(&["sync"]);
    assert_eq!((first.code, &*first.stderr), (Some(0), ""));
    let left = first.stdout.lines().nth(1).expect("a second line");
    assert!(
        left.contains(" ended calls are left to ask for transcripts; ")
            && left.contains("`burki-edge sync --details` waits for them"),
        "{left}"
    );
    let second = site.run(&["sync", "--details"]);
    assert_eq!((second.code, &*second.stderr), (Some(0), ""));
    assert_eq!(second.stdout.lines().count(), 1, "{}", second.stdout);
    let file = rusqlite::Connection::open(site.replica()).unwrap();
    let left =
        "SELECT count(*) FROM calls WHERE NOT open AND id NOT IN (SELECT call_id FROM details)";
    let left: u64 = file.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
