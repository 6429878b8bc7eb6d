//! A call as the upstream stores it, and the text that each of its versions writes for it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::push_string;
use crate::model::{InvalidTimestamp, Timestamp, Unit};

/// The live version that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `api.burki.dev`: both slash forms, totals, names, costs, zoned dates.
    Hosted,
    /// The open-source server: redirects, bare arrays, naive dates, `url` in errors.
    SelfHosted,
}

impl Flavour {
    /// A date in the form that this version writes: naive, or with a `Z`.
    pub(super) fn date(self, instant: Timestamp) -> String {
        let mut text = instant.to_naive();
        if self == Flavour::Hosted {
            text.push('Z');
        }
        text
    }
}

/// A call record. Its text is a function of these fields and the flavour alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: i64,
    pub call_sid: Arc<str>,
    pub to_phone_number: Arc<str>,
    pub customer_phone_number: Box<str>,
    /// The text of a JSON object, verbatim; `None` is `null`.
    pub call_meta: Option<Box<str>>,
    pub assistant_id: i64,
    /// Served by the hosted version only; both filter by it.
    pub assistant_name: Option<Arc<str>>,
    /// Hosted only.
    pub flow_name: Option<Arc<str>>,
    pub status: Arc<str>,
    /// Seconds; a whole number is written as an integer.
    pub duration: Option<f64>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Hosted only; `None` until the call is billed.
    pub costs: Option<Box<Costs>>,
}

/// The costs of a call: texts of JSON numbers, verbatim, so that `1e-05` and `0.10` stay as they
/// are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    pub total: Option<Box<str>>,
    pub llm: Option<Box<str>>,
    pub tts: Option<Box<str>>,
    pub stt: Option<Box<str>>,
    pub telephony: Option<Box<str>>,
    /// The ISO 4217 code as plain text.
    pub currency: Option<Arc<str>>,
}

