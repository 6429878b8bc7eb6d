//! A transcript as a file, in the upstream's three formats, byte for byte.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Deserialize;

use crate::http::calls::detail_filter::{Item, text};
use crate::http::params::python_format::push_ascii;
use crate::http::params::validation_error::{Invalid, Problem};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Csv,
}

impl Format {
    /// The format; plain text by default.
    pub fn of(name: Option<Cow<'_, str>>) -> Result<Format, Invalid> {
        const PATTERN: &str = "^(txt|json|csv)$";
        match name.as_deref() {
            None | Some("txt") => Ok(Format::Text),
            Some("json") => Ok(Format::Json),
            Some("csv") => Ok(Format::Csv),
            Some(other) => Err(Invalid::query("format", Problem::Pattern(PATTERN), other)),
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Format::Text => "txt",
            Format::Json => "json",
            Format::Csv => "csv",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; charset=utf-8",
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// The fields of the call that a file shows.
#[derive(Default, Deserialize)]
struct Call<'a> {
    id: i64,
    #[serde(borrow)]
    call_sid: Cow<'a, str>,
    #[serde(borrow, default)]
    started_at: Option<Cow<'a, str>>,
}

/// Writes a file. `call` is the call's record, `items` the entries of its transcript.
pub fn write(format: Format, call: &str, items: &[Item<'_>]) -> String {
    // A stored record was parsed before.
    let call: Call<'_> = serde_json::from_str(call).unwrap_or_default();
    match format {
        Format::Text => plain(&call, items),
        Format::Json => json(&call, items),
        Format::Csv => csv(items),
    }
}

fn plain(call: &Call<'_>, items: &[Item<'_>]) -> String {
    let started = match &call.started_at {
        Some(text) => text.replacen('T', " ", 1),
        None => "None".to_owned(),
    };
    let mut out = format!(
        "Call Transcript - Call ID: {}\nCall SID: {}\nStarted: {started}\n\n",
        call.id, call.call_sid
    );
    for item in items {
        let at = text(item, "created_at").unwrap_or_default();
        let speaker = text(item, "speaker").unwrap_or_else(|| "Unknown".to_owned());
        let content = text(item, "content").unwrap_or_default();
        let time = at.get(11..19).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = writeln!(out, "[{time}] {speaker}: {content}");
    }
    out
}

/// As Python's `json.dumps(…, indent=2)` writes it: ASCII only.
fn json(call: &Call<'_>, items: &[Item<'_>]) -> String {
    let mut out = format!("{{\n  \"call_id\": {},\n  \"call_sid\": ", call.id);
    push_ascii(&mut out, &call.call_sid);
    out.push_str(",\n  \"started_at\": ");
    match &call.started_at {
        Some(text) => push_ascii(&mut out, text),
        None => out.push_str("null"),
    }
    out.push_str(",\n  \"transcripts\": [");
    for (place, item) in items.iter().enumerate() {
        out.push_str(if place == 0 { "\n    {" } else { ",\n    {" });
        for (at, (name, field)) in FIELDS.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(out, "{comma}\n      \"{name}\": ");
            match (text(item, field), item.get(field)) {
                (Some(text), _) => push_ascii(&mut out, &text),
                (None, Some(value)) => out.push_str(value.get()),
                (None, None) => out.push_str("null"),
            }
        }
        out.push_str("\n    }");
    }
    out.push_str(if items.is_empty() { "]\n}" } else { "\n  ]\n}" });
    out
}

/// The fields' names in the file, and in the upstream's list.
const FIELDS: [(&str, &str); 6] = [
    ("timestamp", "created_at"),
    ("speaker", "speaker"),
    ("content", "content"),
    ("confidence", "confidence"),
    ("segment_start", "segment_start"),
    ("segment_end", "segment_end"),
];

fn csv(items: &[Item<'_>]) -> String {
    let mut out = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing to memory does not fail, and every record has as many fields.
    let _ = out.write_record(["Timestamp", "Speaker", "Content", "Confidence"]);
    for item in items {
        let number = |field| match item.get(field).map(|value| value.get()) {
            None | Some("null") => String::new(),
            // Here the upstream takes 0 for none.
            Some(text) if text.parse() == Ok(0.0) => String::new(),
            Some(text) => text.to_owned(),
        };
        let text = |field| text(item, field).unwrap_or_default();
        let _ = out.write_record([
            text("created_at"),
            text("speaker"),
            text("content"),
            number("confidence"),
        ]);
    }
    let bytes = out.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"id":1,"call_sid":"CA\"é","started_at":null,"status":"completed"}"#;

    fn item(text: &str) -> Item<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_call_without_start_or_words_has_a_file_all_the_same() {
        assert_eq!(
            write(Format::Text, CALL, &[]),
            "Call Transcript - Call ID: 1\nCall SID: CA\"é\nStarted: None\n\n"
        );
        assert_eq!(
            write(Format::Json, CALL, &[]),
            "{\n  \"call_id\": 1,\n  \"call_sid\": \"CA\\\"\\u00e9\",\n  \"started_at\": null,\n  \
             \"transcripts\": []\n}"
        );
        assert_eq!(
            write(Format::Csv, CALL, &[]),
            "Timestamp,Speaker,Content,Confidence\r\n"
        );
    }

    #[test]
    fn what_is_special_is_escaped_as_python_does() {
        let items = [item(r#"{"content":"a,\"b\"\n\u007f🇩","confidence":1e-7}"#)];
        let json = write(Format::Json, CALL, &items);
        assert!(
            json.contains(r#""content": "a,\"b\"\n\u007f\ud83c\udde9""#),
            "{json}"
        );
        assert!(json.contains(r#""confidence": 1e-7"#), "{json}");
        let csv = write(Format::Csv, CALL, &items);
        assert!(
            csv.ends_with("\r\n,,\"a,\"\"b\"\"\n\u{7f}🇩\",1e-7\r\n"),
            "{csv}"
        );
    }
}
