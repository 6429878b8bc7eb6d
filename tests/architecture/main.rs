//! The rules of `src/lib.rs`, held against the source: who may know whom, and how the code is
//! written. Each rule is also shown a text that breaks it.
//!
//! The source is read as text, without comments, literals and tests: what is left is enough to
//! tell a name.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod imports;

use std::fs;
use std::path::Path;

use imports::{circles, imports};

/// What each module may name of this crate, itself aside.
const MAY_KNOW: [(&str, &[&str]); 12] = [
    (
        "app",
        &["config", "http", "model", "store", "sync", "upstream"],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "model",
            "simulator",
            "store",
            "sync",
            "telemetry",
            "upstream",
        ],
    ),
    ("config", &["model"]),
    ("http", &["model", "store", "sync"]),
    ("lib", &[]),
    ("main", &["cli"]),
    ("model", &[]),
    ("simulator", &["model"]),
    ("store", &["model"]),
    ("sync", &["model", "store", "upstream"]),
    ("telemetry", &[]),
    ("upstream", &["model"]),
];

/// Where a name may stand: paths below `src/` begin so. A folder ends in a slash.
const CONFINED: [(&str, &[&str]); 13] = [
    ("rusqlite", &["store/"]),
    ("r2d2", &["store/"]),
    ("r2d2_sqlite", &["store/"]),
    ("reqwest", &["upstream/"]),
    ("actix_web", &["app/", "http/", "simulator/"]),
    // One asks the engine and the file's writer for nothing but to be composed and run.
    ("Writer", &["app/", "store/", "sync/engine/"]),
    ("SharedWriter", &["store/", "sync/engine/"]),
    (
        "Engine",
        &["app/", "sync/engine/", "sync/mod.rs", "sync/supervisor.rs"],
    ),
    // What decides does not wait, ask or write.
    ("async", &ALL_BUT_THE_PLAN),
    ("HttpSource", &["app/", "cli/edge.rs", "upstream/"]),
    // Standard output is the command line's; the engine and the server have a log.
    ("stdout", &["cli/", "main.rs"]),
    ("indicatif", &["cli/"]),
    ("anyhow", &["app/", "cli/"]),
];

const ALL_BUT_THE_PLAN: [&str; 11] = [
    "app/",
    "cli/",
    "http/",
    "simulator/",
    "store/",
    "sync/engine/",
    "sync/handle/",
    "sync/supervisor.rs",
    "upstream/",
    "telemetry.rs",
    "main.rs",
];

/// The floors of a module, from the ground up: a file may name its own floor and those below. A
/// folder ends in a slash; the longest that fits counts.
const FLOORS: [(&str, &[&[&str]]); 3] = [
    (
        "http/",
        &[
            &[
                "http/caching/",
                "http/calls/recordings/cache.rs",
                "http/calls/recordings/download.rs",
                "http/calls/recordings/file_name.rs",
                "http/calls/recordings/store.rs",
                "http/edge/webhook_secret.rs",
                "http/error.rs",
                "http/middleware/",
                "http/params/",
                "http/passed_answer.rs",
                "http/reading/",
                "http/respond.rs",
                "http/routing/path.rs",
                "http/shared.rs",
            ],
            &["http/proxy.rs"],
            &["http/calls/", "http/edge/"],
            &["http/routing/"],
            &["http/mod.rs", "http/server.rs"],
        ],
    ),
    (
        "store/",
        &[
            &["store/", "store/file/"],
            &["store/derived/"],
            &["store/details/"],
            &["store/write/"],
            &["store/read/"],
            &["store/lists/"],
        ],
    ),
    (
        "sync/",
        &[
            &["sync/", "sync/knowledge/"],
            &["sync/handle/messages.rs", "sync/plan/job.rs"],
            &["sync/health/", "sync/in_flight.rs"],
            &["sync/plan/", "sync/planners/"],
            &["sync/handle/"],
            &["sync/engine/"],
            &["sync/supervisor.rs"],
        ],
    ),
];

/// Files that may name each other in a circle, and why.
const CIRCLES: [(&[&str], &str); 0] = [];

