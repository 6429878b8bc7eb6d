//! The recordings of a call.

use rand::RngExt;

use super::subject::{Kind, Subject, name};
use crate::model::Timestamp;
use crate::simulator::object::Object;
use crate::simulator::record::Flavour;

const KINDS: [&str; 4] = ["full", "mixed", "user", "assistant"];

#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    pub id: i64,
    pub recording_sid: Option<String>,
    pub file_path: Option<String>,
    pub recording_url: Option<String>,
    /// Length in seconds.
    pub duration: Option<f64>,
    /// `mp3` or `wav`.
    pub format: Option<String>,
    /// `full`, `mixed`, `user`, `assistant`, …
    pub recording_type: Option<String>,
    pub recording_source: Option<String>,
    /// `recording`, `completed`, `failed`, …
    pub status: Option<String>,
    pub created_at: Timestamp,
}

impl Recording {
    /// The recording as `flavour` serves it.
    pub(in crate::simulator) fn to_json(&self, call_id: i64, flavour: Flavour) -> String {
        Object::new(flavour)
            .text("recording_sid", self.recording_sid.as_deref())
            .text("file_path", self.file_path.as_deref())
            .text("recording_url", self.recording_url.as_deref())
            .float("duration", self.duration)
            .text("format", self.format.as_deref())
            .text("recording_type", self.recording_type.as_deref())
            .text("recording_source", self.recording_source.as_deref())
            .text("status", self.status.as_deref())
            .integer("id", Some(self.id))
            .integer("call_id", Some(call_id))
            .date("created_at", Some(self.created_at))
            .end()
    }

    /// True if there is audio, or will be.
    pub(in crate::simulator) fn is_playable(&self) -> bool {
        self.status.as_deref() != Some("failed")
    }

    pub(in crate::simulator) fn is_mp3(&self) -> bool {
        self.format.as_deref() == Some("mp3")
    }
}

/// Invents none, one or a few. They have a duration once the call has ended.
pub(super) fn invent(call: &Subject<'_>) -> Vec<Recording> {
    let mut rng = call.draw(Kind::Recordings);
    let Some(begin) = call.begin().filter(|begin| *begin <= call.now) else {
        return Vec::new();
    };
    let count = match rng.random_range(0..10) {
        0..3 => 0,
        3..8 => 1,
        _ => 3,
    };
    let recordings = (0..count).map(|index| {
        let id = call.id(index);
        let format = ["wav", "mp3"][rng.random_range(0..2)];
        let kind = KINDS[(rng.random_range(0..KINDS.len()) + index) % KINDS.len()];
        let has_failed = rng.random_ratio(1, 10);
        let is_stored = rng.random_ratio(2, 3);
        let folder = name(&mut rng);
        let status = match (call.is_ended(), has_failed) {
            (false, _) => "recording",
            (true, false) => "completed",
            (true, true) => "failed",
        };
        let is_kept = status == "completed";
        let path = is_kept.then(|| format!("recordings/{folder}/{id}.{format}"));
        let url = format!("https://recordings.example.com/{id}?sig=a%2Fb&x=1");
        let length = call.record.duration.filter(|_| call.is_ended());
        Recording {
            id,
            recording_sid: (!is_stored).then(|| format!("RE{id:032x}")),
            file_path: path.filter(|_| is_stored),
            recording_url: (is_kept && !is_stored).then_some(url),
            // An invented call lasts six hours at most.
            duration: length.map(|seconds| seconds + 0.25 * index as f64),
            format: Some(format.to_owned()),
            recording_type: Some(kind.to_owned()),
            recording_source: Some(if is_stored { "s3" } else { "twilio" }.to_owned()),
            status: Some(status.to_owned()),
            created_at: begin,
        }
    });
    recordings.collect()
}
