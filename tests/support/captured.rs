//! What a self-hosted server was seen to answer, and the world it was asked of, as far as its
//! answers tell.

use std::collections::BTreeMap;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Flavour, Record, Recording, Transcript, World, WorldConfig};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

const CAPTURES: &str = include_str!("../fixtures/captures.jsonl");
pub use super::key::KEY;

/// Captures whose answers depend on records that were not captured. By target, with the reason.
pub const LEFT_OUT: [(&str, &str); 6] = [
    (
        "/api/v1/calls/?limit=3&skip=4990",
        "needs the 5,000 rows before",
    ),
    (
        "/api/v1/calls/2/transcripts",
        "needs call 2, whose empty list call 5 has as well",
    ),
    ("/api/v1/calls/count", "counts all 5,000 rows"),
    (
        "/api/v1/calls/count?status=ongoing",
        "counts all 5,000 rows",
    ),
    (ANALYTICS[0], "adds up 271 rows; its own test invents them"),
    (
        ANALYTICS[1],
        "adds up 3,790 rows; its own test invents them",
    ),
];

pub const ANALYTICS: [&str; 2] = [
    "/api/v1/calls/analytics",
    "/api/v1/calls/analytics?period=90d",
];

/// Lists whose page the captured server drew from ties: what must hold is that as many rows are
/// served, each verbatim, and row for row of the same start.
pub const DRAWN: [&str; 8] = [
    "/api/v1/calls/?limit=100",
    "/api/v1/calls/?limit=3",
    "/api/v1/calls/?status=ongoing&limit=2",
    "/api/v1/calls/?status=&limit=1",
    "/api/v1/calls/?assistant_id=1&limit=2",
    "/api/v1/calls/?date_from=2026-10-13T06:00:00&date_to=2026-10-13T06:00:00&limit=5",
    "/api/v1/calls/?min_duration=6000&limit=2",
    "/api/v1/calls/?max_duration=100&limit=2",
];

#[derive(Deserialize)]
pub struct Capture {
    pub request: CapturedRequest,
    pub response: CapturedResponse,
}

#[derive(Deserialize)]
pub struct CapturedRequest {
    pub method: String,
    pub path: String,
    /// Absent where the capture carried its key and nothing else.
    pub headers: Option<BTreeMap<String, String>>,
    pub body: Option<String>,
}

#[derive(Deserialize)]
pub struct CapturedResponse {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

#[derive(Deserialize)]
pub struct Identity {
    pub id: i64,
}

pub fn captures() -> Vec<Capture> {
    let lines = CAPTURES.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The call objects of a captured body, verbatim.
pub fn calls(body: &str) -> Vec<&str> {
    let objects: Vec<&RawValue> = if body.starts_with('[') {
        serde_json::from_str(body).unwrap_or_default()
    } else {
        serde_json::from_str(body).into_iter().collect()
    };
    let texts = objects.into_iter().map(RawValue::get);
    texts
        .filter(|text| text.starts_with("{\"call_sid\""))
        .collect()
}

/// A self-hosted world without a call.
fn empty_world() -> World {
    World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        api_key: KEY.to_owned(),
        calls: 0,
        ..WorldConfig::default()
    })
}

/// A self-hosted world of exactly the captured calls, and of what belongs to them.
pub fn captured_world() -> World {
    let mut world = empty_world();
    for capture in captures() {
        for text in calls(&capture.response.body) {
            let Identity { id } = serde_json::from_str(text).unwrap();
            match world.text(id) {
                Some(known) => assert_eq!(known, text, "a call that changed between captures"),
                None => assert_eq!(world.insert_json(text).unwrap(), id),
            }
        }
    }
    // A call of this version doesn't say what its assistant is called, but an export does.
    let figures: Value = serde_json::from_str(&captured(ANALYTICS[1]).body).unwrap();
    for assistant in figures["top_assistants"].as_array().unwrap() {
        let name = assistant["assistant_name"].as_str().unwrap();
        let calls = world
            .records()
            .filter(|call| call.assistant_id == assistant["assistant_id"]);
        for id in calls.map(|call| call.id).collect::<Vec<i64>>() {
            world.update(id, |call| call.assistant_name = Some(name.into()));
        }
    }
    let said = captured("/api/v1/calls/1/transcripts?include_interim=true").body;
    let said: Vec<Value> = serde_json::from_str(&said).unwrap();
    let recorded = captured("/api/v1/calls/1/recordings").body;
    let recorded: Vec<Value> = serde_json::from_str(&recorded).unwrap();
    world.set_transcripts(1, said.iter().map(transcript).collect());
    world.set_recordings(1, recorded.iter().map(recording).collect());
    world.set_transcripts(5, Vec::new());
    world.set_recordings(5, Vec::new());
    world
}

fn text(row: &Value, key: &str) -> Option<String> {
    row[key].as_str().map(str::to_owned)
}