/// The classes of `upstream::ErrorKind`.
const ERROR_CLASSES: [&str; 14] = [
    "Unreachable",
    "Tls",
    "ShortList",
    "Reset",
    "Timeout",
    "BrokenOff",
    "PageTooLong",
    "Unauthorized",
    "OtherOrganization",
    "Throttled",
    "ServerError",
    "Redirected",
    "Refused",
    "BadAnswer",
];

/// Who matches on them: the table of whom a failure speaks of, and who sorts answers into them.
const SAYS_WHAT_CLASSES_MEAN: [&str; 2] = ["sync/health/failure_scope.rs", "upstream/"];

/// Who asks the clock. All others are told the time.
const CLOCKS: [&str; 4] = [
    "app/",
    "cli/",
    "model/timestamp.rs",
    // The date in a Retry-After means the time of its arrival.
    "upstream/client.rs",
];

/// Lines of a file, its tests not counted.
const LONGEST: usize = 400;

/// What a file holds besides comments, literals and tests.
struct Code {
    /// Those are blank, so that lines are where they were.
    text: String,
    /// Without the lines of tests.
    lines: usize,
}

impl Code {
    fn of(source: &str) -> Code {
        let mut text = without_words(source);
        let mut lines = source.lines().count();
        while let Some(start) = text.find("#[cfg(test)]") {
            let end = item_end(&text, start);
            lines -= text[start..end].lines().count();
            let blanked: String = text[start..end].chars().map(blank).collect();
            text.replace_range(start..end, &blanked);
        }
        Code { text, lines }
    }

    /// Identifiers, and by itself any other character that is no white space and no slash.
    fn tokens(&self) -> Vec<&str> {
        let mut tokens = Vec::new();
        let mut rest = self.text.as_str();
        while let Some(first) = rest.chars().next() {
            let name = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            let length = name.max(first.len_utf8() * usize::from(name == 0));
            let (token, after) = rest.split_at(length);
            if !first.is_whitespace() && first != '/' {
                tokens.push(token);
            }
            rest = after;
        }
        tokens
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the item ends that an attribute at `start` belongs to: at its semicolon or its brace.
fn item_end(text: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(c, ';' | '}') {
            return start + at + 1;
        }
    }
    text.len()
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// `source` with every comment and literal blank, but for the slashes that say where a comment is.
fn without_words(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let in_name = out.chars().next_back().is_some_and(is_name);
        let words = match words(rest, in_name) {
            0 => {
                out.push(first);
                first.len_utf8()
            }
            length => {
                let (mark, words) = match rest.starts_with("//") {
                    true => ("//", &rest[2..length]),
                    false => ("", &rest[..length]),
                };
                out.push_str(mark);
                out.extend(words.chars().map(blank));
                length
            }
        };
        rest = &rest[words..];
    }
    out
}

/// The length of the comment or literal that `rest` begins with.
fn words(rest: &str, in_name: bool) -> usize {
    let to = |end: &str, from: usize| {
        let found = rest[from..].find(end);
        found.map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return to("*/", 2);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let hashes = rest.strip_prefix('r').map_or("", |raw| {
        &raw[..raw.len() - raw.trim_start_matches('#').len()]
    });
    if !in_name && rest.starts_with('r') && rest[1 + hashes.len()..].starts_with('"') {
        return to(&format!("\"{hashes}"), 2 + hashes.len());
    }
    // A lifetime has no quote at its end.
    let character = rest.strip_prefix('\'').map(|after| after.chars());
    match character.map(|mut after| (after.next(), after.next())) {
        Some((Some('\\'), _) | (_, Some('\''))) => quoted(rest, '\''),
        _ => 0,
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// `http` of `http/auth.rs`.
fn module(path: &str) -> &str {
    let name = path.split('/').next().unwrap();
    name.trim_end_matches(".rs")
}

/// How many `super` lead from a file's own module to the root of the crate.
fn depth(path: &str) -> usize {
    match path {
        "lib.rs" | "main.rs" => 0,
        _ => path.trim_end_matches("/mod.rs").split('/').count(),
    }
}

/// The crate's modules that a file names by a path from its root.
fn named_modules<'a>(path: &str, tokens: &[&'a str]) -> Vec<&'a str> {
    let mut named = Vec::new();
    for at in 0..tokens.len() {
        let root = match tokens[at] {
            "crate" | "burki_edge" => Some(at + 1),
            _ => super_path(tokens, at, depth(path)),
        };
        let Some(from) = root else { continue };
        if tokens.get(from..from + 2) == Some(&[":", ":"]) {
            named.extend(first_names(&tokens[from + 2..]));
        }
    }
    named
}

/// Behind exactly `depth` times `super`, joined by `::`, that begin at `at`.
fn super_path(tokens: &[&str], at: usize, depth: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|before| tokens[before]);
    let mut from = at;
    for step in 0..depth {
        if step > 0 {
            from += 2;
        }
        if tokens.get(from) != Some(&"super") {
            return None;
        }
        from += 1;
    }
    (depth > 0 && before != Some(":")).then_some(from)
}

