//! Changes of metadata that wait for the upstream: accepted durably, in order, and gone in the
//! transaction that writes what came of them.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::Timestamp;

/// What all waiting changes may take up together, since they are kept in memory too.
const MOST_BYTES: usize = 64 << 20;

/// A change that a client made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWrite {
    pub call_id: i64,
    /// A compact JSON object.
    pub metadata: String,
    pub accepted_at: Timestamp,
    /// It was sent once, and nobody knows whether it arrived.
    pub may_have_arrived: bool,
    /// So many may be kept, failed ones included.
    pub limit: usize,
}

/// A change that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Never given again.
    pub write_id: u64,
    pub call_id: i64,
    /// Another SID under the same id is another call.
    pub call_sid: String,
    pub metadata: String,
    /// What the upstream is expected to have for `call_meta` when it is sent.
    pub before: Option<String>,
    pub accepted_at: Timestamp,
    /// Since then it may have arrived.
    pub sent_at: Option<Timestamp>,
    /// Why it can never be made; it is kept to be seen, and no more.
    pub failed: Option<String>,
}

/// What became of a change that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    Accepted {
        write_id: u64,
        /// The call as it will look.
        body: String,
    },
    /// There are as many as there may be.
    Full,
    /// The call is not held.
    NotHeld,
}

/// Somebody else changed what a change changed. No value is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub write_id: u64,
    pub call_id: i64,
    pub keys: Vec<String>,
    pub found_at: Timestamp,
}

/// All that the file keeps, as of the last commit. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// In the order in which they were made.
    pub writes: Vec<Arc<Write>>,
    /// Changes that met somebody else's, ever.
    pub conflicts: u64,
    pub last_id: u64,
}

impl Outbox {
    pub fn find(&self, write_id: u64) -> Option<&Arc<Write>> {
        self.writes.iter().find(|write| write.write_id == write_id)
    }

    pub fn change(&mut self, write_id: u64, change: impl FnOnce(&mut Write)) {
        let found = (self.writes.iter_mut()).find(|write| write.write_id == write_id);
        if let Some(write) = found {
            change(Arc::make_mut(write));
        }
    }

    pub fn forget(&mut self, write_id: u64) {
        self.writes.retain(|write| write.write_id != write_id);
    }

    pub fn has_room_for(&self, new: &NewWrite) -> bool {
        let bytes: usize = self.writes.iter().map(|write| write.metadata.len()).sum();
        self.writes.len() < new.limit && bytes + new.metadata.len() <= MOST_BYTES
    }
}

pub fn read(connection: &Connection) -> rusqlite::Result<Outbox> {
    let counted = connection
        .prepare_cached("SELECT last_id, conflicts FROM written")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (last_id, conflicts) = counted.unwrap_or_default();
    let writes = kept(connection)?.into_iter().map(Arc::new).collect();
    Ok(Outbox {
        writes,
        conflicts,
        last_id,
    })
}

pub fn kept(connection: &Connection) -> rusqlite::Result<Vec<Write>> {
    let mut select = connection.prepare_cached(
        "SELECT write_id, call_id, call_sid, metadata, before, accepted_at, sent_at, failed
         FROM writes ORDER BY write_id",
    )?;
    select.query_map([], write)?.collect()
}

fn write(row: &Row<'_>) -> rusqlite::Result<Write> {
    Ok(Write {
        write_id: row.get(0)?,
        call_id: row.get(1)?,
        call_sid: row.get(2)?,
        metadata: row.get(3)?,
        before: row.get(4)?,
        accepted_at: Timestamp::from_micros(row.get(5)?),
        sent_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        failed: row.get(7)?,
    })
}
