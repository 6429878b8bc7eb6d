//! Where settings come from: defaults, file and environment, laid over one another key by key.
//!
//! The defaults are the shipped `config.toml` itself. An unknown key is noted here and goes no
//! further, so that [`Settings`] hold known keys only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::de::ValueDeserializer;

use crate::config::error::Problem;
use crate::config::keys::{Form, KEYS};
use crate::config::origin::{Origin, Setting};

/// `BURKI_EDGE_SYNC__POLL_INTERVAL` sets `sync.poll_interval`.
const PREFIX: &str = "BURKI_EDGE_";

/// The variable Burki's own clients read; goes before every other source of `upstream.api_key`.
const API_KEY_VARIABLE: &str = "BURKI_API_KEY";

static DEFAULTS: LazyLock<Value> = LazyLock::new(|| {
    // It can be read: a test does.
    let shipped = toml::from_str(include_str!("../../config.toml"));
    let mut defaults: Value = shipped.unwrap_or_default();
    // Not in the file, where no `[[auth.tokens]]` could follow it.
    defaults["auth"]["tokens"] = json!([]);
    defaults
});

/// What holds where no source sets `key`.
pub(super) fn default(key: &str) -> Option<&'static Value> {
    let (section, name) = key.split_once('.')?;
    DEFAULTS.get(section)?.get(name)
}

/// The values in effect, each with its origin, and every problem met so far.
pub(super) struct Settings {
    pub(super) values: BTreeMap<&'static str, (Value, Origin)>,
    pub(super) problems: Vec<Problem>,
}

impl Settings {
    /// The defaults.
    pub(super) fn new() -> Settings {
        let with_default = |(key, _)| Some((key, (default(key)?.clone(), Origin::Default)));
        Settings {
            values: KEYS.into_iter().filter_map(with_default).collect(),
            problems: Vec::new(),
        }
    }

    /// Lays a file over what is there.
    pub(super) fn add_file(&mut self, path: &Path, must_exist: bool) {
        let root = match read_file(path, must_exist) {
            Ok(root) => root,
            Err(problem) => return self.problems.push(problem),
        };
        for (name, value) in root {
            let section = format!("{name}.");
            let is_section = KEYS.iter().any(|(key, _)| key.starts_with(&section));
            match value {
                Value::Object(keys) if is_section || !keys.is_empty() => {
                    for (key, value) in keys {
                        self.add_from_file(path, &format!("{section}{key}"), value);
                    }
                }
                _ if is_section => self.problems.push(Problem::NotASection {
                    path: path.to_owned(),
                    section: name,
                }),
                value => self.add_from_file(path, &name, value),
            }
        }
    }

    fn add_from_file(&mut self, path: &Path, name: &str, value: Value) {
        if let Some((key, _)) = KEYS.iter().find(|(key, _)| *key == name) {
            let origin = Origin::File(path.to_owned());
            self.values.insert(key, (value, origin));
        } else {
            self.problems.push(Problem::Unknown {
                place: path.display().to_string(),
                what: "key",
                name: name.to_owned(),
                nearest: nearest(name).map(str::to_owned),
            });
        }
    }

    /// Lays `BURKI_EDGE_…`, then `BURKI_API_KEY`, over what is there. An empty variable counts as
    /// unset, as it does where a compose file passes one on.
    pub(super) fn add_environment(
        &mut self,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) {
        // Sorted, so that several problems come in the same order every time.
        let variables: BTreeMap<(bool, String), OsString> = environment
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .map(|(name, value)| ((name == API_KEY_VARIABLE, name), value))
            .filter(|((is_api_key, name), _)| *is_api_key || is_setting(name))
            .collect();
        for ((is_api_key, name), value) in variables {
            let sets = |key| is_api_key && key == "upstream.api_key" || variable(key) == name;
            let Some((key, form)) = KEYS.into_iter().find(|(key, _)| sets(key)) else {
                let dotted = name[PREFIX.len()..].replace("__", ".");
                self.problems.push(Problem::Unknown {
                    place: "environment".to_owned(),
                    what: "variable",
                    nearest: nearest(&dotted).map(variable),
                    name,
                });
                continue;
            };
            let origin = Origin::Environment(name);
            if let Some(text) = value.to_str() {
                self.values.insert(key, (from_variable(form, text), origin));
            } else {
                self.problems.push(Problem::Invalid {
                    origin,
                    key: key.to_owned(),
                    value: "(not shown)".to_owned(),
                    expected: "not UTF-8; expected plain text".into(),
                });
            }
        }
    }

