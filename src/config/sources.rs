//! Defaults, file and environment, laid over one another; figment remembers which value is whose.
//!
//! Keys nobody knows are reported here and go no further: what comes out holds known keys only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::error::Problem;
use super::keys::{self, KEYS, Key, Kind};
use super::{API_KEY_VARIABLE, ENVIRONMENT_PREFIX, Origin};

const DEFAULTS: &str = "default";
const FILE: &str = "file";
const ENVIRONMENT: &str = "environment";

/// Where the file is, and whether it may be missing.
pub(super) enum File<'a> {
    /// There is none.
    None,
    /// Asked for by name: must exist.
    Given(&'a Path),
    /// Read where it exists.
    Usual(&'a Path),
}

/// One source's values, by known key.
struct Layer {
    metadata: Metadata,
    values: BTreeMap<&'static str, Value>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut sections: BTreeMap<&str, Dict> = BTreeMap::new();
        for (key, value) in &self.values {
            let (section, name) = key.split_once('.').unwrap_or((key, ""));
            sections
                .entry(section)
                .or_default()
                .insert(name.to_owned(), value.clone());
        }
        let root = sections
            .into_iter()
            .map(|(section, dict)| (section.to_owned(), Value::from(dict)))
            .collect();
        Ok(Profile::Default.collect(root))
    }
}

/// Lays the sources over one another, later over earlier: defaults, file, `BURKI_EDGE_…`,
/// `BURKI_API_KEY`. An empty variable counts as unset, as it does where a compose file passes
/// one on.
pub(super) fn gather(
    file: File<'_>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Figment {
    let defaults = KEYS
        .iter()
        .filter_map(|key| Some((key.name, key.default.value()?)))
        .collect();
    let mut figment = Figment::from(Layer {
        metadata: Metadata::named(DEFAULTS),
        values: defaults,
    });
    if let Some(layer) = read_file(file, problems) {
        figment = figment.merge(layer);
    }
    let (settings, api_key) = read_environment(environment, problems);
    figment.merge(settings).merge(api_key)
}

/// Who set `key`.
pub(super) fn origin(figment: &Figment, key: &str) -> Origin {
    let Some(metadata) = figment.find_metadata(key) else {
        return Origin::Default;
    };
    match (metadata.name.as_ref(), &metadata.source) {
        (FILE, Some(Source::File(path))) => Origin::File(path.clone()),
        (ENVIRONMENT, _) => Origin::Environment(keys::variable(key)),
        (API_KEY_VARIABLE, _) => Origin::Environment(API_KEY_VARIABLE.to_owned()),
        _ => Origin::Default,
    }
}

fn read_file(file: File<'_>, problems: &mut Vec<Problem>) -> Option<Layer> {
    let (path, may_be_missing) = match file {
        File::None => return None,
        File::Given(path) => (path, false),
        File::Usual(path) => (path, true),
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if may_be_missing && error.kind() == io::ErrorKind::NotFound => return None,
        Err(source) => {
            problems.push(Problem::Unreadable {
                path: path.to_owned(),
                source,
            });
            return None;
        }
    };
    let root = match parse_toml(&text) {
        Ok(root) => root,
        Err((line, message)) => {
            problems.push(Problem::Syntax {
                path: path.to_owned(),
                line,
                message,
            });
            return None;
        }
    };
    let mut values = BTreeMap::new();
    for (name, value) in root {
        match value {
            Value::Dict(_, dict) if keys::is_section(&name) || !dict.is_empty() => {
                for (key, value) in dict {
                    keep(path, &format!("{name}.{key}"), value, &mut values, problems);
                }
            }
            _ if keys::is_section(&name) => problems.push(Problem::NotASection {
                path: path.to_owned(),
                section: name,
            }),
            value => keep(path, &name, value, &mut values, problems),
        }
    }
    // Without Figment's own path handling, which would make the name absolute.
    let metadata = Metadata::from(FILE, Source::File(PathBuf::from(path)));
    Some(Layer { metadata, values })
}

fn keep(
    path: &Path,
    name: &str,
    value: Value,
    values: &mut BTreeMap<&'static str, Value>,
    problems: &mut Vec<Problem>,
) {
    match keys::find(name) {
        Some(key) => {
            values.insert(key.name, value);
        }
        None => problems.push(Problem::Unknown {
            place: path.display().to_string(),
            what: "key",
            name: name.to_owned(),
            nearest: keys::nearest(name).map(str::to_owned),
        }),
    }
}

/// The document, or the line and the reason. `Display` of the parser's own error would quote the
/// line, secret and all.
fn parse_toml(text: &str) -> Result<Dict, (usize, String)> {
    Toml::from_str::<Dict>(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
        (line, error.message().trim_end().replace('\n', ", "))
    })
}

fn read_environment(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> (Layer, Layer) {
    let mut settings = Layer {
        metadata: Metadata::named(ENVIRONMENT),
        values: BTreeMap::new(),
    };
    let mut api_key = Layer {
        metadata: Metadata::named(API_KEY_VARIABLE),
        values: BTreeMap::new(),
    };
    // Sorted, so that several problems come in the same order every time.
    let ours: BTreeMap<String, OsString> = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name == API_KEY_VARIABLE || name.starts_with(ENVIRONMENT_PREFIX))
        .filter(|(name, value)| !value.is_empty() && !is_service_link(name))
        .collect();
    for (name, value) in ours {
        let (layer, key) = if name == API_KEY_VARIABLE {
            (&mut api_key, keys::find("upstream.api_key"))
        } else {
            let key = KEYS.iter().find(|key| keys::variable(key.name) == name);
            (&mut settings, key)
        };
        let Some(key) = key else {
            let dotted = name[ENVIRONMENT_PREFIX.len()..].replace("__", ".");
            problems.push(Problem::Unknown {
                place: ENVIRONMENT.to_owned(),
                what: "variable",
                nearest: keys::nearest(&dotted).map(keys::variable),
                name,
            });
            continue;
        };
        match value.into_string() {
            Ok(text) => {
                layer.values.insert(key.name, from_variable(key, &text));
            }
            Err(_) => problems.push(Problem::Invalid {
                origin: Origin::Environment(name),
                key: key.name.to_owned(),
                value: "(not shown)".to_owned(),
                expected: "not UTF-8; expected plain text".to_owned(),
            }),
        }
    }
    (settings, api_key)
}

/// Kubernetes sets `BURKI_EDGE_SERVICE_HOST`, `BURKI_EDGE_PORT` and the like in every pod beside
/// a service named `burki-edge`; they are none of ours and no reason to refuse to start.
fn is_service_link(name: &str) -> bool {
    name.strip_prefix(ENVIRONMENT_PREFIX).is_some_and(|rest| {
        !rest.contains("__")
            && (rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_"))
    })
}

/// Reads a variable as its key wants it. What can't be read so stays a text, which the typed
/// reading then refuses by name.
fn from_variable(key: &Key, text: &str) -> Value {
    let parsed = match key.kind {
        Kind::Text | Kind::Secret => None,
        Kind::Number => text.trim().parse::<i64>().ok().map(Value::from),
        Kind::Flag => text.trim().parse::<bool>().ok().map(Value::from),
        Kind::List | Kind::Tokens if text.trim_start().starts_with('[') => toml_value(text),
        Kind::List => Some(Value::from(
            text.split(',').map(str::trim).collect::<Vec<_>>(),
        )),
        Kind::Tokens => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

fn toml_value(text: &str) -> Option<Value> {
    let mut root = parse_toml(&format!("value = {text}")).ok()?;
    let value = root.remove("value");
    value.filter(|_| root.is_empty())
}
