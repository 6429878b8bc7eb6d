//! The transcript of a call, utterance by utterance.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::subject::{Kind, Subject, name};
use crate::model::Timestamp;
use crate::simulator::object::Object;
use crate::simulator::record::Flavour;

/// How long after the call's end an utterance may still be written.
const LATE: Duration = Duration::from_secs(600);

/// One row of a call's transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    pub id: i64,
    pub content: String,
    /// False for an interim guess at what is being said.
    pub is_final: bool,
    /// `user` or `assistant`.
    pub speaker: Option<String>,
    /// Seconds from the start of the call.
    pub segment_start: Option<f64>,
    pub segment_end: Option<f64>,
    /// From 0 to 1.
    pub confidence: Option<f64>,
    /// The text of a JSON object, verbatim. Hosted only.
    pub stt_timestamps: Option<String>,
    pub created_at: Timestamp,
}

impl Transcript {
    /// The row as `flavour` serves it.
    pub(in crate::simulator) fn to_json(&self, call_id: i64, flavour: Flavour) -> String {
        let object = Object::new(flavour)
            .text("content", Some(&self.content))
            .flag("is_final", self.is_final)
            .text("speaker", self.speaker.as_deref())
            .float("segment_start", self.segment_start)
            .float("segment_end", self.segment_end)
            .float("confidence", self.confidence);
        let object = match flavour {
            Flavour::Hosted => object.raw("stt_timestamps", self.stt_timestamps.as_deref()),
            Flavour::SelfHosted => object,
        };
        object
            .integer("id", Some(self.id))
            .integer("call_id", Some(call_id))
            .date("created_at", Some(self.created_at))
            .end()
    }
}

/// Invents what has been said by now. All rows are drawn and the future ones left out, so that a
/// call in progress only ever gains rows.
pub(super) fn invent(call: &Subject<'_>) -> Vec<Transcript> {
    let mut rng = call.draw(Kind::Transcripts);
    let Some(begin) = call.begin() else {
        return Vec::new();
    };
    let rows = match rng.random_range(0..40) {
        0..5 => 0,
        5 => 250,
        _ => rng.random_range(1..24),
    };
    let is_late = rows > 0 && rng.random_ratio(1, 3);
    let mut at = begin;
    let mut transcripts: Vec<Transcript> = (0..rows)
        .map(|index| {
            // Rows of one instant are common: an answer is written together with its question.
            if rng.random_ratio(2, 3) {
                at = at + Duration::from_millis(rng.random_range(1..8) * 500);
            }
            utterance(&mut rng, call, index, at)
        })
        .collect();
    let late = utterance(&mut rng, call, rows, at);
    transcripts.retain(|row| row.created_at <= call.last());
    if let Some(end) = call.end().filter(|end| is_late && *end + LATE < call.now) {
        transcripts.push(Transcript {
            is_final: true,
            created_at: end + LATE,
            ..late
        });
    }
    transcripts
}

fn utterance(rng: &mut StdRng, call: &Subject<'_>, index: usize, at: Timestamp) -> Transcript {
    let speaker = match rng.random_range(0..9) {
        0 => None,
        1..5 => Some("user"),
        _ => Some("assistant"),
    };
    let name = name(rng);
    let content = match rng.random_range(0..12) {
        0 => format!("\"{name}\", she said, and hung up.\r\nTwice"),
        1 => String::new(),
        2 => format!("{name} – {}", "and so on, ".repeat(200)),
        _ => format!("{name} – utterance {index}"),
    };
    let heard = f64::from(rng.random_range(0..1_000_000)) / 1e6;
    let confidence = match (speaker, rng.random_range(0..10)) {
        (Some("assistant"), _) => None,
        // The lowest confidence, which the upstream takes for none in its CSV.
        (_, 0) => Some(0.0),
        (_, 1) => Some(heard / 1e5),
        _ => Some(heard),
    };
    // A call has hundreds of rows at most.
    let start = (!rng.random_ratio(1, 8)).then_some(index as f64 * 1.5);
    let words = rng.random_ratio(1, 4).then(|| {
        let word = format!(r#"{{"word":"{index}","start":0.{index},"end":1e-05}}"#);
        format!(r#"{{"words":[{word}],"größe":null}}"#)
    });
    Transcript {
        id: call.id(index),
        content,
        is_final: !rng.random_ratio(1, 5),
        speaker: speaker.map(str::to_owned),
        segment_start: start,
        segment_end: start.map(|start| start + 1.25),
        confidence,
        stt_timestamps: words,
        created_at: at,
    }
}
