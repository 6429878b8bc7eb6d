//! Invented calls with everything that a real organization's records hold, drawn from one seed.
//!
//! Numbers and names repeat as they do in reality, and what tends to break a replica is common on
//! purpose: SIDs with colons, `%` and `_` in names, SIP URIs, deep metadata, integers beyond 64
//! bits, escapes, decomposed letters, costs in scientific notation.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::json::string;
use super::record::{Costs, Flavour, Record};
use crate::model::Timestamp;

/// Names of assistants and of the flows they belong to. An assistant's id is its index plus one.
const ASSISTANTS: [(&str, Option<&str>); 8] = [
    ("Sales", None),
    ("Support", Some("Support tree")),
    ("Empfang Köln", None),
    ("50% off_campaign", Some("Campaign_50%")),
    ("予約受付", None),
    ("Sales (night)", Some("Night shift")),
    ("O'Brien & \"Sons\"", None),
    ("Tier_2\\escalation", Some("Эскалация")),
];

const LINES: [&str; 4] = [
    "+18005550100",
    "+18005550101",
    "+442079460100",
    "+4930567890",
];

pub(super) const NAMES: [&str; 10] = [
    "Ada Lovelace",
    "山田太郎",
    "Zoë Müller",
    "José Ñandú",
    "e\u{301} decomposed",
    "Иван Петров",
    "<script>&amp;</script>",
    "nul-free \u{1} ctrl\ttab\nline",
    "🇩🇪 100% \"quoted\" \\ under_score",
    "\u{a0}nbsp \u{2028} عربى",
];

const SID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// The statuses of a call in progress.
pub(super) const OPEN: [&str; 2] = ["ongoing", "in-progress"];

/// Duration of the longest call, in seconds.
const LONGEST: f64 = 6.0 * 3600.0;

pub(super) struct Inventor {
    pub(super) rng: StdRng,
    customers: u32,
    assistants: Vec<(Arc<str>, Option<Arc<str>>)>,
    lines: Vec<Arc<str>>,
    currency: Arc<str>,
    open: [Arc<str>; 2],
    ended: [Arc<str>; 2],
}

/// How a call will end.
pub(super) struct Ending {
    pub(super) failed: bool,
    /// Whole seconds from its start.
    pub(super) after: Duration,
}

impl Inventor {
    /// `calls` is how many records the world will have; a quarter as many customers call.
    pub(super) fn new(seed: u64, calls: usize) -> Inventor {
        Inventor {
            rng: StdRng::seed_from_u64(seed),
            customers: u32::try_from(calls / 4).unwrap_or(u32::MAX).max(20),
            assistants: ASSISTANTS
                .iter()
                .map(|(name, flow)| (Arc::from(*name), flow.map(Arc::from)))
                .collect(),
            lines: LINES.map(Arc::from).to_vec(),
            currency: Arc::from("USD"),
            open: OPEN.map(Arc::from),
            ended: ["completed", "failed"].map(Arc::from),
        }
    }

    /// The ids and names of the assistants.
    pub(super) fn names(&self) -> impl Iterator<Item = (i64, Arc<str>)> {
        (1..).zip(self.assistants.iter().map(|(name, _)| Arc::clone(name)))
    }

    /// Ids of the assistants for which calls are invented.
    pub(super) fn assistant_ids(&self) -> impl Iterator<Item = i64> + use<> {
        (1..).take(self.assistants.len())
    }

    /// An id one to four above `last`: the ids of one organization have gaps.
    pub(super) fn id_after(&mut self, last: i64) -> i64 {
        last.saturating_add(self.rng.random_range(1..=4))
    }

