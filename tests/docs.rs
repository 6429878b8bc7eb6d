//! What the documents say is what the program does.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use burki_edge::config::{Config, Setting};
use burki_edge::model::{Call, Timestamp, Verified};
use burki_edge::store::{Observation, Writer};
use serde_json::Value;
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const OPERATIONS: &str = include_str!("../docs/operations.md");
const PERFORMANCE: &str = include_str!("../docs/performance.md");
const RESULTS: &str = include_str!("../benches/RESULTS.md");

/// More than this nobody reads first.
const LONGEST_README: usize = 6000;

/// How long a demo may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Markdown file.
struct Page {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

/// README, and every page of `docs/`.
fn pages() -> Vec<Page> {
    let folder = fs::read_dir("docs").unwrap();
    let mut paths: Vec<PathBuf> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.push(PathBuf::from("README.md"));
    paths.sort();
    let page = |path: PathBuf| Page {
        text: fs::read_to_string(&path).unwrap(),
        path,
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    /// Its lines outside of code blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut in_code = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !in_code && !is_fence
        })
    }

    /// What it links to in the repository, as it is written.
    fn links(&self) -> impl Iterator<Item = &str> {
        let targets = self.prose().flat_map(|line| line.split("](").skip(1));
        let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
        targets.filter(|target| !target.contains("://"))
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for line in self.prose() {
            let Some((marks, heading)) = line.split_once(' ') else {
                continue;
            };
            if marks.is_empty() || !marks.bytes().all(|mark| mark == b'#') {
                continue;
            }
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            let text: String = heading.trim().chars().filter(kept).collect();
            let first = text.to_lowercase().replace(' ', "-");
            let (mut anchor, mut repeated) = (first.clone(), 0);
            while !anchors.insert(anchor) {
                repeated += 1;
                anchor = format!("{first}-{repeated}");
            }
        }
        anchors
    }
}

/// The cells of every row of a text's tables.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// Every setting with its default, as `config.toml` ships.
fn settings() -> Vec<Setting> {
    let loaded = Config::load(Some(Path::new("config.toml")), [("", ""); 0]);
    loaded.unwrap().settings
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

/// What is marked as code, without the marks.
fn code(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`')
}

/// The code in the first cells of a text's tables, each with the cell beside it.
fn described(text: &str) -> Vec<(&str, &str)> {
    let mut described = Vec::new();
    for row in rows(text) {
        let names = row[0].split(", ").filter_map(code);
        described.extend(names.map(|name| (name, row[1])));
    }
    described
}

#[test]
fn the_configuration_page_has_every_key_with_its_default_and_no_other() {
    let settings = settings();
    for (key, default) in [README, CONFIGURATION].into_iter().flat_map(described) {
        if let Some(setting) = settings.iter().find(|setting| setting.key == key) {
            assert_eq!(default, shown(&setting.value), "{key}");
        }
    }
    let documented = described(CONFIGURATION);
    let mut documented: Vec<_> = documented.into_iter().map(|(key, _)| key).collect();
    let mut known: Vec<_> = settings.iter().map(|setting| setting.key).collect();
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
}

#[test]
fn what_looks_like_a_setting_on_any_page_is_one() {
    let settings = settings();
    let is_key = |name: &str| settings.iter().any(|setting| setting.key == name);
    let is_section = |name: &str| {
        let mut sections = settings.iter().map(|setting| setting.key.split_once('.'));
        sections.any(|parts| parts.is_some_and(|(section, _)| section == name))
    };
    for Page { path, text } in pages() {
        let path = path.display();
        for word in text.split('`') {
            let end = |c: char| c.is_whitespace() || c == '=';
            let name = word.split(end).next().unwrap_or_default();
            let is_file = name.ends_with(".rs") || name.ends_with(".md");
            let like_a_key = name
                .split_once('.')
                .is_some_and(|(section, key)| is_section(section) && !key.is_empty());
            assert!(is_key(name) || is_file || !like_a_key, "{path}: `{word}`");
        }
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if let Some(variable) = word.strip_prefix("BURKI_EDGE_") {
                let key = variable.to_ascii_lowercase().replace("__", ".");
                assert!(is_key(&key), "{path}: {word}");
            }
        }
    }
}

/// The rows of a text's tables that say of a figure whether its target is met.
fn figures(text: &str) -> Vec<Vec<&str>> {
    rows(text)
        .filter(|row| row.len() == 3 && ["met", "missed"].contains(&row[2]))
        .collect()
}

#[test]
fn what_was_measured_is_repeated_as_it_was_written_down() {
    let figures_there = figures(PERFORMANCE);
    assert!(figures_there.len() >= 10, "{figures_there:?}");
    let results = RESULTS.replace("**", "").replace("&nbsp;", " ");
    for row in &figures_there {
        assert!(results.contains(row[1]), "not in RESULTS.md: {row:?}");
    }
    let figures_here = figures(README);
    assert_eq!(figures_here.len(), 4);
    for row in figures_here {
        assert!(figures_there.contains(&row), "not as in docs: {row:?}");
    }
}

#[test]
fn the_statement_an_analyst_is_shown_runs_on_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("burki-edge.db");
    let text = r#"{"id":1,"call_sid":"CA1","status":"completed","total_cost":0.25}"#;
    let learned = Observation {
        calls: vec![Call::from_json(text).unwrap()],
        ..Observation::of(Verified {
            at: Timestamp::from_micros(0),
            seq: 1,
        })
    };
    Writer::open(&path, "https://api.burki.dev")
        .unwrap()
        .merge(learned)
        .unwrap();
    let line = OPERATIONS
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

