//! `burki-edge verify`: everything compared with the upstream, told by id, mended on request.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{Fault, Flavour, Rates, Simulator, WorldConfig};
use burki_edge::store::Reader;
use rstest::rstest;
use serde_json::{Value, json};

use super::child::Ended;
use super::edge_process::{Site, calls, serve, until, world};
use super::replica::{answer_only, pages};

const DAY: Duration = Duration::from_secs(86_400);

/// An upstream of `calls` calls, and a place whose replica holds them all.
fn synced(world: WorldConfig) -> (Simulator, Site) {
    let simulator = serve(world);
    let site = Site::of(&simulator);
    let ended = site.run(&["sync"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    simulator.clear_requests();
    (simulator, site)
}

/// A call changes, and one comes that started long ago: nothing that the newest page shows.
fn change(simulator: &Simulator) -> (i64, i64) {
    let changed = calls(simulator)[10].id;
    let mut world = simulator.world();
    assert!(world.set_metadata(changed, Some(r#"{"note":"confidential"}"#)));
    let start = world.now() - 20 * DAY;
    (changed, world.start_call(Some(start)))
}

fn delete(simulator: &Simulator) -> i64 {
    let deleted = calls(simulator)[20].id;
    simulator.world().delete(deleted);
    deleted
}

/// The temporary files that are there.
fn temporary(site: &Site) -> Vec<String> {
    let files = std::fs::read_dir(site.folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("verify")).collect()
}

#[track_caller]
fn fine(site: &Site, ended: &Ended, calls: usize) {
    let said = format!("{calls} calls compared, no difference\n");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), &*said), "{ended:?}");
    assert_eq!(ended.stderr, "");
    assert_eq!(temporary(site), [""; 0]);
}

#[rstest]
#[case::hosted(Flavour::Hosted)]
#[case::self_hosted(Flavour::SelfHosted)]
fn it_lists_exactly_what_differs(#[case] flavour: Flavour) {
    let (simulator, site) = synced(WorldConfig {
        same_instant: 1200,
        without_start: 7,
        ..world(flavour, 3000)
    });
    let count = calls(&simulator).len();
    fine(&site, &site.run(&["verify"]), count);

    let (changed, missing) = change(&simulator);
    let deleted = delete(&simulator);
    let ended = site.run(&["verify"]);
    let total = count + 1;
    let expected = format!(
        "different {changed}: call_meta\nextra {deleted}\nmissing {missing}\n\
         {total} calls compared: 1 missing, 1 extra, 1 different\n"
    );
    assert_eq!((ended.code, ended.stdout), (Some(1), expected));
    assert_eq!(ended.stderr, "");
    assert_eq!(temporary(&site), [""; 0]);

    let ended = site.run(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let expected = json!({
        "compared": total,
        "missing": [missing],
        "extra": [deleted],
        "different": [{"id": changed, "fields": ["call_meta"]}],
        "unreadable": [],
        "unread": [],
    });
    assert_eq!((ended.code, report), (Some(1), expected));
    // It only looked.
    let reader = Reader::open(&site.replica()).unwrap();
    assert!(reader.call(&CallKey::Id(missing)).unwrap().is_none());
    assert_eq!(reader.totals().unwrap().suspects, 0);
}

#[test]
fn a_repair_mends_what_changed_and_what_is_missing() {
    let (simulator, site) = synced(world(Flavour::Hosted, 3000));
    change(&simulator);
    let ended = site.run(&["verify", "--repair"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let end = "3001 calls compared: 1 missing, 0 extra, 1 different\n2 repaired\n";
    assert!(ended.stdout.ends_with(end), "{}", ended.stdout);
    fine(&site, &site.run(&["verify"]), 3001);

    let ended = site.run(&["verify", "--repair", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let none = json!({"missing": [], "extra": [], "different": []});
    assert_eq!((ended.code, &report["remaining"]), (Some(0), &none));
}

#[test]
fn a_repair_removes_what_the_upstream_deleted() {
    let (simulator, site) = synced(world(Flavour::Hosted, 3000));
    change(&simulator);
    delete(&simulator);
    let ended = site.run(&["verify", "--repair"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with("\n3 repaired\n"), "{}", ended.stdout);
    fine(&site, &site.run(&["verify"]), 3000);
}

#[test]
fn what_the_second_reading_misses_is_not_taken_for_deleted() {
    let (simulator, site) = synced(world(Flavour::Hosted, 1500));
    let deleted = delete(&simulator);
    // A page that a proxy, or a server in trouble, cuts short. It keeps the one call of it that is
    // held from the page above: a page without that would be read again before it is believed.
    simulator
        .faults()
        .times_where(1, "limit=1000&date_to=", Fault::ShortList(1));
    let ended = site.run(&["verify"]);
    let expected =
        format!("extra {deleted}\n1500 calls compared: 0 missing, 1 extra, 0 different\n");
    assert_eq!((ended.code, ended.stdout), (Some(1), expected));
    // All of the page was asked for, call by call.
    let asked = simulator.count_requests("/api/v1/calls/") - pages(&simulator);
    assert!(asked >= 500, "{asked} requests");
}

#[test]
fn a_replica_that_was_never_filled_is_filled_by_a_repair() {
    let (simulator, mut site) = synced(world(Flavour::Hosted, 10));
    // Two heads show that the totals differ.
    site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
    for _ in 0..2500 {
        let mut world = simulator.world();
        let start = world.now() - 2 * DAY;
        world.start_call(Some(start));
    }
    let ended = site.run(&["verify"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let end = "and 1500 more missing\n2510 calls compared: 2500 missing, 0 extra, 0 different\n";
    assert!(ended.stdout.ends_with(end), "{}", ended.stdout);
    assert!(ended.stderr.contains("only 1000 calls were asked for"));
    assert_eq!(site.run(&["verify", "--repair"]).code, Some(0));
    fine(&site, &site.run(&["verify"]), 2510);
}

#[tokio::test]
async fn beside_a_running_edge_it_tells_what_that_one_does_not_follow() {
    let simulator = serve(WorldConfig {
        rates: Rates {
            calls: 600.0,
            annotations: 0.0,
            deletions: 0.0,
        },
        ..world(Flavour::Hosted, 3000)
    });
    simulator.live(Timestamp::now);
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "2s");
    let edge = site.serve_all();
    // The edge has yet to hear of it, which the verification waits for.
    let newest = calls(&simulator).pop().unwrap().id;
    simulator.world().set_metadata(newest, Some("{}"));
    let ended = site.run(&["verify"]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    assert!(ended.stdout.ends_with(" calls compared, no difference\n"));

    let changed = calls(&simulator)[10].id;
    simulator.world().set_metadata(changed, Some("{}"));
    let ended = site.run(&["verify"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let first = format!("different {changed}: call_meta\n");
    assert!(ended.stdout.starts_with(&first), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);

    simulator.clear_requests();
    let refused = site.run(&["verify", "--repair"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(1), ""));
    for part in [
        "burki-edge.db: another burki-edge has this file open; stop it",
        "Cache-Control: no-cache",
    ] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert_eq!(temporary(&site), [""; 0]);
    edge.stop();
}

#[test]
fn what_is_older_than_the_history_is_not_compared() {
    let (simulator, mut site) = synced(world(Flavour::Hosted, 3000));
    site.set("BURKI_EDGE_SYNC__HISTORY", "10d");
    let (old, recent) = {
        let world = simulator.world();
        let started = |days| {
            let since = world.now() - days * DAY;
            world
                .records()
                .filter(move |call| call.started_at >= Some(since))
        };
        let old = world
            .records()
            .find(|call| call.started_at.is_some())
            .unwrap();
        assert!(world.now().since(old.started_at.unwrap()) > 11 * DAY);
        (old.id, started(9).next().unwrap().id)
    };
    simulator.world().delete(old);
    let ended = site.run(&["verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    simulator.world().delete(recent);
    let ended = site.run(&["verify"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.starts_with(&format!("extra {recent}\n")));
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
}

#[tokio::test]
async fn interrupted_it_leaves_nothing_behind() {
    let (simulator, site) = synced(world(Flavour::Hosted, 8000));
    answer_only(&simulator, 3);
    let running = site.start(&["verify"]);
    until(async || pages(&simulator) > 4).await;
    let there = temporary(&site);
    assert!(there.contains(&"burki-edge.db.verify".to_owned()));
    for name in there {
        let file = site.folder().join(&name);
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    running.interrupt();
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.contains("stopped before everything was"));
    assert_eq!(temporary(&site), [""; 0]);
}

#[test]
fn without_a_replica_of_this_upstream_it_says_so() {
    let (simulator, mut site) = synced(world(Flavour::Hosted, 10));
    let mut refused = |variable: &str, value: &str, parts: &[&str]| {
        site.set(variable, value);
        let ended = site.run(&["verify"]);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
        for part in parts {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
        assert_eq!(temporary(&site), [""; 0]);
    };
    simulator.world().set_organization_id(8);
    let parts = ["burki-edge.db: holds", "organization 7", "organization 8"];
    refused("BURKI_EDGE_SERVER__WORKERS", "1", &parts);
    simulator.world().set_organization_id(7);
    let parts = ["refuses the API key (status 401)", "set the new one"];
    refused("BURKI_API_KEY", "burki_a_key_that_was_replaced", &parts);
    let parts = ["http://localhost:9", "upstream.base_url"];
    refused(
        "BURKI_EDGE_UPSTREAM__BASE_URL",
        "http://localhost:9",
        &parts,
    );
    let parts = ["store.path: there is no none.db", "burki-edge sync"];
    refused("BURKI_EDGE_STORE__PATH", "none.db", &parts);
}

#[test]
fn an_edge_behind_an_edge_is_compared_with_that_one() {
    let simulator = serve(world(Flavour::Hosted, 3000));
    let first = Site::of(&simulator);
    let serving = first.serve_all();
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_UPSTREAM__BASE_URL", &serving.url);
    let ended = site.run(&["sync"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let asked = simulator.count_requests("");
    let known = calls(&simulator);
    fine(&site, &site.run(&["verify"]), known.len());
    let file = rusqlite::Connection::open(site.replica()).unwrap();
    let spoil = "UPDATE calls SET body = json_set(body, '$.call_meta', 'x') WHERE id = ?1";
    file.execute(spoil, [known[9].id]).unwrap();
    file.close().unwrap();
    let ended = site.run(&["verify"]);
    let expected = format!("different {}: call_meta\n", known[9].id);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.starts_with(&expected), "{ended:?}");
    assert_eq!(
        simulator.count_requests(""),
        asked,
        "none of it reached the simulator"
    );
    serving.stop();
}

/// Rows that fail the upstream's own list, and each by its id.
fn make_unreadable(simulator: &Simulator, ids: &[i64]) {
    let mut faults = simulator.faults();
    for id in ids {
        faults.make_unreadable(*id);
    }
}

fn warnings(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines();
    lines.filter(|line| line.contains("WARN")).collect()
}

#[rstest]
#[case::hosted(Flavour::Hosted)]
#[case::self_hosted(Flavour::SelfHosted)]
fn rows_that_the_upstream_can_not_tell_are_named_and_delay_nothing(#[case] flavour: Flavour) {
    let simulator = serve(world(flavour, 2500));
    let site = Site::of(&simulator);
    let ids: Vec<i64> = calls(&simulator).iter().map(|call| call.id).collect();
    let spread: Vec<i64> = ids.iter().copied().skip(40).step_by(137).take(18).collect();
    let (never, later) = spread.split_at(16);
    make_unreadable(&simulator, never);
    let begun = std::time::Instant::now();
    let ended = site.run(&["sync"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(warnings(&ended).len() <= 2, "{}", ended.stderr);

    make_unreadable(&simulator, later);
    let ended = site.run(&["verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(warnings(&ended).len() <= 2, "{}", ended.stderr);
    let mut named: Vec<i64> = (ended.stdout.lines())
        .filter_map(|line| line.strip_prefix("unreadable ")?.parse().ok())
        .collect();
    named.sort_unstable();
    let mut expected = later.to_vec();
    expected.sort_unstable();
    assert_eq!(named, expected, "{}", ended.stdout);
    let places = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("unreadable, started from "));
    assert_eq!(places.count(), 16, "{}", ended.stdout);
    let end = "2482 calls compared, no difference\nnot compared: 2 calls that are held and 16 places \
               where the upstream fails to tell what it has\n";
    assert!(ended.stdout.ends_with(end), "{}", ended.stdout);

    // What differs is told all the same, though the upstream fails at it when it is asked by id.
    let changed = ids[10];
    let by_id = format!("/calls/{changed}");
    simulator.faults().always_where(&by_id, Fault::ServerError);
    simulator
        .world()
        .set_metadata(changed, Some(r#"{"note":1}"#));
    let ended = site.run(&["verify", "--json"]);
    assert_eq!(ended.code, Some(1));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["different"][0]["id"], changed);
    assert_eq!(report["unreadable"].as_array().unwrap().len(), 2);
    let place = &report["unread"][0];
    assert!(place["from"].as_str().unwrap() < place["to"].as_str().unwrap());
}
