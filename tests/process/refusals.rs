//! What it will not start with: each refusal names the setting, the value and the way out, on
//! standard error alone, and no secret.

use std::net::TcpListener;

use burki_edge::simulator::{Flavour, Simulator};
use rstest::rstest;

use super::edge_process::{KEY, Site, serve, world};

fn upstream() -> Simulator {
    serve(world(Flavour::Hosted, 10))
}

/// Starts it and holds its refusal to the rules of all refusals, and to naming `parts`.
#[track_caller]
fn refused(site: &Site, arguments: &[&str], parts: &[&str]) {
    let ended = site.run(arguments);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.starts_with("burki-edge: "), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains(KEY), "{}", ended.stderr);
}

#[rstest]
#[case::an_unknown_key(
    "[sync]\npol_interval = \"5s\"",
    &["config.toml", "\"sync.pol_interval\"", "did you mean \"sync.poll_interval\"?"]
)]
#[case::a_bad_duration(
    "[sync]\nreconcile_interval = \"never\"",
    &["config.toml", "sync.reconcile_interval = \"never\"", "expected"]
)]
#[case::a_number_out_of_range(
    "[upstream]\nmax_concurrency = 0",
    &["config.toml", "upstream.max_concurrency = 0", "64"]
)]
#[case::a_guessable_secret(
    "[webhooks]\nsecret = \"short\"",
    &["config.toml", "webhooks.secret", "at least 16 characters"]
)]
#[case::two_keys(
    "[upstream]\napi_key_file = \"key\"",
    &["upstream.api_key", "BURKI_API_KEY", "upstream.api_key_file", "keep one of them"]
)]
#[case::half_a_certificate(
    "[server]\ntls_cert = \"cert.pem\"",
    &["config.toml", "server.tls_cert", "server.tls_key", "set both"]
)]
#[case::no_certificate(
    "[server]\ntls_cert = \"none.pem\"\ntls_key = \"none.pem\"",
    &["server.tls_cert", "none.pem", "No such file"]
)]
#[case::a_certificate_that_is_none(
    "[server]\ntls_cert = \"config.toml\"\ntls_key = \"config.toml\"",
    &["server.tls_cert", "config.toml", "PEM"]
)]
#[case::no_toml("[upstream]\napi_key = \"burki_0123456789abcdefghijklmnopqrstuv", &["config.toml", "line 2"])]
fn a_setting_it_can_not_use_is_refused(#[case] toml: &str, #[case] parts: &[&str]) {
    let simulator = upstream();
    let site = Site::of(&simulator);
    site.write("config.toml", toml);
    refused(&site, &["serve"], parts);
}

#[rstest]
#[case::serve("serve")]
#[case::sync("sync")]
#[case::verify("verify")]
fn without_an_api_key_nothing_starts(#[case] command: &str) {
    let simulator = upstream();
    let mut site = Site::of(&simulator);
    site.unset("BURKI_API_KEY");
    let parts = ["API key", "BURKI_API_KEY", "upstream.api_key_file"];
    refused(&site, &[command], &parts);
}

#[test]
fn a_bad_value_of_the_environment_is_refused_by_the_variables_name() {
    let simulator = upstream();
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_UPSTREAM__BASE_URL", "api.burki.dev");
    let parts = [
        "BURKI_EDGE_UPSTREAM__BASE_URL",
        "upstream.base_url = \"api.burki.dev\"",
        "expected an http or https URL",
    ];
    refused(&site, &["serve"], &parts);
}

#[test]
fn an_unfit_key_is_refused_unseen() {
    let simulator = upstream();
    let mut site = Site::of(&simulator);
    site.set("BURKI_API_KEY", &format!("Bearer {KEY}"));
    refused(&site, &["serve"], &["BURKI_API_KEY", "without \"Bearer\""]);
}

#[test]
fn a_configuration_file_that_was_named_must_be_there() {
    let simulator = upstream();
    let site = Site::of(&simulator);
    let parts = ["absent.toml", "No such file", "--config names another file"];
    refused(&site, &["serve", "--config", "absent.toml"], &parts);
}

#[test]
fn the_file_of_another_upstream_is_refused_with_both_named() {
    let (simulator, other) = (upstream(), upstream());
    let mut site = Site::of(&simulator);
    assert_eq!(site.run(&["sync"]).code, Some(0));
    site.set("BURKI_EDGE_UPSTREAM__BASE_URL", &other.base_url());
    let urls = [simulator.base_url(), other.base_url()];
    let parts = [
        "burki-edge.db",
        &urls[0],
        &urls[1],
        "upstream.base_url",
        "store.path",
    ];
    refused(&site, &["serve"], &parts);
    assert_eq!(other.count_requests(""), 0);
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let simulator = upstream();
    let site = Site::of(&simulator);
    let file = site.write(
        "burki-edge.db",
        "somebody's notes, kept for long enough to be no database",
    );
    let before = std::fs::read(&file).unwrap();
    refused(
        &site,
        &["serve"],
        &["burki-edge.db", "not a burki-edge file", "store.path"],
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_file_in_no_folder_is_refused_and_the_cause_told_once() {
    let simulator = upstream();
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_STORE__PATH", "absent/burki-edge.db");
    refused(&site, &["serve"], &["absent/burki-edge.db", "store.path"]);
    let ended = site.run(&["sync"]);
    assert_eq!(ended.stderr.matches("No such file").count(), 1);
}

#[rstest]
#[case::serve("serve")]
#[case::sync("sync")]
fn a_file_that_another_edge_has_open_is_refused(#[case] command: &str) {
    let simulator = upstream();
    let site = Site::of(&simulator);
    let edge = site.serve();
    let parts = [
        "burki-edge.db",
        "another burki-edge",
        "stop it",
        "store.path",
    ];
    refused(&site, &[command], &parts);
    edge.stop();
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let simulator = upstream();
    let mut site = Site::of(&simulator);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.set("BURKI_EDGE_SERVER__LISTEN", &address);
    refused(&site, &["serve"], &["server.listen", &address, "in use"]);
}

#[test]
fn polls_that_take_the_whole_budget_are_warned_of_at_the_start() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
    site.set("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "60");
    let remedy = "allow 120 requests a minute, or poll every 2s";
    assert!(site.run(&["sync"]).stderr.contains(remedy));
    assert!(site.run(&["config", "check"]).stdout.contains(remedy));
    site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "2s");
    assert_eq!(site.run(&["sync"]).stderr, "");
    site.set("BURKI_EDGE_UPSTREAM__MAX_REQUESTS_PER_MINUTE", "59");
    let checked = site.run(&["config", "check"]).stdout;
    assert!(checked.contains("allow 60 requests"), "{checked}");
}