    /// Every key as it is in effect, without secrets.
    pub(super) fn shown(&self) -> Vec<Setting> {
        let setting = |(key, form)| {
            let (value, origin) = self.values.get(key).cloned().unwrap_or_default();
            let value = match (form, value) {
                (Form::Secret(_), Value::String(_)) => "(set)".into(),
                (Form::Tokens, Value::Array(tokens)) => {
                    tokens.iter().map(|token| token["name"].clone()).collect()
                }
                (_, value) => value,
            };
            Setting { key, value, origin }
        };
        KEYS.into_iter().map(setting).collect()
    }
}

fn read_file(path: &Path, must_exist: bool) -> Result<Map<String, Value>, Problem> {
    let text = match fs::read_to_string(path) {
        Err(error) if !must_exist && error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|source| Problem::Unreadable {
            path: path.to_owned(),
            source,
        })?,
    };
    // `Display` of the parser's error would quote the line, secret and all.
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        Problem::Syntax {
            path: path.to_owned(),
            line: before.map_or(0, |before| before.matches('\n').count()) + 1,
            message: error.message().trim_end().replace('\n', ", "),
        }
    })
}

/// `sync.poll_interval` → `BURKI_EDGE_SYNC__POLL_INTERVAL`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Whether a variable is meant for the edge. Kubernetes sets `BURKI_EDGE_SERVICE_HOST`,
/// `BURKI_EDGE_PORT` and the like in every pod beside a service named `burki-edge`: no settings,
/// and no reason to refuse to start.
fn is_setting(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| {
        let of_service = rest.starts_with("PORT_") || rest.starts_with("SERVICE_");
        rest.contains("__") || !of_service && rest != "PORT"
    })
}

/// Reads a variable as its key wants it. What can't be read so stays a text, which validation
/// then refuses by name.
fn from_variable(form: Form, text: &str) -> Value {
    let read = match form {
        Form::Number(..) => text.trim().parse::<i64>().ok().map(Value::from),
        Form::Flag => text.trim().parse::<bool>().ok().map(Value::from),
        Form::List(_) | Form::Set(_) | Form::Tokens if text.trim_start().starts_with('[') => {
            let list = ValueDeserializer::parse(text.trim());
            list.and_then(Value::deserialize).ok()
        }
        Form::List(_) | Form::Set(_) => Some(text.split(',').map(str::trim).collect()),
        _ => None,
    };
    read.unwrap_or_else(|| text.into())
}

/// The known key that `unknown` was most likely meant to be: a few letters away, or the right
/// name in the wrong section.
fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.to_ascii_lowercase();
    let name = |dotted: &str| dotted.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &str| match name(known) == name(&unknown) {
        true => 1,
        false => strsim::damerau_levenshtein(known, &unknown),
    };
    let distances = KEYS.iter().map(|(key, _)| (distance(key), *key));
    let (distance, key) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(unknown.len() / 3)).then_some(key)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_letter_is_missing("sync.pol_interval", Some("sync.poll_interval"))]
    #[case::the_section_is_missing("listen", Some("server.listen"))]
    #[case::the_section_is_another("server.base_url", Some("upstream.base_url"))]
    #[case::the_case_differs("Server.Listen", Some("server.listen"))]
    #[case::an_underscore_for_a_dot("server_listen", Some("server.listen"))]
    #[case::nothing_is_near("colour", None)]
    fn the_nearest_key_is_named_where(#[case] unknown: &str, #[case] expected: Option<&str>) {
        assert_eq!(nearest(unknown), expected);
    }

    #[test]
    fn every_key_has_one_section_and_one_entry() {
        for (at, (key, _)) in KEYS.iter().enumerate() {
            assert_eq!(key.matches('.').count(), 1, "{key}");
            assert!(KEYS[..at].iter().all(|(other, _)| other != key));
        }
    }
}
