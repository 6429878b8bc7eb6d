//! Loading as a whole: defaults, precedence, typed values, and the `config.toml` that ships.

mod refusals;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::KEYS;
use super::loaded::load;
use super::*;
use crate::model::Detail;

const SHIPPED: &str = include_str!("../../../config.toml");
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// Stands for every secret in these tests; no message may hold it.
const SECRET: &str = "bk_live_not_for_your_eyes";

/// Loads `toml` from a file named `config.toml`, which messages then start with.
fn load_with(toml: &str, environment: &[(&str, &str)]) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(USUAL_FILE);
    fs::write(&path, toml).unwrap();
    let directory = format!("{}/", directory.path().display());
    Config::load(Some(&path), environment.iter().copied())
        .map_err(|error| error.to_string().replace(&directory, ""))
}

fn config(toml: &str, environment: &[(&str, &str)]) -> Config {
    load_with(toml, environment).unwrap().config
}

/// The whole message of a configuration that must be refused.
fn refusal(toml: &str, environment: &[(&str, &str)]) -> String {
    let message = load_with(toml, environment).unwrap_err();
    assert!(!message.contains(SECRET), "a secret is shown: {message}");
    message
}

fn defaults() -> Config {
    config("", &[])
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let Config {
        server,
        upstream,
        store,
        sync,
        auth,
        webhooks,
        writes,
        log,
    } = defaults();
    assert_eq!(server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!((server.workers, server.tls), (0, None));
    assert!(server.cors_origins.is_empty());
    assert_eq!(upstream.base(), "https://api.burki.dev");
    assert_eq!(upstream.api_key, None);
    assert_eq!(upstream.timeout, Duration::from_secs(30));
    assert_eq!(upstream.max_requests_per_minute.get(), 120);
    assert_eq!(upstream.max_concurrency, 4);
    assert_eq!(store.path, Path::new("burki-edge.db"));
    assert_eq!(store.audio_cache, 1 << 30);
    assert_eq!(sync.poll_interval, Duration::from_secs(10));
    assert_eq!(sync.reconcile_interval, Duration::from_secs(86_400));
    assert_eq!(sync.history, History::All);
    assert_eq!(
        sync.details,
        BTreeSet::from([Detail::Transcripts, Detail::Recordings])
    );
    assert!(auth.accept_upstream_key && !auth.introspect && !auth.anonymous_on_loopback);
    assert_eq!(auth.tokens, []);
    assert_eq!(webhooks.secret, None);
    assert_eq!((writes.queue, writes.queue_limit), (false, 1000));
    assert!(server.trusted_proxies.is_empty());
    assert_eq!(log.level, "info");
}

#[test]
fn the_shipped_file_holds_exactly_the_defaults() {
    let shipped = load_with(SHIPPED, &[]).unwrap();
    assert_eq!(shipped.config, defaults());
    for setting in shipped.settings {
        let in_file = matches!(setting.origin, Origin::File(_));
        // Lines of `[[auth.tokens]]` can't follow a `tokens = []`, so that default is left out.
        let written = sources::default(setting.key).is_some() && setting.key != "auth.tokens";
        assert_eq!(in_file, written, "{}", setting.key);
    }
}

#[test]
fn the_shipped_file_names_every_key_once_and_no_other() {
    let mut section = "";
    let mut named = Vec::new();
    for line in SHIPPED.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line == "[[auth.tokens]]" {
            named.push("auth.tokens".to_owned());
            section = "auth.tokens";
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((name, _)) = line.split_once(" = ")
            && section != "auth.tokens"
        {
            named.push(format!("{section}.{name}"));
        }
    }
    let mut known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    named.sort();
    known.sort();
    assert_eq!(named, known);
}

#[test]
fn the_shipped_file_says_why_for_every_key() {
    let lines: Vec<&str> = SHIPPED.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(lines[at - 1].starts_with("# "), "{line}");
        }
    }
}

