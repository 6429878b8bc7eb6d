//! The exported file: eight fields of each call, as CSV or as JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use actix_web::web::Bytes;
use csv::{QuoteStyle, Terminator, WriterBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::caching::content_coding::{Coding, Encoder};
use crate::http::params::python_format::push_ascii;
use crate::model;
use crate::store::Names;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

const HEAD: [&str; 8] = [
    "Call ID",
    "Call SID",
    "Assistant Name",
    "Customer Phone",
    "Status",
    "Duration (seconds)",
    "Started At",
    "Ended At",
];

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8",
            Format::Json => "application/json",
        }
    }

    pub fn disposition(self) -> &'static str {
        match self {
            Format::Csv => "attachment; filename=calls_export.csv",
            Format::Json => "attachment; filename=calls_export.json",
        }
    }
}

/// A file that is being written and compressed.
pub struct Document {
    encoder: Encoder,
    rows: Rows,
    /// The names of assistants whose calls have none, in JSON, by the text of their ids.
    names: HashMap<String, Box<RawValue>>,
}

/// The part that is not compressed yet.
enum Rows {
    Csv(Vec<u8>),
    Json {
        text: String,
        /// The number of calls in the file.
        count: u64,
    },
}

/// Writes a line as Python's csv module does.
fn write_line<'c>(into: &mut Vec<u8>, cells: impl Iterator<Item = &'c str>) -> io::Result<()> {
    let mut line = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .quote_style(QuoteStyle::Necessary)
        .buffer_capacity(LINE)
        .from_writer(into);
    line.write_record(cells.map(str::as_bytes))?;
    line.flush()
}

/// The buffer of a line, in bytes; most lines are shorter.
const LINE: usize = 512;

/// The eight fields, as the call's own text spells them. A missing one is null.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call_sid: Option<&'a RawValue>,
    #[serde(borrow)]
    assistant_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "model::present")]
    assistant_name: Option<&'a RawValue>,
    #[serde(borrow)]
    customer_phone_number: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    duration: Option<&'a RawValue>,
    #[serde(borrow)]
    started_at: Option<&'a RawValue>,
    #[serde(borrow)]
    ended_at: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// In the order of the columns.
    fn named(&self) -> [(&'static str, Option<&'a str>); 8] {
        [
            ("id", self.id),
            ("call_sid", self.call_sid),
            ("assistant_name", self.assistant_name),
            ("customer_phone_number", self.customer_phone_number),
            ("status", self.status),
            ("duration", self.duration),
            ("started_at", self.started_at),
            ("ended_at", self.ended_at),
        ]
        .map(|(name, raw)| (name, raw.map(RawValue::get)))
    }
}

impl Document {
    pub fn new(format: Format, coding: Coding) -> io::Result<Document> {
        let rows = match format {
            Format::Csv => {
                let mut lines = Vec::new();
                write_line(&mut lines, HEAD.into_iter())?;
                Rows::Csv(lines)
            }
            Format::Json => Rows::Json {
                text: String::new(),
                count: 0,
            },
        };
        let encoder = Encoder::new(coding)?;
        Ok(Document {
            encoder,
            rows,
            names: HashMap::new(),
        })
    }

    /// Adds the names of assistants whose calls have none.
    pub fn know(&mut self, names: Names) -> io::Result<()> {
        for (id, name) in names {
            let name = serde_json::value::to_raw_value(&name)?;
            self.names.insert(id.to_string(), name);
        }
        Ok(())
    }