/// The name that a path goes on with, or each of a group's.
fn first_names<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    if tokens.first() != Some(&"{") {
        return tokens.first().copied().into_iter().collect();
    }
    let mut depth = 0;
    let mut names = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0] {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0], "{" | ",") && pair[1] != "}" {
            names.push(pair[1]);
        }
    }
    names
}

fn is_below(path: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| path == *place || place.ends_with('/') && path.starts_with(place))
}

/// Every rule that a file of `src/` breaks.
fn broken(path: &str, source: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if !source.starts_with("//!") {
        broken.push("says nothing about itself: it opens without //!".to_owned());
    }
    if path.contains("/tests/") {
        return broken;
    }
    let code = Code::of(source);
    let tokens = code.tokens();
    if code.lines > LONGEST {
        broken.push(format!("is {} lines long", code.lines));
    }
    match MAY_KNOW.iter().find(|(name, _)| *name == module(path)) {
        None => broken.push("is of a module that has no place yet".to_owned()),
        Some((own, known)) => {
            let named = named_modules(path, &tokens);
            let unknown = named
                .iter()
                .filter(|name| *name != own && !known.contains(name));
            broken.extend(unknown.map(|name| format!("{own} names {name}")));
        }
    }
    for (name, places) in CONFINED {
        if tokens.contains(&name) && !is_below(path, places) {
            broken.push(format!("names {name}"));
        }
    }
    let asks_clock = |four: &[&str]| four == ["Timestamp", ":", ":", "now"];
    if tokens.windows(4).any(asks_clock) && !is_below(path, &CLOCKS) {
        broken.push("asks the clock".to_owned());
    }
    // An error is made where it happens; what its class means is said in one place.
    let classes = tokens.iter().enumerate().filter(|(at, token)| {
        **token == "ErrorKind" && ERROR_CLASSES.contains(tokens.get(at + 3).unwrap_or(&""))
    });
    let made = |at: usize| at >= 2 && tokens[at - 2..at] == ["new", "("];
    if classes.clone().any(|(at, _)| !made(at)) && !is_below(path, &SAYS_WHAT_CLASSES_MEAN) {
        broken.push("says what a class of error means".to_owned());
    }
    if tokens.contains(&"Transaction") && tokens.contains(&"await") {
        broken.push("may hold a transaction across an await".to_owned());
    }
    broken.extend(unproven(&code));
    broken
}

/// Each `unwrap` or `expect` without a comment on its line or the one before.
fn unproven(code: &Code) -> Vec<String> {
    let lines: Vec<&str> = code.text.lines().collect();
    let mut unproven = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let trusts = line.contains(".unwrap(") || line.contains(".expect(");
        let proof = &lines[at.saturating_sub(1)..=at];
        if trusts && !proof.iter().any(|line| line.contains("//")) {
            unproven.push(format!("line {} trusts without proof", at + 1));
        }
    }
    unproven
}

/// Every file below `folder`, by its path from there.
fn sources(folder: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), &format!("{path}/"), into);
        } else if path.ends_with(".rs") {
            into.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&folder, "", &mut files);
    files.sort();
    files
}

