//! Reads single values out of the laid-over sources, and keeps what is wrong with them.
//!
//! A method that meets a bad value records the problem and returns something harmless, so that
//! reading goes on and finds the next one; a recorded problem means the result is thrown away.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::value::Value;
use humantime::{format_duration, parse_duration};

use super::error::Problem;
use super::keys::{self, KEYS, Kind};
use super::{Origin, Setting, sources};

/// Longer values are cut in a message.
const SHOWN_CHARACTERS: usize = 80;

pub(super) struct Reader {
    figment: Figment,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(figment: Figment, problems: Vec<Problem>) -> Reader {
        Reader { figment, problems }
    }

    /// The settings in effect, fit to be shown, and every problem met.
    pub(super) fn finish(self) -> (Vec<Setting>, Vec<Problem>) {
        let settings = KEYS
            .iter()
            .map(|key| Setting {
                key: key.name,
                value: self.get(key.name).map_or(serde_json::Value::Null, |value| {
                    presentable(key.kind, &value)
                }),
                origin: self.origin(key.name),
            })
            .collect();
        (settings, self.problems)
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn origin(&self, key: &str) -> Origin {
        sources::origin(&self.figment, key)
    }

    pub(super) fn get(&self, key: &str) -> Option<Value> {
        self.figment.find_value(key).ok()
    }

    /// Records that `key` holds what it may not; the value is shown as it was written.
    pub(super) fn refuse(&mut self, key: &str, expected: impl Display) {
        let shown = self.get(key).map(|value| shown(key, &value));
        self.refuse_as(key, shown.unwrap_or_default(), expected);
    }

    /// As [`Reader::refuse`], for a value that is shown otherwise, or must not be.
    pub(super) fn refuse_as(&mut self, key: &str, value: String, expected: impl Display) {
        self.problems.push(Problem::Invalid {
            origin: self.origin(key.split('[').next().unwrap_or(key)),
            key: key.to_owned(),
            value,
            expected: expected.to_string(),
        });
    }

    /// A text, which is never empty; `None` where the key is not set.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(_, text) if !text.trim().is_empty() => Some(text),
            Value::String(..) => {
                self.refuse(key, "empty; give it a value or remove the line");
                None
            }
            _ => {
                self.refuse(key, "not a text; put the value in double quotes");
                None
            }
        }
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.get(key) {
            Some(Value::Bool(_, flag)) => flag,
            _ => {
                self.refuse(key, "expected true or false, without quotes");
                false
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let number = match self.get(key) {
            Some(value @ Value::Num(..)) => value.deserialize::<u32>().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .unwrap_or_else(|| {
                self.refuse(
                    key,
                    format_args!(
                        "expected a whole number from {} to {}, without quotes",
                        range.start(),
                        range.end()
                    ),
                );
                *range.start()
            })
    }

    /// A duration within `range`, written with its unit.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let duration = match self.get(key) {
            Some(Value::String(_, text)) => parse_duration(text.trim()).ok(),
            _ => None,
        };
        duration
            .filter(|duration| range.contains(duration))
            .unwrap_or_else(|| {
                let default = keys::find(key).and_then(|key| key.default.value());
                self.refuse(
                    key,
                    format_args!(
                        "expected a duration with its unit, from {} to {}, such as {}",
                        format_duration(*range.start()),
                        format_duration(*range.end()),
                        default.map(|value| json(&value)).unwrap_or_default()
                    ),
                );
                *range.start()
            })
    }

    /// Bytes, written with their unit; a bare 0 has none.
    pub(super) fn size(&mut self, key: &str) -> u64 {
        let size = match self.get(key) {
            Some(Value::String(_, text)) => bytes(text.trim()),
            _ => None,
        };
        size.unwrap_or_else(|| {
            let default = keys::find(key).and_then(|key| key.default.value());
            self.refuse(
                key,
                format_args!(
                    "expected a whole number with its unit, KiB, MiB or GiB, such as {}; or \"0\" \
                     for none",
                    default.map(|value| json(&value)).unwrap_or_default()
                ),
            );
            0
        })
    }

    /// The texts of a list; a single text is a list of one.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let texts: Option<Vec<String>> = match self.get(key) {
            Some(Value::Array(_, items)) => items.into_iter().map(Value::into_string).collect(),
            Some(Value::String(_, text)) => Some(vec![text]),
            _ => None,
        };
        texts.unwrap_or_else(|| {
            self.refuse(key, "expected a list of texts, such as [\"one\", \"two\"]");
            Vec::new()
        })
    }
}

fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    if text == "0" {
        return Some(0);
    }
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), unit)))?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok())??;
    number.checked_mul(*unit)
}

/// The form for a person or a program to see: never a secret.
fn presentable(kind: Kind, value: &Value) -> serde_json::Value {
    match (kind, value) {
        (Kind::Secret, _) => "(set)".into(),
        (Kind::Tokens, Value::Array(_, tokens)) => tokens
            .iter()
            .map(|token| to_json(&token.find_ref("name").cloned().unwrap_or("".into())))
            .collect(),
        _ => to_json(value),
    }
}

/// The value of `key` in a message.
fn shown(key: &str, value: &Value) -> String {
    let kind = keys::find(key).map(|key| key.kind);
    if matches!(kind, Some(Kind::Secret | Kind::Tokens) | None) {
        return "(not shown)".to_owned();
    }
    let text = json(value);
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn json(value: &Value) -> String {
    to_json(value).to_string()
}

fn to_json(value: &Value) -> serde_json::Value {
    // Only a map with keys that are no texts can fail, and TOML has none.
    serde_json::to_value(value).unwrap_or_default()
}