    /// True once in `n` times, at random.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_ratio(1, n)
    }

    /// A call that has just begun.
    pub(super) fn call(&mut self, id: i64, started_at: Option<Timestamp>) -> Record {
        let index = self.rng.random_range(0..self.assistants.len());
        let (assistant_name, flow_name) = self.assistants[index].clone();
        let line = self.rng.random_range(0..self.lines.len());
        let open = usize::from(self.one_in(3));
        Record {
            id,
            call_sid: self.sid(),
            to_phone_number: self.lines[line].clone(),
            customer_phone_number: self.customer(),
            call_meta: self.metadata(),
            // There are at most eight assistants.
            assistant_id: index as i64 + 1,
            assistant_name: Some(assistant_name),
            flow_name,
            status: self.open[open].clone(),
            duration: None,
            started_at,
            ended_at: None,
            costs: None,
        }
    }

    /// A call of the past. It has ended, unless it would still be in progress at `now`.
    pub(super) fn past(
        &mut self,
        id: i64,
        started_at: Option<Timestamp>,
        now: Timestamp,
        flavour: Flavour,
    ) -> Record {
        let mut record = self.call(id, started_at);
        let ending = self.ending();
        let ended_at = started_at.map(|start| start + ending.after);
        if ended_at.is_none_or(|end| end <= now) {
            record.status = self.ended(ending.failed);
            // At most six hours.
            record.duration = Some(ending.after.as_secs() as f64);
            record.ended_at = ended_at;
            // A call is not billed yet within a minute of its end.
            let billed = ended_at.is_none_or(|end| now.since(end) > Duration::from_secs(60));
            if billed && flavour == Flavour::Hosted {
                record.costs = Some(Box::new(self.costs(ending.after.as_secs())));
            }
        }
        record
    }

    /// How a call in progress will end: mostly completed, after about three minutes.
    pub(super) fn ending(&mut self) -> Ending {
        let failed = self.one_in(8);
        let seconds = if failed {
            self.rng.random_range(0..3)
        } else {
            // The value is at most LONGEST, so the cast only drops the fraction.
            self.exponential(180.0).min(LONGEST) as u64
        };
        Ending {
            failed,
            after: Duration::from_secs(seconds),
        }
    }

    /// The status of a call that has ended.
    pub(super) fn ended(&self, failed: bool) -> Arc<str> {
        self.ended[usize::from(failed)].clone()
    }

    /// An exponentially distributed number: the wait between independent events of this mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        let uniform: f64 = self.rng.random();
        -mean * (1.0 - uniform).ln()
    }

    /// A fraction of a second as the upstream's clients send it: often none.
    pub(super) fn fraction(&mut self) -> Duration {
        let micros = match self.rng.random_range(0..4) {
            0 => 0,
            1 => 500_000,
            2 => 1,
            _ => self.rng.random_range(0..1_000_000),
        };
        Duration::from_micros(micros)
    }

    /// The costs of a call of this many seconds.
    pub(super) fn costs(&mut self, seconds: u64) -> Costs {
        let llm = seconds * self.rng.random_range(1..40);
        let tts = seconds * self.rng.random_range(10..200);
        let stt = seconds * 72;
        let telephony = seconds.div_ceil(60) * 8_500;
        let text = |micros| Some(amount(micros).into_boxed_str());
        Costs {
            total: text(llm + tts + stt + telephony),
            llm: text(llm),
            tts: text(tts),
            stt: text(stt),
            telephony: text(telephony),
            currency: Some(self.currency.clone()),
        }
    }

    /// One more member for a record's metadata, as the text of an object.
    pub(super) fn annotation(&mut self) -> String {
        let name = self.name();
        match self.rng.random_range(0..3) {
            0 => format!(r#"{{"note":{name}}}"#),
            1 => format!(r#"{{"lead_score":{}}}"#, self.rng.random_range(0..100)),
            _ => format!(r#"{{"reviewed":true,"reviewer":{{"name":{name}}}}}"#),
        }
    }

    fn sid(&mut self) -> Arc<str> {
        if self.one_in(5) {
            let mut sid = String::from("v3:");
            for _ in 0..64 {
                let letter = self.rng.random_range(0..SID_LETTERS.len());
                sid.push(char::from(SID_LETTERS[letter]));
            }
            return sid.into();
        }
        format!("CA{:032x}", self.rng.random::<u128>()).into()
    }

    fn customer(&mut self) -> Box<str> {
        match self.rng.random_range(0..60) {
            0 => "anonymous".into(),
            1 => {
                let who = self.rng.random_range(0..self.customers);
                format!("sip:user_{who}@pbx.example.com;transport=tls").into()
            }
            _ => {
                let who = self.rng.random_range(0..self.customers);
                format!("+1415{:07}", 5_550_000_u64 + u64::from(who)).into()
            }
        }
    }

    /// A name as a JSON string.
    fn name(&mut self) -> String {
        string(NAMES[self.rng.random_range(0..NAMES.len())])
    }

    fn metadata(&mut self) -> Option<Box<str>> {
        let text = match self.rng.random_range(0..20) {
            0 => return None,
            1..=8 => "{}".to_owned(),
            9..=11 => format!(
                r#"{{"outbound":true,"agenda":{},"custom_welcome_message":null}}"#,
                self.name()
            ),
            12..=14 => format!(
                r#"{{"media_format":{{"encoding":"audio/x-mulaw","rate":8000,"channels":1}},"stream_sid":"MZ{:032x}","note":{}}}"#,
                self.rng.random::<u128>(),
                self.name()
            ),
            15..=16 => format!(
                r#"{{"customer":{{"name":{},"tags":["vip","größe",{}],"address":{{"city":"São Paulo","geo":[-23.5505,-46.6333]}}}},"lead_score":{}.{:03},"active":true,"none":null}}"#,
                self.name(),
                self.rng.random_range(0..9999),
                self.rng.random_range(0..100),
                self.rng.random_range(1..999)
            ),
            17 => format!(
                r#"{{"deep":{{"l1":{{"l2":{{"l3":{{"l4":{{"l5":[{},[1,[2,[3]]]]}}}}}}}}}}}}"#,
                self.name()
            ),
            18 => format!(
                r#"{{"z":1,"a":2,"m":{{"z":[],"a":{{}}}},"10":"ten","9":{}}}"#,
                self.name()
            ),
            _ => format!(
                r#"{{"account":{}{:020},"ratio":1.10,"tiny":5e-324,"big":1e+308,"minus":-0.0}}"#,
                self.rng.random_range(1..999),
                self.rng.random::<u64>()
            ),
        };
        Some(text.into())
    }
}

/// Millionths of a currency unit, as Python writes that float: `0.0`, `1.5`, `5e-05`.
fn amount(micros: u64) -> String {
    let (whole, fraction) = (micros / 1_000_000, micros % 1_000_000);
    if whole == 0 && (1..100).contains(&fraction) {
        // Below 0.0001 Python writes an exponent, here with one or two significant digits.
        return match (fraction / 10, fraction % 10) {
            (0, ones) => format!("{ones}e-06"),
            (tens, 0) => format!("{tens}e-05"),
            (tens, ones) => format!("{tens}.{ones}e-05"),
        };
    }
    let digits = format!("{fraction:06}");
    let digits = digits.trim_end_matches('0');
    format!("{whole}.{}", if digits.is_empty() { "0" } else { digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_python_writes_floats() {
        for (micros, text) in [
            (0, "0.0"),
            (5, "5e-06"),
            (50, "5e-05"),
            (72, "7.2e-05"),
            (100, "0.0001"),
            (8_500, "0.0085"),
            (1_500_000, "1.5"),
        ] {
            assert_eq!(amount(micros), text);
        }
    }

    #[test]
    fn all_metadata_is_a_json_object_in_the_form_the_upstream_writes() {
        let mut inventor = Inventor::new(3, 100);
        for _ in 0..500 {
            if let Some(meta) = inventor.metadata() {
                assert!(meta.starts_with('{'));
                assert_eq!(super::super::json::compact(&meta).unwrap(), *meta);
            }
        }
    }
}
