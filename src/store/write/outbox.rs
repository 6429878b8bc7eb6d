//! The writer's part in the outbox.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction};

use crate::model::{Timestamp, metadata_merge};
use crate::store::error::StoreError;
use crate::store::outbox::{NewWrite, Outbox, Queued, Write};
use crate::store::write::observation::{Merged, Observation};
use crate::store::write::writer::Writer;

/// The number of conflicts that are stored; all are counted.
const REMEMBERED: i64 = 20;

impl Writer {
    /// Every change in the outbox.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Stores a change durably: it survives a crash and a power failure.
    pub fn queue_write(&mut self, new: NewWrite) -> Result<Queued, StoreError> {
        // If the file was replaced, the change would be acknowledged and lost.
        self.file.check()?;
        let transaction = self.begin()?;
        let stored_call = transaction
            .prepare_cached("SELECT body, call_sid FROM calls WHERE id = ?1")?
            .query_row([new.call_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((body, call_sid)): Option<(String, String)> = stored_call else {
            return Ok(Queued::NotStored);
        };
        if !self.outbox.has_room_for(&new) {
            return Ok(Queued::Full);
        }
        let write = Write {
            write_id: self.outbox.last_id + 1,
            call_id: new.call_id,
            call_sid,
            before: metadata_merge::call_meta(&body).map(str::to_owned),
            metadata: new.metadata,
            accepted_at: new.accepted_at,
            sent_at: new.may_have_arrived.then_some(new.accepted_at),
            failed: None,
        };
        transaction
            .prepare_cached(
                "INSERT INTO writes (write_id, call_id, call_sid, metadata, before, accepted_at,
                     sent_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                write.write_id,
                write.call_id,
                &write.call_sid,
                &write.metadata,
                &write.before,
                write.accepted_at.as_micros(),
                write.sent_at.map(Timestamp::as_micros),
            ))?;
        transaction
            .prepare_cached(
                "INSERT INTO written (one, last_id, conflicts) VALUES (1, ?1, 0)
                 ON CONFLICT (one) DO UPDATE SET last_id = ?1",
            )?
            .execute([write.write_id])?;
        transaction.commit()?;
        self.outbox.last_id = write.write_id;
        self.outbox.writes.push(Arc::new(write));
        let waiting = self.outbox.writes.iter();
        let waiting = waiting.filter(|write| write.call_id == new.call_id);
        let changes = waiting.filter(|write| write.failed.is_none());
        let laid = metadata_merge::overlay(&body, changes.map(|write| write.metadata.as_str()));
        Ok(Queued::Accepted {
            write_id: self.outbox.last_id,
            body: laid.unwrap_or(body),
        })
    }

    /// Marks a change as sent: from now on it may have arrived, even if the process dies. `keys`
    /// are those that another client changed meanwhile; one change is one conflict at most.
    pub fn mark_sent(
        &mut self,
        write_id: u64,
        at: Timestamp,
        keys: &[String],
    ) -> Result<(), StoreError> {
        let Some(call_id) = self.outbox.find(write_id).map(|write| write.call_id) else {
            return Ok(());
        };
        let transaction = self.begin()?;
        transaction
            .prepare_cached("UPDATE writes SET sent_at = ?2 WHERE write_id = ?1")?
            .execute((write_id, at.as_micros()))?;
        let met = !keys.is_empty() && {
            let keys = serde_json::json!(keys).to_string();
            keep_conflict(&transaction, (write_id, call_id, keys, at))?
        };
        transaction.commit()?;
        self.outbox.conflicts += u64::from(met);
        self.outbox
            .change(write_id, |write| write.sent_at = Some(at));
        Ok(())
    }

    /// Merges the answer that shows the change made, and removes the change, in one transaction. If
    /// a later request has reported the call already, the answer may be the older one: then the
    /// change stays, to be looked for once more. Returns whether it was removed.
    pub fn merge_written(
        &mut self,
        learned: Observation,
        write_id: u64,
    ) -> Result<(Merged, bool), StoreError> {
        let Some(write) = self.outbox.find(write_id).cloned() else {
            return Ok((self.merge(learned)?, true));
        };
        // Later changes of the call are compared with what this one made.
        let later = self.outbox.writes.iter();
        let later =
            later.filter(|other| other.call_id == write.call_id && other.write_id > write_id);
        let later: Vec<(u64, Option<String>)> = later
            .map(|other| {
                let before = metadata_merge::merged(other.before.as_deref(), &write.metadata);
                (other.write_id, before)
            })
            .collect();
        let newest_seq = learned.newest_seq;
        let mut settled = false;
        let merged = self.merge_and(learned, |transaction, merged| {
            if merged.stale > 0 {
                return Ok(false);
            }
            settled = true;
            delete(transaction, write_id)?;
            for (write_id, before) in &later {
                transaction
                    .prepare_cached("UPDATE writes SET before = ?2 WHERE write_id = ?1")?
                    .execute((write_id, before))?;
            }
            // An answer in flight may have been read before the change was made, and must not
            // revert it.
            transaction
                .prepare_cached("UPDATE calls SET request_seq = ?2 WHERE id = ?1")?
                .execute((write.call_id, newest_seq))?;
            Ok(true)
        })?;
        if settled {
            self.outbox.forget(write_id);
            for (write_id, before) in later {
                self.outbox.change(write_id, |write| write.before = before);
            }
        }
        Ok((merged, settled))
    }

    /// Marks a change that can never be made. It stays, with the reason.
    pub fn fail_write(&mut self, write_id: u64, reason: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE writes SET failed = ?2 WHERE write_id = ?1")?
            .execute((write_id, reason))?;
        let reason = Some(reason.to_owned());
        self.outbox.change(write_id, |write| write.failed = reason);
        Ok(())
    }

    /// Removes a change. Returns whether it was there.
    pub fn drop_write(&mut self, write_id: u64) -> Result<bool, StoreError> {
        let transaction = self.begin()?;
        let dropped = delete(&transaction, write_id)? > 0;
        transaction.commit()?;
        self.outbox.forget(write_id);
        Ok(dropped)
    }
}

fn delete(transaction: &Transaction<'_>, write_id: u64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("DELETE FROM writes WHERE write_id = ?1")?
        .execute([write_id])
}

/// Returns whether the conflict is a new one.
fn keep_conflict(
    transaction: &Transaction<'_>,
    (write_id, call_id, keys, at): (u64, i64, String, Timestamp),
) -> rusqlite::Result<bool> {
    let new = transaction
        .prepare_cached(
            "INSERT INTO conflicts (write_id, call_id, keys, found_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute((write_id, call_id, keys, at.as_micros()))?;
    if new > 0 {
        transaction
            .prepare_cached("UPDATE written SET conflicts = conflicts + 1")?
            .execute([])?;
        transaction
            .prepare_cached(
                "DELETE FROM conflicts WHERE write_id NOT IN
                     (SELECT write_id FROM conflicts ORDER BY write_id DESC LIMIT ?1)",
            )?
            .execute([REMEMBERED])?;
    }
    Ok(new > 0)
}
