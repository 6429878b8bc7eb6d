//! Exports as files: all calls of a filter, and the transcript of one call.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::details::Key;
use super::error;
use super::exchange::ApiResponse;
use super::list::Filter;
use super::params::{Query, Reader};
use crate::simulator::details::Transcript;
use crate::simulator::order;
use crate::simulator::python::{self, ascii, float, object};
use crate::simulator::record::Flavour;
use crate::simulator::record::Record;
use crate::simulator::world::World;

const CSV: &str = "text/csv; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

impl World {
    /// Exports all matching calls, in list order. An unknown assistant has none.
    pub(super) fn export(&mut self, query: &Query) -> ApiResponse {
        let mut reader = Reader::new(query, &self.config);
        let format = reader.choice("format", &["csv", "json"], "csv");
        let hosted = self.flavour() == Flavour::Hosted;
        let filter = Filter::of_calls(&mut reader, |_| hosted);
        if !reader.errors.is_empty() {
            return error::unprocessable(self.flavour(), &reader.errors);
        }
        let mut shuffle = StdRng::from_rng(&mut self.shuffle);
        let ids = self.with_places(&filter, |places| {
            order::page(places, 0, places.len(), &mut shuffle)
        });
        let flavour = self.flavour();
        let records = ids.iter().filter_map(|id| self.get(*id));
        let mut response = if format == "csv" {
            let body = calls_csv(flavour, records);
            file(CSV, "calls_export.csv", body)
        } else {
            let calls = records.map(|record| call_json(flavour, record)).collect();
            file(JSON, "calls_export.json", python::list(0, calls))
        };
        response.records = ids;
        response
    }

    /// Exports the final rows of one call's transcript.
    pub(super) fn export_transcripts(
        &self,
        key: Key<'_>,
        query: &Query,
    ) -> Result<ApiResponse, ApiResponse> {
        let (record, (format, speaker)) = self.below(key, query, |reader| {
            let format = reader.choice("format", &["txt", "json", "csv"], "txt");
            (format, reader.text("speaker"))
        })?;
        let flavour = self.flavour();
        let mut rows = self.transcripts(record.id);
        rows.retain(|row| {
            row.is_final && speaker.is_none_or(|speaker| row.speaker.as_deref() == Some(speaker))
        });
        let name = format!("call_{}_transcript.{format}", record.id);
        Ok(match format {
            "json" => file(JSON, &name, transcript_json(flavour, record, &rows)),
            "csv" => file(CSV, &name, transcript_csv(flavour, &rows)),
            _ => file(TEXT, &name, transcript_text(flavour, record, &rows)),
        })
    }
}

/// A response that is an attachment.
fn file(content_type: &str, name: &str, body: String) -> ApiResponse {
    let mut response = ApiResponse::new(200, content_type, body);
    let disposition = format!("attachment; filename={name}");
    response.headers.push(("content-disposition", disposition));
    response
}

fn calls_csv<'a>(flavour: Flavour, records: impl Iterator<Item = &'a Record>) -> String {
    let mut out = String::from(
        "Call ID,Call SID,Assistant Name,Customer Phone,Status,Duration (seconds),Started At,Ended At\r\n",
    );
    for record in records {
        let date = |instant: Option<_>| instant.map(|at| flavour.date(at)).unwrap_or_default();
        let fields = [
            &record.id.to_string(),
            &*record.call_sid,
            record.assistant_name.as_deref().unwrap_or_default(),
            &record.customer_phone_number,
            &record.status,
            &record.duration.unwrap_or(0.0).to_string(),
            &date(record.started_at),
            &date(record.ended_at),
        ];
        python::push_row(&mut out, fields);
    }
    out
}

fn call_json(flavour: Flavour, record: &Record) -> String {
    let text = |text: Option<&str>| text.map_or_else(null, ascii);
    let date = |instant: Option<_>| instant.map_or_else(null, |at| ascii(&flavour.date(at)));
    let duration = record
        .duration
        .map_or_else(null, |seconds| seconds.to_string());
    object(
        1,
        &[
            ("id", record.id.to_string()),
            ("call_sid", ascii(&record.call_sid)),
            ("assistant_name", text(record.assistant_name.as_deref())),
            (
                "customer_phone_number",
                ascii(&record.customer_phone_number),
            ),
            ("status", ascii(&record.status)),
            ("duration", duration),
            ("started_at", date(record.started_at)),
            ("ended_at", date(record.ended_at)),
        ],
    )
}

fn transcript_json(flavour: Flavour, record: &Record, rows: &[Transcript]) -> String {
    let figure = |value: Option<f64>| value.map_or_else(null, float);
    let rows = rows.iter().map(|row| {
        object(
            2,
            &[
                ("timestamp", ascii(&flavour.date(row.created_at))),
                ("speaker", row.speaker.as_deref().map_or_else(null, ascii)),
                ("content", ascii(&row.content)),
                ("confidence", figure(row.confidence)),
                ("segment_start", figure(row.segment_start)),
                ("segment_end", figure(row.segment_end)),
            ],
        )
    });
    let started_at = record.started_at;
    object(
        0,
        &[
            ("call_id", record.id.to_string()),
            ("call_sid", ascii(&record.call_sid)),
            (
                "started_at",
                started_at.map_or_else(null, |at| ascii(&flavour.date(at))),
            ),
            ("transcripts", python::list(1, rows.collect())),
        ],
    )
}

fn transcript_csv(flavour: Flavour, rows: &[Transcript]) -> String {
    let mut out = String::from("Timestamp,Speaker,Content,Confidence\r\n");
    for row in rows {
        // Python takes a confidence of zero for none here.
        let confidence = row.confidence.filter(|confidence| *confidence != 0.0);
        let fields = [
            &*flavour.date(row.created_at),
            row.speaker.as_deref().unwrap_or_default(),
            &row.content,
            &confidence.map(float).unwrap_or_default(),
        ];
        python::push_row(&mut out, fields);
    }
    out
}

fn transcript_text(flavour: Flavour, record: &Record, rows: &[Transcript]) -> String {
    // Python prints a date with a space instead of the `T`.
    let started = record
        .started_at
        .map(|at| flavour.date(at).replace('T', " "));
    let mut out = format!(
        "Call Transcript - Call ID: {}\nCall SID: {}\nStarted: {}\n\n",
        record.id,
        record.call_sid,
        started.as_deref().unwrap_or("None")
    );
    for row in rows {
        let time = row.created_at.to_naive();
        let speaker = row.speaker.as_deref().filter(|speaker| !speaker.is_empty());
        out.push_str(&format!(
            "[{}] {}: {}\n",
            time.get(11..19).unwrap_or_default(),
            speaker.unwrap_or("Unknown"),
            row.content
        ));
    }
    out
}

fn null() -> String {
    "null".to_owned()
}
