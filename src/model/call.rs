//! A call record: the upstream's own text, and the few fields that the edge reads from it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{InvalidTimestamp, Timestamp};

/// The key by which a call is requested.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKey {
    /// The upstream's integer `id`.
    Id(i64),
    /// The telephony provider's `call_sid`, case-sensitive.
    Sid(String),
}

/// A call as the upstream wrote it, with the typed projection that the store indexes.
///
/// `body` is the record's JSON text, byte for byte, without surrounding white space. The other
/// fields are read from it and never written back.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub id: i64,
    pub call_sid: String,
    pub assistant_id: Option<i64>,
    pub assistant_name: Option<String>,
    /// True if the text has `assistant_name`, even as `null`; a self-hosted server omits it.
    pub has_name_field: bool,
    pub customer_phone_number: Option<String>,
    /// An open-ended set; `completed` and `failed` are the documented final values.
    pub status: String,
    /// Seconds: any number that JSON can express.
    pub duration: Option<f64>,
    pub started_at: Option<Timestamp>,
    pub body: Box<str>,
}

/// The reason why a JSON value is not a call record, without any of its content: it may be logged.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCall {
    /// Holds the position only, because serde's own message quotes the offending value.
    #[error("at byte {column} of the record: id, call_sid or status lacks or is of another type")]
    Shape { column: usize },
    #[error("record {id}: started_at can't be read")]
    StartedAt { id: i64, source: InvalidTimestamp },
}

/// Statuses after which a record is not reread at every poll: the documented ones, and those of the
/// upstream's telephony provider. Any other, known or not, counts as open.
const FINAL_STATUSES: [&str; 5] = ["completed", "failed", "no-answer", "busy", "canceled"];

/// The fields that are read. The first four must have the right type; of the others, a value that
/// does not fit its column is stored in the text alone.
#[derive(Deserialize)]
struct Wire<'a> {
    id: i64,
    #[serde(borrow)]
    call_sid: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    started_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    assistant_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    assistant_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    customer_phone_number: Option<&'a RawValue>,
    #[serde(borrow, default)]
    duration: Option<&'a RawValue>,
}

/// Reads a field that is present as `Some`, even if its value is `null`.
pub fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

fn lenient<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

impl Call {
    /// Reads a record from its JSON text.
    pub fn from_json(body: &str) -> Result<Call, InvalidCall> {
        let body = body.trim_matches([' ', '\t', '\r', '\n']);
        // serde would also read the fields from an array, by position.
        if !body.starts_with('{') {
            return Err(InvalidCall::Shape { column: 1 });
        }
        let wire: Wire<'_> =
            serde_json::from_str(body).map_err(|error: serde_json::Error| InvalidCall::Shape {
                column: error.column(),
            })?;
        let started_at = wire
            .started_at
            .map(|text| Timestamp::parse(&text))
            .transpose()
            .map_err(|source| InvalidCall::StartedAt {
                id: wire.id,
                source,
            })?;
        Ok(Call {
            id: wire.id,
            call_sid: wire.call_sid.into_owned(),
            assistant_id: lenient(wire.assistant_id),
            has_name_field: wire.assistant_name.is_some(),
            assistant_name: lenient(wire.assistant_name),
            customer_phone_number: lenient(wire.customer_phone_number),
            status: wire.status.into_owned(),
            // Turns -0.0 into 0.0: no column needs the sign.
            duration: lenient(wire.duration).map(|seconds: f64| seconds + 0.0),
            started_at,
            body: body.into(),
        })
    }

    /// True if the record may change at any moment and so is reread at every poll.
    pub fn is_open(&self) -> bool {
        !FINAL_STATUSES.contains(&self.status.as_str())
    }

    /// The body's [`text_hash`]: its `ETag`, computed once, when it is written.
    pub fn body_hash(&self) -> i64 {
        text_hash(&self.body)
    }
}