#[test]
fn the_source_keeps_the_rules() {
    let files = all_sources();
    assert!(files.len() > 50, "only {} files found", files.len());
    let broken: Vec<String> = files
        .iter()
        .flat_map(|(path, source)| {
            let broken = broken(path, source).into_iter();
            broken.map(move |rule| format!("src/{path}: {rule}"))
        })
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The floor of a file, and of which module.
fn floor(path: &str) -> Option<(&'static str, usize)> {
    let (module, floors) = FLOORS.iter().find(|(module, _)| path.starts_with(module))?;
    let fits = |place: &&str| path == *place || place.ends_with('/') && path.starts_with(place);
    let numbered = floors.iter().enumerate();
    let places =
        numbered.flat_map(|(floor, places)| places.iter().map(move |place| (floor, place)));
    let longest = places
        .filter(|(_, place)| fits(place))
        .max_by_key(|(_, place)| place.len());
    longest.map(|(floor, _)| (*module, floor))
}

#[test]
fn no_file_names_one_of_a_floor_above_its_own() {
    let files = all_sources();
    let code = without_tests(&files);
    let tokens: Vec<_> = code
        .iter()
        .map(|(path, code)| (path.clone(), code.tokens()))
        .collect();
    let mut above = Vec::new();
    for (path, named) in imports(&tokens) {
        for other in named {
            if let (Some((module, own)), Some((of, its))) = (floor(&path), floor(&other))
                && module == of
                && its > own
            {
                above.push(format!("{path} names {other}"));
            }
        }
    }
    assert!(above.is_empty(), "\n{}", above.join("\n"));
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let files = all_sources();
    let code = without_tests(&files);
    let tokens: Vec<_> = code
        .iter()
        .map(|(path, code)| (path.clone(), code.tokens()))
        .collect();
    let imports = imports(&tokens);
    let named: usize = imports.values().map(|named| named.len()).sum();
    assert!(named > 500, "only {named} imports found");
    let found = circles(&imports);
    let is_known = |circle: &&Vec<&str>| CIRCLES.iter().any(|(files, _)| files == circle);
    let (known, new): (Vec<_>, Vec<_>) = found.iter().partition(is_known);
    assert!(new.is_empty(), "{new:#?}");
    assert_eq!(known.len(), CIRCLES.len(), "one is none any more");
}

/// Files that are no tests, each with its code.
fn without_tests(files: &[(String, String)]) -> Vec<(String, Code)> {
    let files = files.iter().filter(|(path, _)| !path.contains("/tests/"));
    files
        .map(|(path, source)| (path.clone(), Code::of(source)))
        .collect()
}

#[test]
fn every_layer_that_has_rules_has_files() {
    let files = all_sources();
    for (module_name, _) in MAY_KNOW {
        assert!(files.iter().any(|(path, _)| module(path) == module_name));
    }
}

/// What is said of a file that opens as it should and goes on with `source`.
fn said(path: &str, source: &str) -> String {
    broken(path, &format!("//! Why.\n{source}")).join("; ")
}

#[test]
fn a_layer_that_reaches_past_its_neighbour_is_found() {
    let found = "http names upstream";
    assert_eq!(
        said("http/calls.rs", "use crate::upstream::Request;"),
        found
    );
    assert_eq!(
        said(
            "http/calls.rs",
            "use crate::{model::{Call, Window}, upstream};"
        ),
        found
    );
    assert_eq!(
        said("http/calls.rs", "use super::super::upstream::Request;"),
        found
    );
    assert_eq!(
        said("http/mod.rs", "fn f() { super::upstream::f() }"),
        found
    );
    assert_eq!(said("http/calls.rs", "use super::upstream;"), "");
    assert_eq!(
        said("store/mod.rs", "use crate::sync::Handle;"),
        "store names sync"
    );
    assert_eq!(said("store/mod.rs", "use crate::http;"), "store names http");
    assert_eq!(
        said("app/mod.rs", "use crate::simulator::World;"),
        "app names simulator"
    );
    assert_eq!(
        said("main.rs", "use burki_edge::sync::Phase;"),
        "main names sync"
    );
    assert_eq!(
        said("cache/mod.rs", ""),
        "is of a module that has no place yet"
    );
}

#[test]
fn a_library_or_a_type_outside_its_layer_is_found() {
    for (path, source, found) in [
        (
            "sync/engine.rs",
            "use rusqlite::Connection;",
            "names rusqlite",
        ),
        (
            "http/calls.rs",
            "fn f(c: reqwest::Client) {}",
            "names reqwest",
        ),
        ("cli/serve.rs", "use actix_web::App;", "names actix_web"),
        (
            "http/calls.rs",
            "use crate::store::{Reader, Writer};",
            "names Writer",
        ),
        ("http/mod.rs", "use crate::sync::Engine;", "names Engine"),
        ("sync/engine.rs", "use std::io::stdout;", "names stdout"),
        (
            "model/call.rs",
            "fn f() { Timestamp::now(); }",
            "asks the clock",
        ),
        (
            "sync/engine/complete.rs",
            "fn f(k: ErrorKind) -> bool { k == ErrorKind::Timeout }",
            "says what a class of error means",
        ),
        (
            "store/writer.rs",
            "async fn f(t: Transaction<'_>) { g().await }",
            "may hold a transaction across an await",
        ),
    ] {
        assert_eq!(said(path, source), found);
    }
}

#[test]
fn an_unproven_unwrap_is_found_and_a_proven_one_is_not() {
    let found = "line 3 trusts without proof";
    assert_eq!(
        said("model/call.rs", "fn f() {\ng().unwrap();\n}"),
        "line 3 trusts without proof"
    );
    assert_eq!(
        said("model/call.rs", "fn f() {\ng().expect(\"// no\");\n}"),
        found
    );
    assert_eq!(
        said("model/call.rs", "// It is never empty.\nf().unwrap();"),
        ""
    );
    assert_eq!(
        said("model/call.rs", "f().unwrap_or(1); g().expect_err();"),
        ""
    );
}

#[test]
fn a_file_without_a_word_about_itself_or_too_long_is_found() {
    assert_eq!(
        broken("model/call.rs", "use std::fmt;"),
        ["says nothing about itself: it opens without //!"]
    );
    assert_eq!(
        said("model/call.rs", &"\n".repeat(LONGEST)),
        "is 401 lines long"
    );
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(LONGEST));
    assert_eq!(said("model/call.rs", &tests), "");
}

