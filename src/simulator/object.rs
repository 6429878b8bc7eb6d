//! A compact JSON object, written member by member in the upstream's order.

use super::json::push_string;
use super::python;
use super::record::Flavour;
use crate::model::Timestamp;

pub(super) struct Object {
    out: String,
    flavour: Flavour,
}

impl Object {
    /// Starts an object whose dates have the form of `flavour`.
    pub(super) fn new(flavour: Flavour) -> Object {
        Object {
            out: String::from("{"),
            flavour,
        }
    }

    /// Adds a value that is already JSON text; `None` is `null`.
    pub(super) fn raw(mut self, key: &str, value: Option<&str>) -> Object {
        self.key(key);
        self.out.push_str(value.unwrap_or("null"));
        self
    }

    pub(super) fn text(mut self, key: &str, value: Option<&str>) -> Object {
        self.key(key);
        match value {
            Some(value) => push_string(&mut self.out, value),
            None => self.out.push_str("null"),
        }
        self
    }

    pub(super) fn integer(self, key: &str, value: Option<i64>) -> Object {
        let text = value.map(|value| value.to_string());
        self.raw(key, text.as_deref())
    }

    pub(super) fn float(self, key: &str, value: Option<f64>) -> Object {
        let text = value.map(python::float);
        self.raw(key, text.as_deref())
    }

    pub(super) fn flag(self, key: &str, value: bool) -> Object {
        self.raw(key, Some(if value { "true" } else { "false" }))
    }

    pub(super) fn date(self, key: &str, value: Option<Timestamp>) -> Object {
        let text = value.map(|instant| self.flavour.date(instant));
        self.text(key, text.as_deref())
    }

    pub(super) fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        push_string(&mut self.out, key);
        self.out.push(':');
    }
}

/// A compact list of JSON texts.
pub(super) fn list(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<String>>().join(","))
}
