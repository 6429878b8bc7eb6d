//! The body of a change of metadata, validated as the upstream does it, with its messages.

use serde_json::Value;

use crate::http::params::validation_error::{Invalid, Problem, Step};
use crate::model::metadata_merge;

/// The compact object under `metadata`.
pub fn metadata(body: &[u8]) -> Result<String, Invalid> {
    if body.is_empty() {
        return Err(Invalid::body(None, Problem::Missing, "null"));
    }
    let not_json = |position| {
        let place = Some(Step::Position(position));
        Invalid::body(place, Problem::NotJson, "{}")
    };
    let text = std::str::from_utf8(body).map_err(|error| not_json(error.valid_up_to()))?;
    let parsed = serde_json::from_str::<Value>(text);
    parsed.map_err(|error| not_json(error.column().saturating_sub(1)))?;
    let text = metadata_merge::compact(text);
    if !text.starts_with('{') {
        return Err(Invalid::body(None, Problem::NoFields, &text));
    }
    let place = Some(Step::Name("metadata"));
    match metadata_merge::member(&text, "metadata") {
        None => Err(Invalid::body(place, Problem::Missing, &text)),
        Some(object) if object.starts_with('{') => Ok(object.to_owned()),
        Some(other) => Err(Invalid::body(place, Problem::NoObject, other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::respond::json;

    #[test]
    fn a_change_is_taken_compact_and_in_its_own_order() {
        let body = b" { \"x\": 1, \"metadata\" : {\"b\": 1.50, \"a\": null } } ";
        assert_eq!(metadata(body).unwrap(), r#"{"b":1.50,"a":null}"#);
    }

    #[test]
    fn what_is_wrong_is_told_as_the_upstream_tells_it() {
        for (body, expected) in [
            (
                &b""[..],
                r#"{"type":"missing","loc":["body"],"msg":"Field required","input":null}"#,
            ),
            (
                b"{",
                r#"{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}"#,
            ),
            (
                b"[ 1 ]",
                r#"{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[1]}"#,
            ),
            (
                b"{\"a\": 1}",
                r#"{"type":"missing","loc":["body","metadata"],"msg":"Field required","input":{"a":1}}"#,
            ),
            (
                b"{\"metadata\": [1.0]}",
                r#"{"type":"dict_type","loc":["body","metadata"],"msg":"Input should be a valid dictionary","input":[1.0]}"#,
            ),
        ] {
            let invalid = metadata(body).unwrap_err();
            assert_eq!(json(&invalid.entry()), expected);
        }
    }
}
