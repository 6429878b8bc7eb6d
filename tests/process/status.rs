//! `burki-edge status`: what it tells of an edge that runs, and of one that does not.

use burki_edge::simulator::Flavour;
use serde_json::Value;

use super::site::{KEY, Site, serve, until, world};

/// Every key, dotted, that a client of the status may rely on.
const KEYS: [&str; 34] = [
    "organization_id",
    "replica",
    "replica.calls",
    "replica.coverage",
    "replica.coverage.complete",
    "replica.coverage.from",
    "replica.coverage.to",
    "replica.coverage.verified",
    "replica.coverage.windows",
    "replica.db_bytes",
    "replica.newest_call_at",
    "replica.oldest_verified_at",
    "replica.suspects",
    "replica.tombstones",
    "replica.unreadable",
    "replica.wal_bytes",
    "sync",
    "sync.budget_per_minute",
    "sync.freshness_bound_s",
    "sync.phase",
    "sync.progress",
    "sync.requests_last_hour",
    "upstream",
    "upstream.base_url",
    "upstream.consecutive_errors",
    "upstream.last_error",
    "upstream.last_error.at",
    "upstream.last_error.hint",
    "upstream.last_error.kind",
    "upstream.last_error.message",
    "upstream.last_success_at",
    "upstream.next_attempt_at",
    "upstream.state",
    "version",
];

fn keys(value: &Value, above: &str, into: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let dotted = format!("{above}{name}");
        keys(value, &format!("{dotted}."), into);
        into.push(dotted);
    }
}

#[tokio::test]
async fn of_a_running_edge_it_tells_what_the_endpoint_tells() {
    let simulator = serve(world(Flavour::Hosted, 500));
    let mut site = Site::of(&simulator);
    let edge = site.serve_all();
    let address = edge.address.to_string();
    // The configuration that tells where to serve also tells where to ask.
    site.set("BURKI_EDGE_SERVER__LISTEN", &address);

    let text = site.run(&["status"]);
    assert_eq!((text.code, &*text.stderr), (Some(0), ""));
    let lines: Vec<&str> = text.stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("upstream  {} is online", simulator.base_url())));
    assert!(lines[1].starts_with("replica   500 calls, complete, newest 20"));
    assert!(lines[2].starts_with("sync      live, 100 % read"));

    simulator.cut();
    edge.sync_now().await;
    until(async || edge.status().await["upstream"]["consecutive_errors"] != 0).await;
    let cut = site.run(&["status"]);
    assert!(cut.stdout.contains(" is offline, last answered 20"));
    assert!(cut.stdout.contains("last failed 20"));

    let json = site.run(&["status", "--json", "--url", &edge.url]);
    assert_eq!((json.code, &*json.stderr), (Some(0), ""));
    let status: Value = serde_json::from_str(&json.stdout).unwrap();
    let mut found = Vec::new();
    keys(&status, "", &mut found);
    found.sort_unstable();
    assert_eq!(found, KEYS);
    assert_eq!(status["organization_id"], 7);
    assert_eq!(status["replica"]["coverage"]["complete"], true);
    edge.stop();
}

#[test]
fn a_token_the_edge_does_not_know_is_told_apart_from_no_edge() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    let edge = site.serve_all();
    site.write("token", "burki_edge_of_somebody_else\n");
    let ended = site.run(&["status", "--url", &edge.url, "--token-file", "token"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.contains("refuses the token") && ended.stderr.contains("--token-file"));
    assert!(!ended.stderr.contains("burki_edge_of"));
    edge.stop();
}

#[test]
fn where_no_edge_answers_it_tells_what_the_file_holds() {
    let simulator = serve(world(Flavour::Hosted, 500));
    let mut site = Site::of(&simulator);
    // A port that nobody listens on while the listener is not accepting: it is closed at once.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    site.set("BURKI_EDGE_SERVER__LISTEN", &address);

    let without = site.run(&["status"]);
    assert_eq!(without.code, Some(1));
    assert_eq!(without.stdout, "burki-edge.db: no replica yet\n");
    assert!(!site.replica().exists(), "asking creates nothing");

    assert_eq!(site.run(&["sync"]).code, Some(0));
    let ended = site.run(&["status"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stdout
            .starts_with("burki-edge.db: 500 calls, newest 20")
    );
    assert!(
        ended
            .stderr
            .contains(&format!("no edge answers at http://{address}"))
    );
    assert!(!ended.stderr.contains(KEY));
}
