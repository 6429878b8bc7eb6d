//! The details of one call: lists, metrics, and audio.

use super::error;
use super::exchange::ApiResponse;
use super::params::{Integer, Query, Reader};
use crate::simulator::life::is_open;
use crate::simulator::object::list;
use crate::simulator::record::Record;
use crate::simulator::world::World;

/// How a path identifies its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Id(&'a str),
    Sid(&'a str),
}

impl World {
    /// The call, and what `read` took from the parameters. Everything that is wrong with the
    /// request is reported before it matters whether there is such a call.
    pub(super) fn below<'a, T>(
        &'a self,
        key: Key<'_>,
        query: &'a Query,
        read: impl FnOnce(&mut Reader<'a>) -> T,
    ) -> Result<(&'a Record, T), ApiResponse> {
        let mut reader = Reader::new(query, &self.config);
        let id = match key {
            Key::Id(text) => reader.path("call_id", text),
            Key::Sid(_) => None,
        };
        let parameters = read(&mut reader);
        if !reader.errors.is_empty() {
            return Err(error::unprocessable(self.flavour(), &reader.errors));
        }
        let record = match (key, &id) {
            (Key::Sid(sid), _) => self.get_by_sid(sid),
            (Key::Id(_), Some(id)) => self.get(id.value),
            (Key::Id(_), None) => None,
        };
        match (record, key) {
            (Some(record), _) => Ok((record, parameters)),
            (None, Key::Sid(sid)) => Err(error::no_such_call("SID", sid)),
            (None, Key::Id(text)) => {
                let digits = id.map_or_else(|| text.to_owned(), |id| id.digits);
                Err(error::no_such_call("ID", &digits))
            }
        }
    }

    pub(super) fn list_transcripts(
        &self,
        key: Key<'_>,
        query: &Query,
    ) -> Result<ApiResponse, ApiResponse> {
        let (record, (speaker, interim)) = self.below(key, query, |reader| {
            (reader.text("speaker"), reader.flag("include_interim"))
        })?;
        let mut rows = self.transcripts(record.id);
        rows.retain(|row| interim || row.is_final);
        rows.retain(|row| speaker.is_none_or(|speaker| row.speaker.as_deref() == Some(speaker)));
        let rows = rows
            .iter()
            .map(|row| row.to_json(record.id, self.flavour()));
        Ok(ApiResponse::json(200, list(rows)))
    }

    pub(super) fn list_recordings(
        &self,
        key: Key<'_>,
        query: &Query,
    ) -> Result<ApiResponse, ApiResponse> {
        let (record, kind) = self.below(key, query, |reader| reader.text("recording_type"))?;
        let mut rows = self.recordings(record.id);
        rows.retain(|row| kind.is_none_or(|kind| row.recording_type.as_deref() == Some(kind)));
        let rows = rows
            .iter()
            .map(|row| row.to_json(record.id, self.flavour()));
        Ok(ApiResponse::json(200, list(rows)))
    }

    /// The audio of a recording; 202 while the call goes on.
    pub(super) fn play(
        &self,
        key: Key<'_>,
        recording: &str,
        query: &Query,
    ) -> Result<ApiResponse, ApiResponse> {
        let (record, wanted) =
            self.below(key, query, |reader| reader.path("recording_id", recording))?;
        let recordings = self.recordings(record.id);
        let known = wanted.and_then(|Integer { value, .. }| {
            let mut recordings = recordings.iter();
            recordings.find(|recording| recording.id == value)
        });
        let Some(recording) = known else {
            return Err(error::detail(404, "Recording not found"));
        };
        if is_open(&record.status) {
            let body = r#"{"status":"processing","message":"Recording is still being processed"}"#;
            return Ok(ApiResponse::json(202, body));
        }
        let Some(audio) = self.audio(record.id, recording.id) else {
            return Err(error::detail(404, "Recording file not available"));
        };
        let kind = if recording.is_mp3() {
            "audio/mpeg"
        } else {
            "audio/wav"
        };
        Ok(ApiResponse::new(200, kind, audio))
    }

    pub(super) fn list_messages(
        &self,
        key: Key<'_>,
        query: &Query,
    ) -> Result<ApiResponse, ApiResponse> {
        let (record, role) = self.below(key, query, |reader| reader.text("role"))?;
        Ok(ApiResponse::json(200, self.messages_text(record.id, role)))
    }

    pub(super) fn list_webhook_logs(
        &self,
        key: Key<'_>,
        query: &Query,
    ) -> Result<ApiResponse, ApiResponse> {
        let (record, kind) = self.below(key, query, |reader| reader.text("webhook_type"))?;
        Ok(ApiResponse::json(
            200,
            self.webhook_logs_text(record.id, kind),
        ))
    }

    pub(super) fn metrics(&self, key: Key<'_>) -> Result<ApiResponse, ApiResponse> {
        let query = Query::default();
        let (record, ()) = self.below(key, &query, |_| ())?;
        let metrics = self.metrics_text(record.id).unwrap_or_default();
        Ok(ApiResponse::json(200, metrics))
    }
}
