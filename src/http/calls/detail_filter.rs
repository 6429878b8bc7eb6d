//! The filters of a call's transcript, recordings, messages and logs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use url::form_urlencoded;

use crate::http::params::validation_error::{Invalid, Problem};
use crate::model::Detail;

/// An entry of the upstream's list, by field.
pub type Item<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The value of a parameter. If it is repeated, the last counts, as with the upstream.
pub fn last<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value)
        .last()
}

/// The entries of a list that a query asks for.
pub struct Filter {
    kind: Detail,
    /// The value of the field by which the kind is filtered.
    value: Option<String>,
    /// True if transcripts that are not final are included.
    interim: bool,
}

impl Filter {
    pub fn of(kind: Detail, query: &str) -> Result<Filter, Invalid> {
        let value = field(kind).and_then(|field| last(query, field));
        let interim = match (kind, last(query, "include_interim")) {
            (Detail::Transcripts, Some(text)) => boolean(&text)
                .ok_or_else(|| Invalid::query("include_interim", Problem::Boolean, &text))?,
            _ => false,
        };
        Ok(Filter {
            kind,
            value: value.map(Cow::into_owned).filter(|value| !value.is_empty()),
            interim,
        })
    }

    /// The same for an export, which has no interim entries and no parameter for them.
    pub fn without_interim(self) -> Filter {
        Filter {
            interim: false,
            ..self
        }
    }

    /// The list of the matching entries; `None` if it is the whole text.
    pub fn applied_to(&self, body: &str) -> Option<String> {
        let finals_alone = self.kind == Detail::Transcripts && !self.interim;
        if self.value.is_none() && !finals_alone {
            return None;
        }
        let texts: Vec<&str> = self.items(body).into_iter().map(|(text, _)| text).collect();
        Some(format!("[{}]", texts.join(",")))
    }

    /// The matching entries, in the upstream's order, each with its text.
    pub fn items<'a>(&self, body: &'a str) -> Vec<(&'a str, Item<'a>)> {
        // Only lists of objects are stored.
        let texts: Vec<&RawValue> = serde_json::from_str(body).unwrap_or_default();
        let items = texts.into_iter().filter_map(|text| {
            let item: Item<'_> = serde_json::from_str(text.get()).ok()?;
            Some((text.get(), item))
        });
        items.filter(|(_, item)| self.admits(item)).collect()
    }

    fn admits(&self, item: &Item<'_>) -> bool {
        let is = |field: &str, wanted: &str| text(item, field).is_some_and(|text| text == wanted);
        let interim = item
            .get("is_final")
            .is_some_and(|value| matches!(value.get(), "false" | "null"));
        let value = match (field(self.kind), &self.value) {
            (Some(field), Some(value)) => is(field, value),
            _ => true,
        };
        value && (self.interim || !interim)
    }
}

pub fn text(item: &Item<'_>, field: &str) -> Option<String> {
    serde_json::from_str(item.get(field)?.get()).ok()
}

/// The field by which a kind is filtered; the parameter has the same name.
fn field(kind: Detail) -> Option<&'static str> {
    match kind {
        Detail::Transcripts => Some("speaker"),
        Detail::Recordings => Some("recording_type"),
        Detail::Messages => Some("role"),
        Detail::WebhookLogs => Some("webhook_type"),
        Detail::Metrics => None,
    }
}

/// A boolean as pydantic reads it from a text.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
        "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
        _ => None,
    }
}
