//! The body of a change of metadata, validated as the upstream does it, with its messages.

use serde_json::Value;

use crate::http::respond::json;
use crate::model::metadata_merge;

/// The compact object under `metadata`. The error is an entry of the upstream's 422, as the hosted
/// version writes it (without `url`).
pub fn metadata(body: &[u8]) -> Result<String, String> {
    if body.is_empty() {
        return Err(missing(&["body"], "null"));
    }
    let text = std::str::from_utf8(body).map_err(|error| not_json(error.valid_up_to()))?;
    let parsed = serde_json::from_str::<Value>(text);
    parsed.map_err(|error| not_json(error.column().saturating_sub(1)))?;
    let text = metadata_merge::compact(text);
    if !text.starts_with('{') {
        let message = "Input should be a valid dictionary or object to extract fields from";
        return Err(entry("model_attributes_type", &["body"], message, &text));
    }
    match metadata_merge::member(&text, "metadata") {
        None => Err(missing(&["body", "metadata"], &text)),
        Some(object) if object.starts_with('{') => Ok(object.to_owned()),
        Some(other) => {
            let message = "Input should be a valid dictionary";
            Err(entry("dict_type", &["body", "metadata"], message, other))
        }
    }
}

fn missing(place: &[&str], input: &str) -> String {
    entry("missing", place, "Field required", input)
}

/// `input` is JSON.
fn entry(kind: &str, place: &[&str], message: &str, input: &str) -> String {
    let place = json(&place);
    format!(r#"{{"type":"{kind}","loc":{place},"msg":"{message}","input":{input}}}"#)
}

fn not_json(column: usize) -> String {
    format!(
        r#"{{"type":"json_invalid","loc":["body",{column}],"msg":"JSON decode error","input":{{}},"ctx":{{"error":"Expecting value"}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(metadata(body).unwrap_err(), expected);
        }
    }
}
