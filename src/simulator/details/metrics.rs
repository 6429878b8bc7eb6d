//! The metrics that the upstream calculates for a call.

use rand::RngExt;
use rand::rngs::StdRng;

use super::subject::{Kind, Subject, name};
use super::transcript::Transcript;
use crate::simulator::object::{Object, list};
use crate::simulator::record::Flavour;

/// The kind of a field's value.
enum Value {
    /// The number of a speaker's rows.
    Turns(&'static str),
    /// The number of a speaker's words.
    Words(&'static str),
    Count,
    Figure,
    /// From 0 to 1, judged by a model and so different each time it is calculated.
    Share,
    Series,
    Text,
    Flag,
}

/// All fields, in their documented order.
const FIELDS: [(&str, Value); 45] = [
    ("avg_response_time", Value::Figure),
    ("fastest_response_time", Value::Figure),
    ("response_time_std", Value::Figure),
    ("conversation_flow_score", Value::Count),
    ("engagement_score", Value::Count),
    ("user_percentage", Value::Count),
    ("ai_percentage", Value::Count),
    ("user_turns", Value::Turns("user")),
    ("ai_turns", Value::Turns("assistant")),
    ("avg_customer_response_time", Value::Figure),
    ("avg_ai_response_time", Value::Figure),
    ("fastest_customer_response", Value::Figure),
    ("fastest_ai_response", Value::Figure),
    ("slowest_customer_response", Value::Figure),
    ("slowest_ai_response", Value::Figure),
    ("avg_customer_turn_duration", Value::Figure),
    ("avg_ai_turn_duration", Value::Figure),
    ("longest_customer_monologue", Value::Figure),
    ("longest_ai_monologue", Value::Figure),
    ("avg_silence_duration", Value::Figure),
    ("awkward_silences_count", Value::Count),
    ("total_silence_time", Value::Figure),
    ("silence_percentage", Value::Figure),
    ("total_customer_words", Value::Words("user")),
    ("total_ai_words", Value::Words("assistant")),
    ("customer_words_per_minute", Value::Figure),
    ("ai_words_per_minute", Value::Figure),
    ("avg_customer_words_per_turn", Value::Figure),
    ("avg_ai_words_per_turn", Value::Figure),
    ("total_speaking_time_customer", Value::Figure),
    ("total_speaking_time_ai", Value::Figure),
    ("speaking_time_ratio", Value::Figure),
    ("interruption_count", Value::Count),
    ("avg_confidence_customer", Value::Share),
    ("avg_confidence_ai", Value::Share),
    ("low_confidence_segments_count", Value::Count),
    ("avg_user_frustration", Value::Share),
    ("avg_user_stress", Value::Share),
    ("interaction_sentiment_delta", Value::Share),
    ("frustration_scores_ts", Value::Series),
    ("stress_scores_ts", Value::Series),
    ("price_sensitivity", Value::Share),
    ("primary_intent", Value::Text),
    ("intent_resolved", Value::Flag),
    ("ai_response_accuracy", Value::Share),
];

/// The metrics as JSON after `again` recalculations. If nothing was said, every figure is zero.
pub(super) fn text(call: &Subject<'_>, again: u64, spoken: &[Transcript]) -> String {
    let mut rng = call.draw(Kind::Metrics);
    let spoken: Vec<&Transcript> = spoken.iter().filter(|row| row.is_final).collect();
    let none = spoken.is_empty();
    let of = |speaker: &'static str| {
        let rows = spoken.iter();
        rows.filter(move |row| row.speaker.as_deref() == Some(speaker))
    };
    // A call has at most hundreds of rows of hundreds of words.
    let fields = FIELDS.iter();
    let object = fields.fold(Object::new(call.flavour), |object, (key, value)| {
        // Drawn for every field, so that a call's figures do not depend on what was said.
        let figure = rng.random_range(0..1_000_000_u32);
        let float = if none { 0.0 } else { f64::from(figure) / 1e3 };
        match value {
            Value::Turns(speaker) => object.integer(key, Some(of(speaker).count() as i64)),
            Value::Words(speaker) => {
                let words = of(speaker).map(|row| row.content.split_whitespace().count());
                object.integer(key, Some(words.sum::<usize>() as i64))
            }
            Value::Count if none => object.integer(key, Some(0)),
            Value::Count => object.integer(key, Some(i64::from(figure % 101))),
            Value::Figure => object.float(key, Some(float)),
            Value::Share => object.float(key, Some(judged(float / 1e3, again))),
            Value::Series => object.raw(key, Some(&series(call.flavour, &mut rng, &spoken))),
            Value::Text => object.text(key, Some(if none { "" } else { name(&mut rng) })),
            Value::Flag => object.flag(key, figure % 2 == 0 && !none),
        }
    });
    object.end()
}

/// A share as the model judges it after `again` recalculations; zero stays zero.
fn judged(share: f64, again: u64) -> f64 {
    // After a million recalculations, the judgement would repeat.
    let shift = (again % 1_000_000) as f64 * 0.17;
    if share == 0.0 {
        share
    } else {
        ((share + shift) % 1.0 * 1e6).round() / 1e6
    }
}

/// A score for every tenth row.
fn series(flavour: Flavour, rng: &mut StdRng, spoken: &[&Transcript]) -> String {
    list(spoken.iter().step_by(10).map(|row| {
        Object::new(flavour)
            .float("t", Some(row.segment_start.unwrap_or_default()))
            .float("score", Some(f64::from(rng.random_range(0..100)) / 1e2))
            .end()
    }))
}