fn date(row: &Value, key: &str) -> Timestamp {
    Timestamp::parse(row[key].as_str().unwrap()).unwrap()
}

fn transcript(row: &Value) -> Transcript {
    Transcript {
        id: row["id"].as_i64().unwrap(),
        content: text(row, "content").unwrap(),
        is_final: row["is_final"].as_bool().unwrap(),
        speaker: text(row, "speaker"),
        segment_start: row["segment_start"].as_f64(),
        segment_end: row["segment_end"].as_f64(),
        confidence: row["confidence"].as_f64(),
        stt_timestamps: None,
        created_at: date(row, "created_at"),
    }
}

fn recording(row: &Value) -> Recording {
    Recording {
        id: row["id"].as_i64().unwrap(),
        recording_sid: text(row, "recording_sid"),
        file_path: text(row, "file_path"),
        recording_url: text(row, "recording_url"),
        duration: row["duration"].as_f64(),
        format: text(row, "format"),
        recording_type: text(row, "recording_type"),
        recording_source: text(row, "recording_source"),
        status: text(row, "status"),
        created_at: date(row, "created_at"),
    }
}

pub fn left_out(path: &str) -> Option<&'static str> {
    let found = LEFT_OUT.iter().find(|(target, _)| path == *target);
    found.map(|(_, why)| *why)
}

/// The captured answer to a GET.
pub fn captured(path: &str) -> CapturedResponse {
    let mut captures = captures().into_iter();
    let found = captures.find(|one| one.request.path == path && one.request.method == "GET");
    found.unwrap().response
}

/// Calls that add up to the figures captured. Which assistant's are on which day, and which are
/// how long, doesn't show in them.
pub fn added_up(figures: &Value) -> World {
    let mut world = empty_world();
    let last = world.now().to_naive()[..10].to_owned();
    let mut slots = Vec::new();
    for (day, counts) in figures["daily_stats"].as_object().unwrap() {
        let time = if *day == last { "05:00" } else { "12:00" };
        let start = Timestamp::parse(&format!("{day}T{time}:00")).unwrap();
        let count = |key: &str| counts[key].as_u64().unwrap();
        for index in 0..count("total") {
            let status = match index {
                index if index < count("completed") => "completed",
                index if index < count("completed") + count("failed") => "failed",
                _ => "other",
            };
            slots.push((start, status));
        }
    }
    let others = slots.iter_mut().filter(|(_, status)| *status == "other");
    let ongoing = figures["ongoing_calls"].as_u64().unwrap();
    others
        .take(ongoing as usize)
        .for_each(|slot| slot.1 = "ongoing");

    let total = figures["total_duration"].as_f64().unwrap();
    let timed = (total / figures["avg_duration"].as_f64().unwrap()).round() as u64;
    // Of a completed call, zero is no duration, and neither is null.
    let mut untimed = figures["completed_calls"].as_u64().unwrap() - timed;
    let assistants = figures["top_assistants"].as_array().unwrap();
    let all: f64 = assistants
        .iter()
        .map(|one| one["duration"].as_f64().unwrap())
        .sum();
    // What the assistants' calls took that were not completed.
    let mut uncompleted = (all - total) as i64;
    let mut slots = slots.into_iter();
    let mut id = 0;
    for assistant in assistants {
        let calls = assistant["calls"].as_u64().unwrap() as usize;
        let mut left = assistant["duration"].as_f64().unwrap() as i64;
        let mut own: Vec<(Timestamp, &str, Option<i64>)> = slots
            .by_ref()
            .take(calls)
            .map(|(start, status)| (start, status, None))
            .collect();
        for (_, status, duration) in &mut own {
            if *status == "failed" && uncompleted > 0 {
                left -= uncompleted;
                *duration = Some(std::mem::take(&mut uncompleted));
            } else if *status == "completed" && untimed > 0 {
                *duration = untimed.is_multiple_of(2).then_some(0);
                untimed -= 1;
            } else if *status == "completed" {
                *duration = Some(1);
                left -= 1;
            }
        }
        let longest = own.iter_mut().rev().find(|call| call.1 == "completed");
        *longest.unwrap().2.as_mut().unwrap() += left;
        for (started_at, status, duration) in own {
            id += 1;
            let record = Record {
                id,
                call_sid: format!("CA{id}").into(),
                to_phone_number: "+1".into(),
                customer_phone_number: "+2".into(),
                call_meta: None,
                assistant_id: assistant["assistant_id"].as_i64().unwrap(),
                assistant_name: text(assistant, "assistant_name").map(Into::into),
                flow_name: None,
                status: status.into(),
                duration: duration.map(|seconds| seconds as f64),
                started_at: Some(started_at),
                ended_at: None,
                costs: None,
            };
            world.insert(record).unwrap();
        }
    }
    world
}