#[test]
fn comments_literals_and_tests_name_nothing() {
    for source in [
        "// rusqlite\n/* reqwest */",
        "const A: &str = \"rusqlite \\\" reqwest\";",
        "const A: &str = r#\"rusqlite \" reqwest\"#;",
        "fn f<'a>(a: &'a str) -> char { '\\'' } const Q: char = '\"'; // \" rusqlite",
        "#[cfg(test)]\nmod tests { fn f() { \"}\"; rusqlite(); } }",
        "#[cfg(test)]\nmod tests;",
    ] {
        assert_eq!(said("model/call.rs", source), "", "{source}");
    }
    let after = "#[cfg(test)]\nmod tests;\nuse rusqlite::Connection;";
    assert_eq!(said("model/call.rs", after), "names rusqlite");
    let quote = "const Q: char = '\"'; use rusqlite::Connection; const R: char = '\"';";
    assert_eq!(said("model/call.rs", quote), "names rusqlite");
}

#[test]
fn a_tests_name_is_scanned_at_a_glance() {
    const LONGEST_NAME: usize = 69;
    let mut files = all_sources();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    sources(&tests, "tests/", &mut files);
    let mut found = 0;
    for (path, source) in &files {
        let after_test = source.split("#[test]").skip(1);
        let after_rstest = source.split("#[rstest]").skip(1);
        let after_tokio = source.split("#[tokio::test").skip(1);
        for rest in after_test.chain(after_rstest).chain(after_tokio) {
            let name = rest
                .split("fn ")
                .nth(1)
                .and_then(|rest| rest.split('(').next());
            let name = name.unwrap_or_default();
            found += 1;
            assert!(name.len() <= LONGEST_NAME, "{path}: {name}");
        }
    }
    assert!(found > 1000, "only {found} tests found");
}

#[test]
fn the_longest_place_that_fits_says_the_floor_of_a_file() {
    let of = |path| floor(path).unwrap();
    assert!(of("sync/plan/job.rs") < of("sync/health/stall.rs"));
    assert!(of("sync/health/stall.rs") < of("sync/plan/mod.rs"));
    assert!(of("sync/planners/head.rs") < of("sync/engine/mod.rs"));
    assert!(of("store/outbox.rs") < of("store/write/outbox.rs"));
    assert!(of("http/calls/recordings/store.rs") < of("http/calls/recordings/mod.rs"));
    assert_eq!(floor("model/call.rs"), None);
}
