//! The outbox: changes of metadata that wait for the upstream. They are accepted durably and in
//! order, and leave in the transaction that writes their result.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::Timestamp;

/// The most bytes of all changes together: they are in memory too.
const MOST_BYTES: usize = 64 << 20;

/// A change that a client requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWrite {
    pub call_id: i64,
    /// A compact JSON object.
    pub metadata: String,
    pub accepted_at: Timestamp,
    /// True if the change was sent once, and it is unknown whether it arrived.
    pub may_have_arrived: bool,
    /// The most changes in the outbox, failed ones included.
    pub limit: usize,
}

/// A change in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Never used for another change.
    pub write_id: u64,
    pub call_id: i64,
    /// The same id with another SID is another call.
    pub call_sid: String,
    pub metadata: String,
    /// The `call_meta` that the upstream is expected to have then.
    pub before: Option<String>,
    pub accepted_at: Timestamp,
    /// When the change was last sent; it may have arrived since. `None`: never.
    pub sent_at: Option<Timestamp>,
    /// Why it can never be made; it stays only to be reported.
    pub failed: Option<String>,
}

/// The result of queueing a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    Accepted {
        write_id: u64,
        /// The call's text with its waiting changes applied.
        body: String,
    },
    /// The outbox has reached its limit.
    Full,
    /// The call is not stored.
    NotStored,
}

/// A change of the same keys by another client, without the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub write_id: u64,
    pub call_id: i64,
    pub keys: Vec<String>,
    pub found_at: Timestamp,
}

/// The outbox as of the last commit. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// In the order of acceptance.
    pub writes: Vec<Arc<Write>>,
    /// Conflicts since the file was created.
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