    /// Adds a call.
    pub fn add(&mut self, body: &str) -> io::Result<()> {
        let mut fields: Fields<'_> = serde_json::from_str(body)?;
        let listed = fields.assistant_id.and_then(|id| self.names.get(id.get()));
        fields.assistant_name = fields.assistant_name.or(listed.map(|name| &**name));
        let fields = fields.named();
        match &mut self.rows {
            Rows::Csv(lines) => {
                let cells = fields.map(|(name, raw)| cell(name, raw));
                write_line(lines, cells.iter().map(AsRef::as_ref))?;
            }
            Rows::Json { text, count } => {
                text.push_str(if *count == 0 { "[\n  {" } else { ",\n  {" });
                for (at, (name, raw)) in fields.into_iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    text.push_str(&format!("{comma}\n    \"{name}\": "));
                    push_value(text, raw.unwrap_or("null"));
                }
                text.push_str("\n  }");
                *count += 1;
            }
        }
        Ok(())
    }

    /// The output so far.
    pub fn take(&mut self) -> io::Result<Bytes> {
        self.compress()?;
        Ok(self.encoder.take())
    }

    /// The rest of the output.
    pub fn finish(mut self) -> io::Result<Bytes> {
        if let Rows::Json { text, count } = &mut self.rows {
            text.push_str(if *count == 0 { "[]" } else { "\n]" });
        }
        self.compress()?;
        self.encoder.finish()
    }

    fn compress(&mut self) -> io::Result<()> {
        match &mut self.rows {
            Rows::Csv(lines) => {
                self.encoder.write_all(lines)?;
                lines.clear();
            }
            Rows::Json { text, .. } => {
                self.encoder.write_all(text.as_bytes())?;
                text.clear();
            }
        }
        Ok(())
    }
}

/// A field as a cell: a text without its quotes, and nothing for null, except for the duration,
/// which the upstream writes as 0.
fn cell<'a>(name: &str, raw: Option<&'a str>) -> Cow<'a, str> {
    match raw {
        None | Some("null") if name == "duration" => Cow::Borrowed("0"),
        None | Some("null") => Cow::Borrowed(""),
        Some(raw) => text(raw).unwrap_or(Cow::Borrowed(raw)),
    }
}

/// The content of a JSON text, if it is a string that UTF-8 can express.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.starts_with('"') {
        return None;
    }
    let plain = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !plain.contains('\\') {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

/// A JSON value as Python's `json.dumps` spells it.
fn push_value(into: &mut String, raw: &str) {
    match text(raw) {
        Some(text) => push_ascii(into, &text),
        // A number, or a string that only its escapes can express.
        None => into.push_str(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, bodies: &[&str]) -> String {
        let mut document = Document::new(format, Coding::Identity).unwrap();
        let mut text = Vec::new();
        for body in bodies {
            document.add(body).unwrap();
            text.extend_from_slice(&document.take().unwrap());
        }
        text.extend_from_slice(&document.finish().unwrap());
        String::from_utf8(text).unwrap()
    }

    const CALL: &str = r#"{"call_sid":"CA\u0031","customer_phone_number":"a,\"b\"","call_meta":{"id":9},"id":1, "assistant_name":"予\ud83d\ude00\n\u007f/","status":"completed","duration":null,"started_at":"2026-11-22T05:12:49.500000Z","ended_at":null}"#;

    #[test]
    fn a_csv_file_has_the_upstreams_quotes_and_line_ends() {
        let head = "Call ID,Call SID,Assistant Name,Customer Phone,Status,Duration (seconds),Started At,Ended At\r\n";
        assert_eq!(written(Format::Csv, &[]), head);
        assert_eq!(
            written(Format::Csv, &[CALL, r#"{"id":2,"duration":61}"#]),
            format!(
                "{head}1,CA1,\"予😀\n\u{7f}/\",\"a,\"\"b\"\"\",completed,0,2026-11-22T05:12:49.500000Z,\r\n2,,,,,61,,\r\n"
            )
        );
    }

    #[test]
    fn a_json_file_is_what_python_dumps() {
        assert_eq!(written(Format::Json, &[]), "[]");
        let lone = r#"{"id":2,"call_sid":"\ud800","duration":61}"#;
        assert_eq!(
            written(Format::Json, &[CALL, lone]),
            concat!(
                "[\n  {\n    \"id\": 1,\n    \"call_sid\": \"CA1\",\n",
                "    \"assistant_name\": \"\\u4e88\\ud83d\\ude00\\n\\u007f/\",\n",
                "    \"customer_phone_number\": \"a,\\\"b\\\"\",\n    \"status\": \"completed\",\n",
                "    \"duration\": null,\n    \"started_at\": \"2026-11-22T05:12:49.500000Z\",\n",
                "    \"ended_at\": null\n  },\n  {\n    \"id\": 2,\n    \"call_sid\": \"\\ud800\",\n",
                "    \"assistant_name\": null,\n    \"customer_phone_number\": null,\n",
                "    \"status\": null,\n    \"duration\": 61,\n    \"started_at\": null,\n",
                "    \"ended_at\": null\n  }\n]"
            )
        );
    }
}
