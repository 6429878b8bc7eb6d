//! Merges a change of a call's metadata into the call's text, without I/O and byte for byte.
//!
//! A change is a JSON object: its members are inserted, and a `null` removes its key. Only the
//! value of the top-level `call_meta` changes. Everything around it, and every member that the
//! change does not name, keeps its key order, escapes and number texts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

const CALL_META: &str = "call_meta";

/// The call's text with these changes applied in order; `None` if any of them is not an object.
pub fn overlay<'c>(body: &str, changes: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let object = Object::read(body)?;
    let before = object.get(CALL_META);
    let mut meta = before.map(str::to_owned);
    for change in changes {
        meta = Some(merged(meta.as_deref(), change)?);
    }
    let Some(meta) = meta else {
        return Some(body.to_owned());
    };
    let Some(before) = before else {
        let (rest, comma) = (body.trim_end().strip_suffix('}')?, !object.is_empty());
        let comma = if comma { "," } else { "" };
        return Some(format!("{rest}{comma}\"{CALL_META}\":{meta}}}"));
    };
    // `before` is a slice of `body`, so its offset is the difference of their addresses.
    let start = before.as_ptr() as usize - body.as_ptr() as usize;
    let (head, tail) = (body.get(..start)?, body.get(start + before.len()..)?);
    Some(format!("{head}{meta}{tail}"))
}

/// The JSON text of the call's metadata.
pub fn call_meta(body: &str) -> Option<&str> {
    member(body, CALL_META)
}

/// The JSON text of a key's value; the last one if the key is repeated.
pub fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    Object::read(object)?.get(key)
}

/// The metadata with a change applied: a known key keeps its place, a new one goes last. Metadata
/// that is not an object counts as empty; `None` if the change is not an object.
pub fn merged(meta: Option<&str>, change: &str) -> Option<String> {
    let mut object = meta.and_then(Object::read).unwrap_or_default();
    for (name, key, value) in Object::read(change)?.into_members() {
        match value {
            "null" => object.remove(&name),
            _ => object.put(name, key, value),
        }
    }
    Some(object.write())
}

/// True if the metadata already has what the change would set.
pub fn is_done(meta: Option<&str>, change: &str) -> bool {
    let object = meta.and_then(Object::read).unwrap_or_default();
    let Some(change) = Object::read(change) else {
        return false;
    };
    let mut members = change.into_members();
    members.all(|(name, _, value)| says(&object, &name, value))
}

/// The keys of the change whose values differ both from before and from what the change would set:
/// another client wrote them.
pub fn conflicts(before: Option<&str>, now: Option<&str>, change: &str) -> Vec<String> {
    let object = |meta: Option<&'_ str>| meta.map(str::to_owned).unwrap_or_default();
    let (before, now) = (object(before), object(now));
    let before = Object::read(&before).unwrap_or_default();
    let now = Object::read(&now).unwrap_or_default();
    let members = Object::read(change).unwrap_or_default().into_members();
    members
        .filter(|(name, _, value)| {
            let was = before.get(name).unwrap_or("null");
            !says(&now, name, was) && !says(&now, name, value)
        })
        .map(|(name, ..)| name)
        .collect()
}

/// True if the key has this value. `null` also matches a missing key.
fn says(object: &Object<'_>, name: &str, value: &str) -> bool {
    same(object.get(name).unwrap_or("null"), value)
}

/// JSON without the white space between its tokens. The text must be valid JSON.
pub fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let kept = json.chars().filter(|c| {
        let kept = quoted || !c.is_ascii_whitespace();
        (quoted, escaped) = match c {
            '"' => (quoted == escaped, false),
            '\\' => (quoted, quoted && !escaped),
            _ => (quoted, false),
        };
        kept
    });
    kept.collect()
}

