//! Changes that a test makes to the records. Each keeps every index consistent.

use std::sync::Arc;

use super::json;
use super::order::{Place, place};
use super::record::{InvalidRecord, Record};
use super::world::World;
use crate::model::Timestamp;

/// The error for a record that can't be inserted: its id or its SID is another record's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {id}: the id or the call_sid is taken")]
pub struct Taken {
    pub id: i64,
}

impl World {
    /// Replaces the API key. The former one is refused from now on.
    pub fn set_api_key(&mut self, api_key: impl Into<String>) {
        self.config.api_key = api_key.into();
    }

    /// Assigns the key to another organization, as `/users/me` reports it.
    pub fn set_organization_id(&mut self, organization_id: i64) {
        self.config.organization_id = organization_id;
    }

    /// Serves at most `rows` a page from now on, whatever the request asks for.
    pub fn set_page_cap(&mut self, rows: Option<usize>) {
        self.config.page_cap = rows;
    }

    /// Inserts a record as it is.
    pub fn insert(&mut self, record: Record) -> Result<(), Taken> {
        let id = record.id;
        if self.records.contains_key(&id) || self.sids.contains_key(&record.call_sid) {
            return Err(Taken { id });
        }
        self.put(record);
        Ok(())
    }

    /// Inserts the record that this flavour writes as `text`, and returns its id.
    pub fn insert_json(&mut self, text: &str) -> Result<i64, InvalidRecord> {
        let record = Record::from_json(self.flavour(), text)?;
        let id = record.id;
        self.insert(record)?;
        Ok(id)
    }

    /// Starts an invented call with the next id, which is returned. It stays open until ended.
    pub fn start_call(&mut self, started_at: Option<Timestamp>) -> i64 {
        let id = self.life.inventor.id_after(self.last_id);
        let record = self.life.inventor.call(id, started_at);
        self.put(record);
        id
    }

    /// Changes any field but the id and the SID. False if there is no such record.
    pub fn update(&mut self, id: i64, change: impl FnOnce(&mut Record)) -> bool {
        let Some(record) = self.records.get_mut(&id) else {
            return false;
        };
        let unit = self.config.unit;
        let before = place(record.started_at, id, unit);
        let (sid, status) = (record.call_sid.clone(), record.status.clone());
        change(record);
        record.id = id;
        record.call_sid = sid;
        record.cut_off(unit);
        let after = place(record.started_at, id, unit);
        self.assistants.insert(record.assistant_id);
        if before == after && record.status == status {
            return true;
        }
        let new_status = record.status.clone();
        self.unindex(before, &status);
        self.index(after, new_status);
        true
    }

    /// Ends a call: status, `ended_at`, and the duration if it has a start.
    pub fn end_call(&mut self, id: i64, at: Timestamp, status: &str) -> bool {
        let fraction = self.config.fraction;
        self.update(id, |record| {
            record.status = status.into();
            record.ended_at = Some(at);
            record.duration = record
                .started_at
                .map(|start| at.since(start).as_secs() as f64 + fraction);
        })
    }

    /// Changes the call's start, and so its place in every list.
    pub fn move_start(&mut self, id: i64, started_at: Option<Timestamp>) -> bool {
        self.update(id, |record| record.started_at = started_at)
    }

    /// Replaces `call_meta` with the text of an object, taken verbatim; `None` is `null`.
    pub fn set_metadata(&mut self, id: i64, text: Option<&str>) -> bool {
        self.update(id, |record| record.call_meta = text.map(Box::from))
    }

    /// Merges an object into `call_meta`, as `PATCH …/metadata` does; `null` removes a key. False
    /// if there is no such record, or if either text is not an object.
    pub fn merge_metadata(&mut self, id: i64, patch: &str) -> bool {
        let Some(record) = self.records.get_mut(&id) else {
            return false;
        };
        match json::merge(record.call_meta.as_deref().unwrap_or("{}"), patch) {
            Ok(merged) => {
                record.call_meta = Some(merged.into());
                true
            }
            Err(_) => false,
        }
    }

    /// Deletes a record without a trace, and returns it.
    pub fn delete(&mut self, id: i64) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.sids.remove(&record.call_sid);
        self.given.remove(&id);
        let at = place(record.started_at, id, self.config.unit);
        self.unindex(at, &record.status);
        Some(*record)
    }

    /// Deletes an assistant and all its calls, and returns how many there were. The self-hosted
    /// server answers its id with a 500 from then on.
    pub fn delete_assistant(&mut self, assistant_id: i64) -> usize {
        self.assistants.remove(&assistant_id);
        let before = self.len();
        self.records.retain(|_, record| {
            let stays = record.assistant_id != assistant_id;
            if !stays {
                self.sids.remove(&record.call_sid);
            }
            stays
        });
        self.given.retain(|id, _| self.records.contains_key(id));
        // In one pass: a hundred thousand single removals would each move the rest.
        for order in std::iter::once(&mut self.all).chain(self.by_status.values_mut()) {
            order.retain(|id| self.records.contains_key(&id));
        }
        before - self.len()
    }

    pub(super) fn put(&mut self, mut record: Record) {
        record.cut_off(self.config.unit);
        let at = place(record.started_at, record.id, self.config.unit);
        self.last_id = self.last_id.max(record.id);
        self.assistants.insert(record.assistant_id);
        self.sids.insert(record.call_sid.clone(), record.id);
        self.index(at, record.status.clone());
        self.records.insert(record.id, Box::new(record));
    }

    fn index(&mut self, at: Place, status: Arc<str>) {
        self.all.insert(at);
        self.by_status.entry(status).or_default().insert(at);
    }

    fn unindex(&mut self, at: Place, status: &str) {
        self.all.remove(at);
        if let Some(order) = self.by_status.get_mut(status) {
            order.remove(at);
        }
    }
}