/// The first 64 bits of a text's SHA-256.
pub fn text_hash(text: &str) -> i64 {
    let digest = Sha256::digest(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"call_sid":"v3:aB_c","to_phone_number":"+1","customer_phone_number":"sip:\u00e9@x","call_meta":{"n":12345678901234567890123,"f":1.10},"id":7,"assistant_id":1,"status":"in-progress","duration":null,"started_at":"2026-08-15T07:16:08","ended_at":null}"#;

    #[test]
    fn the_body_is_kept_byte_for_byte() {
        let call = Call::from_json(&format!(" {TEXT}\n")).unwrap();
        assert_eq!(&*call.body, TEXT);
        assert_eq!(call.customer_phone_number.as_deref(), Some("sip:é@x"));
        assert_eq!(call.duration, None);
        assert!(call.is_open());
    }

    /// Durations are sorted and compared by their bits, where -0.0 differs from 0.0.
    #[test]
    fn a_duration_of_minus_nothing_is_nothing() {
        let text = r#"{"id":1,"call_sid":"CA1","status":"x","duration":-0.0}"#;
        let duration = Call::from_json(text).unwrap().duration;
        assert_eq!(duration.map(f64::to_bits), Some(0));
    }

    #[test]
    fn a_field_of_an_unexpected_type_stays_in_the_text_alone() {
        let call =
            Call::from_json(r#"{"id":1,"call_sid":"a","status":"x","duration":"long"}"#).unwrap();
        assert_eq!(call.duration, None);
        assert_eq!(call.started_at, None);
    }

    #[test]
    fn a_repeated_key_is_refused_where_its_value_matters_and_kept_where_not() {
        for field in [
            r#""id":1"#,
            r#""call_sid":"a""#,
            r#""status":"x""#,
            r#""started_at":null"#,
            r#""assistant_id":1"#,
            r#""assistant_name":"n""#,
            r#""customer_phone_number":"+1""#,
            r#""duration":1"#,
        ] {
            let rest = r#""id":1,"call_sid":"a","status":"x""#;
            let rest = rest.replace(field, r#""z":0"#);
            let once = format!("{{{field},{rest}}}");
            assert!(Call::from_json(&once).is_ok(), "{once}");
            let twice = format!("{{{field},{rest},{field}}}");
            assert!(Call::from_json(&twice).is_err(), "{twice}");
        }
        // An escape spells the same key.
        let spelled = r#"{"id":1,"call_sid":"a","status":"x","\u0069d":2}"#;
        assert!(Call::from_json(spelled).is_err());
        let text = r#"{"id":1,"call_sid":"a","status":"x","ended_at":1,"ended_at":2}"#;
        assert_eq!(&*Call::from_json(text).unwrap().body, text);
    }

    #[test]
    fn depth_and_size_of_what_is_not_read_do_not_matter() {
        let deep = [&"[".repeat(10_000), "1", &"]".repeat(10_000)].concat();
        let object = [&"{\"a\":".repeat(10_000), "1", &"}".repeat(10_000)].concat();
        let long = format!("\"{}\"", "é".repeat(5 << 20));
        let figures = "9".repeat(1 << 20);
        for value in [deep, object, long, figures] {
            for field in ["call_meta", "assistant_id", "assistant_name", "duration"] {
                let text = format!(r#"{{"id":1,"call_sid":"a","status":"x","{field}":{value}}}"#);
                let call = Call::from_json(&text).unwrap();
                assert!(*call.body == *text);
                assert_eq!((call.assistant_id, call.duration), (None, None));
            }
            let text = format!(r#"{{"id":{value},"call_sid":"a","status":"x"}}"#);
            assert!(Call::from_json(&text).is_err());
            let text = format!(r#"{{"id":1,"call_sid":"a","status":"x","a":{value}"#);
            assert!(Call::from_json(&text).is_err());
        }
    }

    #[test]
    fn a_record_without_identity_or_with_an_impossible_start_is_refused() {
        for text in [
            r#"{"call_sid":"a","status":"x"}"#,
            r#"{"id":"1","call_sid":"a","status":"x"}"#,
            r#"{"id":99999999999999999999,"call_sid":"a","status":"x"}"#,
            r#"{"id":1,"call_sid":"a","status":"x","started_at":"yesterday"}"#,
            r#"{"id":-9223372036854775809,"call_sid":"a","status":"x"}"#,
            r#"{"id":1.0,"call_sid":"a","status":"x"}"#,
            r#"{"id":null,"call_sid":"a","status":"x"}"#,
            r#"{"id":1,"call_sid":2,"status":"x"}"#,
            r#"{"id":1,"call_sid":null,"status":"x"}"#,
            r#"{"id":1,"status":"x"}"#,
            r#"{"id":1,"call_sid":"a","status":{}}"#,
            r#"{"id":1,"call_sid":"a"}"#,
            r#"{"id":1,"call_sid":"a","status":"x","started_at":5}"#,
            r#"{"id":1,"call_sid":"a","status":"x""#,
            r#"{"id":1,"call_sid":"a","status":"x"},"#,
            "[]",
            // serde would read a struct's fields from an array by position.
            r#"[1,"a","x"]"#,
            r#"[1,"a","x",null,null,null,null,null]"#,
            r#""a""#,
            "null",
            "",
        ] {
            assert!(Call::from_json(text).is_err(), "{text}");
        }
    }
}
