//! `burki-edge status`: what it tells of an edge that runs, and of one that does not.

use std::net::SocketAddr;

use burki_edge::simulator::Flavour;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::edge_process::{KEY, Site, answer, client, serve, until, world};

/// Every key, dotted, that a client of the status may rely on.
const KEYS: [&str; 45] = [
    "organization_id",
    "readers",
    "readers.idle",
    "readers.open",
    "readers.waiting",
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
    "sync.details",
    "sync.details.due",
    "sync.details.kept",
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
    "writes",
    "writes.conflicts",
    "writes.failed",
    "writes.pending",
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

#[tokio::test]
async fn details_and_writes_have_a_line_each_where_there_is_something_to_tell() {
    let simulator = serve(world(Flavour::Hosted, 20));
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_SYNC__DETAILS", "[]");
    site.set("BURKI_EDGE_WRITES__QUEUE", "true");
    let edge = site.serve_all();
    let text = site.run(&["status", "--url", &edge.url]).stdout;
    assert!(
        !text.contains("\ndetails") && !text.contains("\nwrites"),
        "{text}"
    );
    edge.stop();

    site.set("BURKI_EDGE_SYNC__DETAILS", r#"["transcripts"]"#);
    let edge = site.serve_all();
    until(async || {
        let details = edge.status().await["sync"]["details"].clone();
        details["due"] == 0 && details["kept"] != 0
    })
    .await;
    let kept = edge.status().await["sync"]["details"]["kept"].clone();
    let id = simulator.world().newest(10)[9];
    simulator.cut();
    edge.sync_now().await;
    until(async || edge.status().await["upstream"]["state"] == "offline").await;
    let change = client(reqwest::Client::builder())
        .patch(format!("{}/api/v1/calls/{id}/metadata", edge.url))
        .bearer_auth(KEY)
        .header("content-type", "application/json")
        .body(r#"{"metadata":{"seen":true}}"#);
    assert_eq!(answer(change).await.status, 202);

    let text = site.run(&["status", "--url", &edge.url]).stdout;
    let details = format!("\ndetails   {kept} texts kept, 0 ended calls left to ask for\n");
    assert!(text.contains(&details), "{text}");
    assert!(
        text.ends_with("\nwrites    1 waiting for the upstream\n"),
        "{text}"
    );
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
    // Bound, so that it is nobody else's, and not listening.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    silent.bind(&any.into()).unwrap();
    let address = silent
        .local_addr()
        .unwrap()
        .as_socket()
        .unwrap()
        .to_string();
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
