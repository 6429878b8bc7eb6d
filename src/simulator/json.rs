//! JSON text that keeps its order and its numbers.
//!
//! `serde_json::Value` sorts an object's keys, and the upstream does not. This module reads only as
//! much as is needed to merge metadata and to echo a refused body.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Appends `text` as a JSON string: raw UTF-8, escapes only where JSON demands them.
pub(super) fn push_string(out: &mut String, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// `text` as a JSON string.
pub(super) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_string(&mut out, text);
    out
}

/// The JSON without white space and needless escapes, as the upstream would write it back.
pub(super) fn compact(text: &str) -> Result<String, serde_json::Error> {
    // `Value` refuses JSON that is nested too deeply for the recursion below.
    let _: Value = serde_json::from_str(text)?;
    let mut out = String::with_capacity(text.len());
    push_compact(&mut out, text.trim())?;
    Ok(out)
}

fn push_compact(out: &mut String, text: &str) -> Result<(), serde_json::Error> {
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(text)?;
            for (index, (key, value)) in members.0.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                push_string(out, key);
                out.push(':');
                push_compact(out, value.get())?;
            }
            out.push_str(if members.0.is_empty() { "{}" } else { "}" });
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            for (index, element) in elements.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                push_compact(out, element.get())?;
            }
            out.push_str(if elements.is_empty() { "[]" } else { "]" });
        }
        Some(b'"') => push_string(out, &serde_json::from_str::<Cow<'_, str>>(text)?),
        _ => out.push_str(text),
    }
    Ok(())
}

/// The value of `key` in the object `text`, verbatim; `None` if there is none.
pub(super) fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let members: Members<'a> = serde_json::from_str(text).ok()?;
    members
        .0
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.get())
}

/// `base` with the members of `patch` inserted: a known key keeps its place, a new one goes last,
/// and `null` removes it. Both are compact objects.
pub(super) fn merge(base: &str, patch: &str) -> Result<String, serde_json::Error> {
    let mut members: Members<'_> = serde_json::from_str(base)?;
    let patch: Members<'_> = serde_json::from_str(patch)?;
    for (key, value) in patch.0 {
        members.put(key, value);
    }
    members.0.retain(|(_, value)| value.get() != "null");
    let members = members.0.iter();
    Ok(object(members.map(|(key, value)| (&**key, value.get()))))
}

/// The compact object `text` with `key`, at its place, written once for each of `values`, which are
/// JSON texts: even twice, or not at all.
pub(super) fn replace(text: &str, key: &str, values: &[&str]) -> Result<String, serde_json::Error> {
    let members: Members<'_> = serde_json::from_str(text)?;
    let members = members.0.iter().flat_map(|(name, value)| {
        let own = [value.get()];
        let values = if name == key { values } else { &own };
        let written = values.iter().map(|value| (&**name, *value));
        written.collect::<Vec<(&str, &str)>>()
    });
    Ok(object(members))
}

/// A compact object of keys and the JSON texts of their values.
fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (index, (key, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(&mut out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// An object's members in order. A repeated key has its last value, as Python reads it.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn put(&mut self, key: String, value: &'a RawValue) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => self.0.push((key, value)),
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members(Vec::new());
                while let Some((key, value)) = map.next_entry()? {
                    members.put(key, value);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacting_drops_white_space_and_needless_escapes_alone() {
        let text = " { \"z\" : [ 1.10 , 123456789012345678901234567890, { } ] ,\n \"a\": \"\\u00e9\\u0001\" } ";
        assert_eq!(
            compact(text).unwrap(),
            "{\"z\":[1.10,123456789012345678901234567890,{}],\"a\":\"é\\u0001\"}"
        );
        assert!(compact("{").is_err());
        assert!(compact(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_key_is_written_anew_where_it_stood_and_nowhere_deeper() {
        let text = r#"{"a":{"id":1},"id":1.10,"z":[]}"#;
        for (values, expected) in [
            (&["1", "2"][..], r#"{"a":{"id":1},"id":1,"id":2,"z":[]}"#),
            (&[], r#"{"a":{"id":1},"z":[]}"#),
            (&["1.10"], text),
        ] {
            assert_eq!(replace(text, "id", values).unwrap(), expected);
        }
    }

    #[test]
    fn merging_replaces_in_place_appends_and_removes_by_null() {
        assert_eq!(
            merge(r#"{"b":1,"a":2}"#, r#"{"a":null,"c":{"x":null},"b":3}"#).unwrap(),
            r#"{"b":3,"c":{"x":null}}"#
        );
        assert_eq!(merge("{}", "{}").unwrap(), "{}");
    }
}