/// True if two texts are equal JSON. A server may write a fraction differently (`2.50` as `2.5`),
/// but never an integer.
fn same(a: &str, b: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    a == b || matches!((parse(a), parse(b)), (Some(a), Some(b)) if equal(&a, &b))
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a != b => {
            let is_integer = |text: &str| text.bytes().all(|byte| b"-0123456789".contains(&byte));
            let both = is_integer(&a.to_string()) && is_integer(&b.to_string());
            !both && a.as_f64().is_some_and(f64::is_finite) && a.as_f64() == b.as_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| equal(a, b));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}

/// An object's members in order, as texts. A repeated key has its last value in its first place, as
/// Python reads it.
#[derive(Default)]
struct Object<'a> {
    /// The key as the text spells it, and its value; `None` once removed.
    members: Vec<Option<(&'a str, &'a str)>>,
    places: HashMap<String, usize>,
}

impl<'a> Object<'a> {
    fn read(text: &'a str) -> Option<Object<'a>> {
        serde_json::from_str(text).ok()
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let place = self.places.get(name)?;
        self.members[*place].map(|(_, value)| value)
    }

    fn put(&mut self, name: String, key: &'a str, value: &'a str) {
        let next = self.members.len();
        let place = *self.places.entry(name).or_insert(next);
        match self.members.get_mut(place) {
            Some(Some((_, known))) => *known = value,
            _ => self.members.push(Some((key, value))),
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(place) = self.places.remove(name) {
            self.members[place] = None;
        }
    }

    /// Name, key as the text spells it, and value of each member, in order.
    fn into_members(self) -> impl Iterator<Item = (String, &'a str, &'a str)> {
        let mut names: Vec<_> = self.places.into_iter().collect();
        names.sort_unstable_by_key(|(_, place)| *place);
        let members = self.members;
        names
            .into_iter()
            .filter_map(move |(name, place)| members[place].map(|(key, value)| (name, key, value)))
    }

    fn write(&self) -> String {
        let members = self.members.iter().flatten();
        let members: Vec<String> = members
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object::default();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    let name: Cow<'_, str> = serde_json::from_str(key.get())
                        .map_err(|_| serde::de::Error::custom("a key that is no text"))?;
                    object.put(name.into_owned(), key.get(), value.get());
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    const BODY: &str = r#"{"call_sid":"CA\u0031", "n":1.10,"call_meta":{"b":1E2,"\u0061":"\u00e9","x":{"call_meta":0}},"id":12345678901234567890123,"z":{"call_meta":{"b":9}}}"#;

    #[test]
    fn only_the_metadata_changes_and_in_it_only_what_is_named() {
        let change = r#"{"a":"new","c":[1.50],"x":null}"#;
        assert_eq!(
            overlay(BODY, [change]).unwrap(),
            r#"{"call_sid":"CA\u0031", "n":1.10,"call_meta":{"b":1E2,"\u0061":"new","c":[1.50]},"id":12345678901234567890123,"z":{"call_meta":{"b":9}}}"#
        );
        assert_eq!(overlay(BODY, []).unwrap(), BODY);
        let twice = overlay(BODY, [r#"{"b":null}"#, r#"{"b":2}"#]).unwrap();
        assert_eq!(
            call_meta(&twice),
            Some(r#"{"\u0061":"\u00e9","x":{"call_meta":0},"b":2}"#)
        );
    }

    #[test]
    fn metadata_that_is_null_or_missing_becomes_the_change() {
        for (body, expected) in [
            (
                r#"{"call_meta":null,"id":1}"#,
                r#"{"call_meta":{"a":1},"id":1}"#,
            ),
            (r#"{"id":1}"#, r#"{"id":1,"call_meta":{"a":1}}"#),
            ("{}", r#"{"call_meta":{"a":1}}"#),
            (r#"{"call\u005fmeta":{}}"#, r#"{"call\u005fmeta":{"a":1}}"#),
        ] {
            assert_eq!(overlay(body, [r#"{"a":1}"#]).unwrap(), expected);
        }
        assert_eq!(overlay("[]", [r#"{"a":1}"#]), None);
        assert_eq!(overlay("{}", ["[]"]), None);
    }

    #[test]
    fn a_change_is_done_when_every_key_says_so_however_a_fraction_is_written() {
        let meta = Some(r#"{"a":2.5,"b":{"x":[1,100.0]},"big":12345678901234567890123}"#);
        assert!(is_done(meta, r#"{"a":2.50,"b":{"x":[1,1e2]},"gone":null}"#));
        assert!(is_done(meta, "{}"));
        for change in [
            r#"{"a":2.51}"#,
            r#"{"a":null}"#,
            r#"{"c":0}"#,
            r#"{"big":12345678901234567890124}"#,
            r#"{"b":{"x":[1]}}"#,
        ] {
            assert!(!is_done(meta, change), "{change}");
        }
        assert!(is_done(None, r#"{"a":null}"#) && !is_done(Some("null"), r#"{"a":1}"#));
    }

    #[test]
    fn a_conflict_is_a_key_that_somebody_else_made_say_something_else() {
        let before = Some(r#"{"same":1,"changed":1,"ours":1,"gone":1}"#);
        let now = Some(r#"{"same":1.0,"changed":2,"ours":5,"new":7}"#);
        let change = r#"{"same":5,"changed":5,"ours":5,"gone":5,"new":5,"never":5,"x":null}"#;
        assert_eq!(conflicts(before, now, change), ["changed", "gone", "new"]);
        assert!(conflicts(None, None, change).is_empty());
    }

    #[test]
    fn white_space_goes_and_what_is_quoted_stays() {
        let text = " { \"a b\" : [ 1 , \"x \\\" y \\\\\" , { } ] ,\n\"c\":\t\" \" } ";
        assert_eq!(
            compact(text),
            "{\"a b\":[1,\"x \\\" y \\\\\",{}],\"c\":\" \"}"
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Keys from a small set, so that objects share some.
    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("a".to_owned()),
            Just("é".to_owned()),
            Just("call_meta".to_owned()),
            Just("\"\\\n".to_owned()),
            any::<String>(),
        ]
    }

    fn object() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map(key(), value(), 0..6).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        /// The text is what a merge of the values gives, and the change is then done.
        #[test]
        fn the_merge_is_that_of_the_values(
            meta in prop::option::of(object()),
            rest in object(),
            changes in prop::collection::vec(object(), 0..4),
            pretty in any::<bool>(),
        ) {
            let mut call = Map::from_iter([("id".to_owned(), json!(1))]);
            call.extend(rest.into_iter().filter(|(key, _)| key != CALL_META));
            call.insert(CALL_META.to_owned(), meta.clone().map_or(Value::Null, Value::Object));
            let text = match pretty {
                true => serde_json::to_string_pretty(&call).unwrap(),
                false => serde_json::to_string(&call).unwrap(),
            };
            let mut expected = meta.unwrap_or_default();
            for change in &changes {
                for (key, value) in change {
                    match value {
                        Value::Null => expected.remove(key),
                        value => expected.insert(key.clone(), value.clone()),
                    };
                }
            }
            let texts: Vec<String> =
                changes.iter().map(|change| serde_json::to_string(change).unwrap()).collect();
            let laid = overlay(&text, texts.iter().map(String::as_str)).unwrap();
            let read: Map<String, Value> = serde_json::from_str(&laid).unwrap();
            if !changes.is_empty() {
                call.insert(CALL_META.to_owned(), Value::Object(expected));
            }
            prop_assert_eq!(read, call);
            if let Some(last) = texts.last() {
                prop_assert!(is_done(call_meta(&laid), last));
                prop_assert!(conflicts(call_meta(&text), call_meta(&laid), last).is_empty() || changes.len() > 1);
            }
            // The text around the metadata is unchanged.
            let (was, is) = (call_meta(&text).unwrap(), call_meta(&laid).unwrap());
            let at = was.as_ptr() as usize - text.as_ptr() as usize;
            prop_assert_eq!(&text[..at], &laid[..at]);
            prop_assert_eq!(&text[at + was.len()..], &laid[at + is.len()..]);
        }

        #[test]
        fn compacting_changes_no_value(value in value()) {
            let text = compact(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(text, serde_json::to_string(&value).unwrap());
        }
    }
}
