//! Which file of `src/` names which other one.

use std::collections::{BTreeMap, BTreeSet};

/// The files that each file names, by their paths below `src/`. What a `mod.rs` merely exports is
/// not counted: a facade knows what is behind it by name alone.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// `files`: each with its tokens, without comments, literals and tests.
pub fn imports(files: &[(String, Vec<&str>)]) -> Imports {
    let known: BTreeSet<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    files
        .iter()
        .map(|(path, tokens)| {
            let named = paths(path, tokens);
            let named = named.iter().filter_map(|name| file(name, &known));
            let others = named.filter(|other| other != path);
            (path.clone(), others.collect())
        })
        .collect()
}

/// The modules that lead to a file: `http/mod.rs` is `http`, `http/error.rs` is `http`, `error`.
pub fn module(path: &str) -> Vec<&str> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    match path {
        "lib" | "main" => Vec::new(),
        _ => path.split('/').collect(),
    }
}

/// Every path that begins at the crate's root, a parent or a child, from the crate's root.
fn paths<'a>(path: &'a str, tokens: &[&'a str]) -> Vec<Vec<&'a str>> {
    let own = module(path);
    let exports = path.ends_with("mod.rs") || path == "lib.rs";
    let children: BTreeSet<&str> = tokens
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";")
        .map(|three| three[1])
        .collect();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before]);
        let is_exported =
            exports && before == "use" && at > 1 && ["pub", ")"].contains(&tokens[at - 2]);
        if before == ":" || before == "in" || before == "." || is_exported {
            continue;
        }
        let mut from = at;
        let mut prefix = match tokens[at] {
            "crate" | "burki_edge" => Vec::new(),
            "self" | "super" => own.clone(),
            child if children.contains(child) => {
                let mut prefix = own.clone();
                prefix.push(child);
                prefix
            }
            _ => continue,
        };
        while tokens.get(from) == Some(&"super") {
            prefix.pop();
            if tokens.get(from + 3) != Some(&"super") {
                break;
            }
            from += 3;
        }
        if tokens.get(from + 1..from + 3) == Some(&[":", ":"]) {
            tree(tokens, from + 3, &prefix, &mut found);
        }
    }
    found
}

/// A path or a group of them that begins at `at`. Returns where it ends.
fn tree<'a>(
    tokens: &[&'a str],
    mut at: usize,
    prefix: &[&'a str],
    found: &mut Vec<Vec<&'a str>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                path.push(name);
                at += 1;
            }
            _ => break,
        }
        match tokens.get(at..at + 2) {
            Some(&[":", ":"]) => at += 2,
            _ => break,
        }
    }
    found.push(path);
    if tokens.get(at) == Some(&"as") {
        at += 2;
    }
    at
}

/// The file in which the longest beginning of a path is a module.
fn file(path: &[&str], known: &BTreeSet<&str>) -> Option<String> {
    (1..=path.len()).rev().find_map(|length| {
        let module = path[..length].join("/");
        let names = [format!("{module}.rs"), format!("{module}/mod.rs")];
        names.into_iter().find(|name| known.contains(name.as_str()))
    })
}

/// Files that name each other in a circle, each circle sorted.
pub fn circles(imports: &Imports) -> Vec<Vec<&str>> {
    let mut circles: Vec<Vec<&str>> = imports
        .keys()
        .map(|file| {
            let beyond = reached(imports, file);
            let back = |other: &&&str| reached(imports, other).contains(file.as_str());
            beyond.iter().filter(back).copied().collect()
        })
        .filter(|circle: &Vec<&str>| circle.len() > 1)
        .collect();
    circles.sort();
    circles.dedup();
    circles
}

/// All that a file names, and what is named there.
fn reached<'a>(imports: &'a Imports, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = imports[from].iter().map(String::as_str).collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(imports[file].iter().map(String::as_str));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &'static str)]) -> Imports {
        let files: Vec<_> = files
            .iter()
            .map(|(path, source)| ((*path).to_owned(), source.split(' ').collect()))
            .collect();
        imports(&files)
    }

    #[test]
    fn a_file_is_found_by_every_spelling_of_its_path() {
        for source in [
            "use crate : : b : : c : : D ;",
            "use crate : : { a , b : : { c as e , d } } ;",
            "fn f ( ) { super : : b : : c ( ) }",
            "use super : : b : : c ;",
        ] {
            let imports = found(&[("a.rs", source), ("b/mod.rs", ""), ("b/c.rs", "")]);
            assert!(imports["a.rs"].contains("b/c.rs"), "{source}: {imports:?}");
        }
        let imports = found(&[
            ("b/mod.rs", "mod c ; fn f ( ) { c : : g ( ) }"),
            ("b/c.rs", ""),
        ]);
        assert!(imports["b/mod.rs"].contains("b/c.rs"));
    }

    #[test]
    fn a_visibility_and_an_export_are_no_imports() {
        for source in ["pub ( in crate : : b ) fn f", "pub use crate : : b : : c ;"] {
            let imports = found(&[("a/mod.rs", source), ("b/mod.rs", ""), ("b/c.rs", "")]);
            assert!(imports["a/mod.rs"].is_empty(), "{source}");
        }
    }

    #[test]
    fn files_that_reach_each_other_are_one_circle() {
        let imports = found(&[
            ("a.rs", "use crate : : b ;"),
            ("b.rs", "use crate : : c ;"),
            ("c.rs", "use crate : : { a , d } ;"),
            ("d.rs", ""),
        ]);
        assert_eq!(circles(&imports), [["a.rs", "b.rs", "c.rs"]]);
    }
}
