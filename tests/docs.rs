//! What the documents say is what the program does.
use std::path::Path;

use burki_edge::config::Config;
use burki_edge::model::{Call, Timestamp, Verified};
use burki_edge::store::{Observation, Writer};
use serde_json::Value;
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
const RESULTS: &str = include_str!("../benches/RESULTS.md");

/// The cells of every row of README's tables.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let rows = README.lines().filter(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(Value::to_string).collect();
            format!("`[{}]`", items.join(", "))
        }
        other => format!("`{other}`"),
    }
}

#[test]
fn the_configuration_table_names_every_key_with_its_default_and_no_other() {
    let loaded = Config::load(Some(Path::new("config.toml")), [("", ""); 0]).unwrap();
    let mut told = Vec::new();
    for row in rows() {
        for key in row[0]
            .split(", ")
            .filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`'))
        {
            if let Some(setting) = loaded.settings.iter().find(|setting| setting.key == key) {
                assert_eq!(row[1], shown(&setting.value), "{key}");
                told.push(key);
            }
        }
    }
    let keys: Vec<_> = loaded.settings.iter().map(|setting| setting.key).collect();
    told.sort_unstable();
    let mut known = keys.clone();
    known.sort_unstable();
    assert_eq!(told, known);
    let sections = [
        "server.",
        "upstream.",
        "store.",
        "sync.",
        "auth.",
        "webhooks.",
        "writes.",
        "log.",
    ];
    for word in README.split('`') {
        let like_a_key = sections.iter().any(|section| word.starts_with(section));
        let name = word.split([' ', '=']).next().unwrap_or_default();
        assert!(
            !like_a_key || keys.contains(&name),
            "README speaks of `{word}`"
        );
    }
}

/// A figure of a table, without what is only said of it.
fn figure(cell: &str) -> String {
    cell.replace("**", "").replace("&nbsp;", " ")
}

#[test]
fn what_was_measured_is_told_as_it_was_written_down() {
    let results = figure(RESULTS);
    let told = rows().filter(|row| row.len() == 3 && ["met", "missed"].contains(&row[2]));
    let told: Vec<_> = told.map(|row| figure(row[1])).collect();
    assert!(told.len() >= 10, "{told:?}");
    for figure in told {
        assert!(
            results.contains(&figure),
            "benches/RESULTS.md does not say {figure}"
        );
    }
}

#[test]
fn the_statement_an_analyst_is_shown_runs_on_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("burki-edge.db");
    let text = r#"{"id":1,"call_sid":"CA1","status":"completed","total_cost":0.25}"#;
    let learned = Observation {
        request: Verified {
            at: Timestamp::from_micros(0),
            seq: 1,
        },
        oldest_in_flight: 1,
        newest_seq: 1,
        calls: vec![Call::from_json(text).unwrap()],
        singly: false,
        absent: None,
        denied: Vec::new(),
        complete: None,
        windows: None,
    };
    Writer::open(&path, "https://api.burki.dev")
        .unwrap()
        .merge(learned)
        .unwrap();
    let line = README
        .lines()
        .find(|line| line.starts_with("sqlite3 "))
        .unwrap();
    let statement = line.split('"').nth(1).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let answer: (String, i64, f64) = connection.query_row(statement, [], row).unwrap();
    assert_eq!(answer, ("completed".to_owned(), 1, 0.25));
    let schema = include_str!("../schema.sql");
    let shown = schema
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--"));
    for statement in shown.filter(|line| line.trim().starts_with("SELECT")) {
        connection.prepare(statement).unwrap();
    }
}