/// The reason why a text is not a record of this flavour.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    #[error("the text is no call record")]
    Shape(#[from] serde_json::Error),
    #[error("the text has a date that is {0}")]
    Date(#[from] InvalidTimestamp),
    #[error("record {id}: the text is not the one this flavour writes for its fields")]
    NotReproducible { id: i64 },
    #[error(transparent)]
    Taken(#[from] super::Taken),
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    call_sid: Cow<'a, str>,
    #[serde(borrow)]
    to_phone_number: Cow<'a, str>,
    #[serde(borrow)]
    customer_phone_number: Cow<'a, str>,
    #[serde(borrow)]
    call_meta: Option<&'a RawValue>,
    id: i64,
    assistant_id: i64,
    assistant_name: Option<String>,
    flow_name: Option<String>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    duration: Option<f64>,
    started_at: Option<String>,
    ended_at: Option<String>,
    #[serde(borrow)]
    total_cost: Option<&'a RawValue>,
    #[serde(borrow)]
    llm_cost: Option<&'a RawValue>,
    #[serde(borrow)]
    tts_cost: Option<&'a RawValue>,
    #[serde(borrow)]
    stt_cost: Option<&'a RawValue>,
    #[serde(borrow)]
    telephony_cost: Option<&'a RawValue>,
    cost_currency: Option<String>,
}

impl Record {
    /// Reads a record from the text that `flavour` serves. A text that the flavour would not write
    /// itself is refused, so every accepted one is served again byte for byte.
    pub fn from_json(flavour: Flavour, text: &str) -> Result<Record, InvalidRecord> {
        let wire: Wire<'_> = serde_json::from_str(text)?;
        let date = |text: Option<String>| text.map(|text| Timestamp::parse(&text)).transpose();
        let raw = |raw: Option<&RawValue>| raw.map(|raw| Box::from(raw.get()));
        let costs = Costs {
            total: raw(wire.total_cost),
            llm: raw(wire.llm_cost),
            tts: raw(wire.tts_cost),
            stt: raw(wire.stt_cost),
            telephony: raw(wire.telephony_cost),
            currency: wire.cost_currency.map(Arc::from),
        };
        let record = Record {
            id: wire.id,
            call_sid: wire.call_sid.into(),
            to_phone_number: wire.to_phone_number.into(),
            customer_phone_number: wire.customer_phone_number.into(),
            call_meta: raw(wire.call_meta),
            assistant_id: wire.assistant_id,
            assistant_name: wire.assistant_name.map(Arc::from),
            flow_name: wire.flow_name.map(Arc::from),
            status: wire.status.into(),
            duration: wire.duration,
            started_at: date(wire.started_at)?,
            ended_at: date(wire.ended_at)?,
            costs: (costs != Costs::default()).then(|| Box::new(costs)),
        };
        if record.to_json(flavour) == text {
            Ok(record)
        } else {
            Err(InvalidRecord::NotReproducible { id: record.id })
        }
    }

    /// Truncates the instants as a server does that writes them in `unit`.
    pub(super) fn cut_off(&mut self, unit: Unit) {
        for instant in [&mut self.started_at, &mut self.ended_at] {
            *instant = instant.map(|instant| instant.floor(unit));
        }
    }

    /// The record as `flavour` serves it: compact JSON, raw UTF-8, keys in the upstream's order.
    pub fn to_json(&self, flavour: Flavour) -> String {
        let mut out = String::with_capacity(640);
        self.render(flavour, &mut out);
        out
    }

    /// Appends [`Record::to_json`] to `out`.
    pub fn render(&self, flavour: Flavour, out: &mut String) {
        let hosted = flavour == Flavour::Hosted;
        out.push_str("{\"call_sid\":");
        push_string(out, &self.call_sid);
        out.push_str(",\"to_phone_number\":");
        push_string(out, &self.to_phone_number);
        out.push_str(",\"customer_phone_number\":");
        push_string(out, &self.customer_phone_number);
        raw(out, "call_meta", self.call_meta.as_deref());
        raw(out, "id", Some(&self.id.to_string()));
        raw(out, "assistant_id", Some(&self.assistant_id.to_string()));
        if hosted {
            text(out, "assistant_name", self.assistant_name.as_deref());
            text(out, "flow_name", self.flow_name.as_deref());
        }
        text(out, "status", Some(&self.status));
        let duration = self.duration.map(|seconds| seconds.to_string());
        raw(out, "duration", duration.as_deref());
        date(out, "started_at", self.started_at, flavour);
        date(out, "ended_at", self.ended_at, flavour);
        if hosted {
            let none = Costs::default();
            let costs = self.costs.as_deref().unwrap_or(&none);
            raw(out, "total_cost", costs.total.as_deref());
            raw(out, "llm_cost", costs.llm.as_deref());
            raw(out, "tts_cost", costs.tts.as_deref());
            raw(out, "stt_cost", costs.stt.as_deref());
            raw(out, "telephony_cost", costs.telephony.as_deref());
            text(out, "cost_currency", costs.currency.as_deref());
        }
        out.push('}');
    }
}

fn raw(out: &mut String, key: &str, value: Option<&str>) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    out.push_str(value.unwrap_or("null"));
}

fn text(out: &mut String, key: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            raw(out, key, Some(""));
            push_string(out, value);
        }
        None => raw(out, key, None),
    }
}

fn date(out: &mut String, key: &str, value: Option<Timestamp>, flavour: Flavour) {
    let value = value.map(|instant| flavour.date(instant));
    text(out, key, value.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTED: &str = r#"{"call_sid":"v3:a_b","to_phone_number":"+1","customer_phone_number":"sip:\"é\"@x","call_meta":{"n":1.10},"id":7,"assistant_id":1,"assistant_name":"50 %","flow_name":null,"status":"completed","duration":5,"started_at":"2026-08-15T07:16:08.000001Z","ended_at":"2026-08-15T07:16:13Z","total_cost":0.10,"llm_cost":1e-05,"tts_cost":null,"stt_cost":0,"telephony_cost":null,"cost_currency":"USD"}"#;

    #[test]
    fn a_hosted_text_is_reproduced_from_its_fields() {
        let record = Record::from_json(Flavour::Hosted, HOSTED).unwrap();
        assert_eq!(record.to_json(Flavour::Hosted), HOSTED);
    }

    #[test]
    fn a_text_of_the_other_flavour_is_refused() {
        assert!(matches!(
            Record::from_json(Flavour::SelfHosted, HOSTED),
            Err(InvalidRecord::NotReproducible { id: 7 })
        ));
    }
}