#[test]
fn readme_is_short_and_links_every_page_of_the_docs() {
    assert!(README.len() <= LONGEST_README, "{} bytes", README.len());
    let pages = pages();
    let is_readme = |page: &&Page| page.path == Path::new("README.md");
    let readme = pages.iter().find(is_readme).unwrap();
    let linked: BTreeSet<_> = readme
        .links()
        .filter_map(|link| link.split('#').next())
        .map(PathBuf::from)
        .collect();
    for page in pages.iter().filter(|page| !is_readme(page)) {
        assert!(linked.contains(&page.path), "{}", page.path.display());
    }
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_in_it() {
    let pages = pages();
    for page in &pages {
        let folder = page.path.parent().unwrap();
        let from = page.path.display();
        for link in page.links() {
            let (path, anchor) = match link.split_once('#') {
                Some((path, anchor)) => (path, Some(anchor)),
                None => (link, None),
            };
            let target = match path {
                "" => page.path.clone(),
                path => folder.join(path),
            };
            assert!(target.exists(), "{from}: {link}");
            let Some(anchor) = anchor else { continue };
            let target = fs::canonicalize(target).unwrap();
            let is_target = |other: &&Page| fs::canonicalize(&other.path).unwrap() == target;
            let found = pages.iter().find(is_target);
            let has_heading = found.is_some_and(|other| other.anchors().contains(anchor));
            assert!(has_heading, "{from}: {link}");
        }
    }
}

/// A file of the repository by its path, not a command on it.
fn is_source(code: &str) -> bool {
    let folders = ["src/", "tests/", "benches/", "docs/"];
    folders.iter().any(|folder| code.starts_with(folder)) && !code.contains(char::is_whitespace)
}

#[test]
fn every_source_and_test_that_a_page_names_is_there() {
    for page in pages() {
        let from = page.path.display();
        for line in page.prose() {
            // Of each pair, the second is code.
            let parts: Vec<&str> = line.split('`').collect();
            let mut tests = None;
            for pair in parts.chunks_exact(2) {
                let (before, code) = (pair[0], pair[1]);
                if is_source(code) {
                    assert!(Path::new(code).exists(), "{from}: {code}");
                    tests = Some(code).filter(|path| path.starts_with("tests/"));
                } else if let Some(path) = tests.filter(|_| [": ", ", "].contains(&before)) {
                    // As in "`tests/docs.rs`: `one_test`, `another`".
                    let source = fs::read_to_string(path).unwrap();
                    let is_there = source.contains(&format!("fn {code}("));
                    assert!(is_there, "{from}: {path}: {code}");
                } else {
                    tests = None;
                }
            }
        }
    }
}

/// A running demo; it does not outlive this value.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The names of the headers below a status line.
fn header_names<'a>(head: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    head.into_iter()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect()
}

#[test]
fn the_first_request_of_readme_is_answered_as_it_is_shown() {
    let (_, example) = README.split_once("```http\n").unwrap();
    let (example, _) = example.split_once("\n```").unwrap();
    let (example_head, example_body) = example.split_once("\n\n").unwrap();

    let folder = TempDir::new().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_burki-edge"))
        .args(["demo", "--json", "--calls", "200"])
        .args(["--listen", "127.0.0.1:0", "--folder"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .map(Demo)
        .unwrap();
    let mut ready = String::new();
    let stdout = demo.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut ready).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let (id, key) = (&ready["call_id"], ready["key"].as_str().unwrap());
    let edge = ready["edge"].as_str().unwrap();

    let mut stream = TcpStream::connect(edge.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /api/v1/calls/{id} HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl\r\n\
         Accept: */*\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let head: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();

    assert_eq!(
        header_names(example_head.lines()),
        header_names(head.iter().copied())
    );
    // Of these the value is the same whatever the call is.
    let constant = ["HTTP/1.1 ", "content-type", "cache-", "keep-alive"];
    let is_constant = |line: &&str| constant.iter().any(|name| line.starts_with(name));
    for line in example_head.lines().filter(is_constant) {
        assert!(head.contains(&line), "{line}: {head:?}");
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let parts: Vec<&str> = example_body.split('"').collect();
    let names = parts.windows(2).filter(|pair| pair[1].starts_with(':'));
    for name in names.map(|pair| pair[0]) {
        assert!(body.contains(&format!("\"{name}\":")), "{name}: {body}");
    }
}

#[test]
fn the_sync_page_explains_every_file_that_decides() {
    const SYNC: &str = include_str!("../docs/sync.md");
    let source = Path::new("src/sync");
    let headings: Vec<&str> = SYNC
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .flat_map(|heading| heading.split(':').next().unwrap().split(", "))
        .collect();
    for heading in &headings {
        assert!(source.join(heading).exists(), "src/sync/{heading}");
    }
    for entry in std::fs::read_dir(source.join("planners")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Both are explained with the ladder.
        let in_ladder = ["mod.rs", "shares.rs", "proxied.rs"].contains(&name.as_str());
        let explained = |heading: &&str| heading.trim_end_matches('/').ends_with(&name);
        assert!(in_ladder || headings.iter().any(explained), "{name}");
    }
}
