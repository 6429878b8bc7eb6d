//! The details of a call: transcripts, recordings, messages, metrics, webhook logs.
//!
//! They are not stored. Each request invents them again from the call, the world's seed and the
//! world's present, so they are the same each time, and free until they are requested. Only what a
//! test sets, or an action changes, is stored.

mod audio;
pub(super) mod given;
mod message;
mod metrics;
mod recording;
mod subject;
mod transcript;
mod webhook;

pub use recording::Recording;
pub use transcript::Transcript;

use super::object::list;
use super::world::World;
use subject::{Kind, Subject};

impl World {
    /// The call's transcript as it is now, with rows that are not final, in list order.
    pub fn transcripts(&self, id: i64) -> Vec<Transcript> {
        let given = self
            .given
            .get(&id)
            .and_then(|given| given.transcripts.clone());
        given.unwrap_or_else(|| self.invented(id, transcript::invent))
    }

    /// Replaces the invented transcript with these rows, which lists order by `created_at`.
    pub fn set_transcripts(&mut self, id: i64, mut transcripts: Vec<Transcript>) {
        transcripts.sort_by_key(|transcript| transcript.created_at);
        self.given.entry(id).or_default().transcripts = Some(transcripts);
    }

    /// The call's recordings as they are now, in list order.
    pub fn recordings(&self, id: i64) -> Vec<Recording> {
        let given = self
            .given
            .get(&id)
            .and_then(|given| given.recordings.clone());
        given.unwrap_or_else(|| self.invented(id, recording::invent))
    }

    /// Replaces the invented recordings with these.
    pub fn set_recordings(&mut self, id: i64, mut recordings: Vec<Recording>) {
        recordings.sort_by_key(|recording| recording.created_at);
        self.given.entry(id).or_default().recordings = Some(recordings);
    }

    /// The audio of a recording, WAV or MP3 by its `format`; `None` if there is no such recording,
    /// it failed, or the call goes on.
    pub fn audio(&self, id: i64, recording_id: i64) -> Option<Vec<u8>> {
        let subject = self.subject(id).filter(Subject::is_ended)?;
        let recordings = self.recordings(id);
        let recording = recordings.iter().find(|one| one.id == recording_id)?;
        recording.is_playable().then(|| {
            let seed = recording_id.cast_unsigned();
            match recording.is_mp3() {
                true => audio::mp3(&mut subject.draw(Kind::Audio), seed),
                false => audio::wav(&mut subject.draw(Kind::Audio), seed),
            }
        })
    }

    /// Recalculates the call's metrics, some of which differ from then on.
    pub fn recalculate_metrics(&mut self, id: i64) {
        self.given.entry(id).or_default().recalculations += 1;
    }

    pub(super) fn metrics_text(&self, id: i64) -> Option<String> {
        let again = self.given.get(&id).map_or(0, |given| given.recalculations);
        let subject = self.subject(id)?;
        Some(metrics::text(&subject, again, &self.transcripts(id)))
    }

    /// The messages of `role`, or all, as a JSON list.
    pub(super) fn messages_text(&self, id: i64, role: Option<&str>) -> String {
        let spoken = self.transcripts(id);
        let messages = self.invented(id, |subject| message::invent(subject, &spoken));
        let wanted = messages
            .iter()
            .filter(|message| role.is_none_or(|role| message.role == role));
        list(wanted.map(|message| message.text(id, self.flavour())))
    }

    /// The webhook logs of a type, or all, as a JSON list.
    pub(super) fn webhook_logs_text(&self, id: i64, webhook_type: Option<&str>) -> String {
        let logs = self.invented(id, webhook::invent);
        let wanted = logs
            .iter()
            .filter(|log| webhook_type.is_none_or(|kind| log.kind == kind));
        list(wanted.map(|log| log.text(id, self.flavour())))
    }

    /// What `invent` makes for the call; empty if there is no such call.
    fn invented<T>(&self, id: i64, invent: impl FnOnce(&Subject<'_>) -> Vec<T>) -> Vec<T> {
        self.subject(id).as_ref().map(invent).unwrap_or_default()
    }

    fn subject(&self, id: i64) -> Option<Subject<'_>> {
        Some(Subject {
            record: self.get(id)?,
            flavour: self.flavour(),
            seed: self.config.seed,
            now: self.now,
        })
    }
}