#[test]
fn every_example_line_of_the_shipped_file_is_one_the_edge_would_take() {
    let filled = SHIPPED
        .replace("# api_key = \"…\"", &format!("api_key = \"{SECRET}\""))
        .replace("# tls_", "tls_")
        .replace("# secret = \"…\"", &format!("secret = \"{SECRET}\""))
        .replace("# [[auth.tokens]]", "[[auth.tokens]]")
        .replace("# name =", "name =")
        .replace("# sha256 = \"…\"", &format!("sha256 = \"{DIGEST}\""));
    let config = config(&filled, &[]);
    assert!(config.server.tls.is_some() && config.webhooks.secret.is_some());
    assert_eq!(config.auth.tokens[0].name, "reports");
    assert_eq!(config.api_key().unwrap().expose(), SECRET);
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_default() {
    let file = "[sync]\npoll_interval = \"5s\"\nreconcile_interval = \"2h\"";
    let loaded = load_with(file, &[("BURKI_EDGE_SYNC__POLL_INTERVAL", "7s")]).unwrap();
    let sync = &loaded.config.sync;
    assert_eq!(sync.poll_interval, Duration::from_secs(7));
    assert_eq!(sync.reconcile_interval, Duration::from_secs(7200));
    assert_eq!(sync.history, History::All);
    let origin = |key: &str| {
        let setting = loaded.settings.iter().find(|setting| setting.key == key);
        setting.unwrap().origin.clone()
    };
    assert_eq!(
        origin("sync.poll_interval"),
        Origin::Environment("BURKI_EDGE_SYNC__POLL_INTERVAL".to_owned())
    );
    assert!(
        matches!(origin("sync.reconcile_interval"), Origin::File(path) if path.ends_with(USUAL_FILE))
    );
    assert_eq!(origin("sync.history"), Origin::Default);
}

#[test]
fn burki_api_key_goes_before_every_other_key() {
    let file = "[upstream]\napi_key = \"of-the-file\"";
    let ours = ("BURKI_EDGE_UPSTREAM__API_KEY", "of-the-section");
    let key = |environment: &[(&str, &str)]| {
        let config = config(file, environment);
        config.api_key().unwrap().expose().to_owned()
    };
    assert_eq!(key(&[]), "of-the-file");
    assert_eq!(key(&[ours]), "of-the-section");
    assert_eq!(key(&[("BURKI_API_KEY", "burkis"), ours]), "burkis");
    // As a compose file passes an unset variable on.
    assert_eq!(key(&[("BURKI_API_KEY", "")]), "of-the-file");
    // A key of digits is no number.
    assert_eq!(key(&[("BURKI_API_KEY", "0123")]), "0123");
}

#[test]
fn every_kind_of_value_can_come_from_the_environment() {
    let tokens = format!("[{{name = \"ci\", sha256 = \"{DIGEST}\"}}]");
    let config = config(
        "",
        &[
            ("BURKI_EDGE_SERVER__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("BURKI_EDGE_SERVER__WORKERS", "3"),
            (
                "BURKI_EDGE_SYNC__DETAILS",
                "[\"messages\", \"webhook-logs\"]",
            ),
            ("BURKI_EDGE_AUTH__ACCEPT_UPSTREAM_KEY", "false"),
            ("BURKI_EDGE_AUTH__TOKENS", &tokens),
            ("BURKI_EDGE_STORE__PATH", "/var/lib/edge.db"),
            ("PATH", "/bin"),
        ],
    );
    let listen: Vec<String> = config
        .server
        .listen
        .iter()
        .map(SocketAddr::to_string)
        .collect();
    assert_eq!(listen, ["127.0.0.1:1", "[::1]:2"]);
    assert_eq!(config.server.workers, 3);
    assert_eq!(
        config.sync.details,
        BTreeSet::from([Detail::Messages, Detail::WebhookLogs])
    );
    assert!(!config.auth.accept_upstream_key);
    assert_eq!(hex::encode(config.auth.tokens[0].sha256), DIGEST);
    assert_eq!(config.store.path, Path::new("/var/lib/edge.db"));
}

#[test]
fn no_details_can_be_asked_for_from_the_environment() {
    let config = config("", &[("BURKI_EDGE_SYNC__DETAILS", "[]")]);
    assert!(config.sync.details.is_empty());
}

#[test]
fn the_variables_kubernetes_sets_for_a_service_are_let_by() {
    let variables = [
        ("BURKI_EDGE_SERVICE_HOST", "10.0.0.1"),
        ("BURKI_EDGE_SERVICE_PORT_HTTP", "8080"),
        ("BURKI_EDGE_PORT", "tcp://10.0.0.1:8080"),
        ("BURKI_EDGE_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(config("", &variables), defaults());
}

#[test]
fn the_usual_file_may_be_missing_and_a_named_one_may_not() {
    let nowhere = PathBuf::from("no/such/config.toml");
    let none = [("", ""); 0];
    assert_eq!(
        load(Some(&nowhere), false, none).unwrap().config,
        defaults()
    );
    let message = load(Some(&nowhere), true, none).unwrap_err().to_string();
    assert!(message.starts_with("no/such/config.toml: can't be read"));
    assert!(message.contains("--config"));
}

#[test]
fn the_values_of_a_full_file_come_out_typed() {
    let config = config(
        "[server]\nlisten = [\"localhost:80\", \"[::]:8080\"]\n\
         [upstream]\nbase_url = \"http://burki.lan:5000/voice//\"\n\
         [sync]\nhistory = \"400d\"\ndetails = []",
        &[],
    );
    assert_eq!(config.server.listen[0], "127.0.0.1:80".parse().unwrap());
    assert_eq!(config.upstream.base(), "http://burki.lan:5000/voice");
    assert_eq!(
        config.sync.history,
        History::Back(Duration::from_secs(400 * 86_400))
    );
    assert!(config.sync.details.is_empty());
}

#[rstest::rstest]
#[case("0", 0)]
#[case("0MiB", 0)]
#[case("512KiB", 512 << 10)]
#[case(" 64 MiB ", 64 << 20)]
#[case("3GiB", 3 << 30)]
fn a_size_is_read_with_its_unit(#[case] text: &str, #[case] bytes: u64) {
    let read = config("", &[("BURKI_EDGE_STORE__AUDIO_CACHE", text)]);
    assert_eq!(read.store.audio_cache, bytes, "{text}");
}

#[test]
fn origins_are_taken_as_browsers_write_them() {
    let origins = [
        "https://app.example",
        "http://localhost:3000",
        "http://[::1]:8080",
    ];
    let listed = origins.join(", ");
    let read = config("", &[("BURKI_EDGE_SERVER__CORS_ORIGINS", listed.as_str())]);
    assert_eq!(read.server.cors_origins, origins);
    let read = config("[server]\ncors_origins = \"*\"", &[]);
    assert_eq!(read.server.cors_origins, ["*"]);
}

#[test]
fn no_key_is_an_error_only_to_those_who_need_one() {
    let message = defaults().api_key().unwrap_err().to_string();
    for way in ["BURKI_API_KEY", "upstream.api_key", "upstream.api_key_file"] {
        assert!(message.contains(way), "{message}");
    }
}

#[test]
fn a_key_file_is_read_and_trimmed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("  {SECRET}\r\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let variable = [("BURKI_EDGE_UPSTREAM__API_KEY_FILE", path)];
    let loaded = config("", &variable);
    assert_eq!(loaded.api_key().unwrap().expose(), SECRET);

    fs::write(file.path(), format!("{SECRET}\n{SECRET}\n")).unwrap();
    let message = refusal("", &variable);
    assert!(
        message.contains(path) && message.contains("the key alone"),
        "{message}"
    );
}

#[test]
fn debug_hides_every_secret() {
    let toml = format!(
        "[upstream]\napi_key = \"{SECRET}\"\n[webhooks]\nsecret = \"{SECRET}\"\n\
         [[auth.tokens]]\nname = \"ci\"\nsha256 = \"{DIGEST}\""
    );
    let loaded = load_with(&toml, &[]).unwrap();
    let debug = format!("{loaded:?}");
    assert!(!debug.contains(SECRET) && !debug.contains(DIGEST));
    let digest = format!("{:?}", loaded.config.auth.tokens[0].sha256);
    assert!(!debug.contains(&digest));
}

#[test]
fn anonymous_reading_is_taken_on_loopback_addresses() {
    let config = config(
        "[server]\nlisten = [\"127.0.0.1:1\", \"[::1]:2\"]\n\
         [auth]\naccept_upstream_key = false\nanonymous_on_loopback = true",
        &[],
    );
    assert!(config.auth.anonymous_on_loopback);
}
