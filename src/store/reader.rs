//! Reads that a request waits for: one row by key, by a statement that stays prepared.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{StoreError, schema, windows};
use crate::model::{CallKey, Timestamp, Window};

/// A read-only view of the file. Not shared between threads: each has its own.
pub struct Reader {
    connection: Connection,
}

/// A call as the replica holds it.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    pub id: i64,
    /// The upstream's JSON text.
    pub body: String,
    /// First 64 bits of the body's SHA-256.
    pub body_hash: i64,
    pub started_at: Option<Timestamp>,
    /// When the text itself was last confirmed; a window that covers the call may know better.
    pub seen_at: Timestamp,
    /// The upstream said that it has no such call; no window's word holds for it any more.
    pub suspect: bool,
}

/// The whole file in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub calls: u64,
    pub suspects: u64,
    pub newest_call_at: Option<Timestamp>,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Reader, StoreError> {
        Ok(Reader {
            connection: schema::open_reader(path)?,
        })
    }

    /// `None` where the replica does not hold it. Of two calls with one SID, which the upstream
    /// forbids but could send, the one heard of last.
    pub fn call(&self, key: &CallKey) -> Result<Option<Held>, StoreError> {
        let held = match key {
            CallKey::Id(id) => self
                .connection
                .prepare_cached(
                    "SELECT id, body, body_hash, started_at, seen_at, suspect_at FROM calls
                     WHERE id = ?1",
                )?
                .query_row([id], held),
            CallKey::Sid(sid) => self
                .connection
                .prepare_cached(
                    "SELECT id, body, body_hash, started_at, seen_at, suspect_at FROM calls
                     WHERE call_sid = ?1 ORDER BY request_seq DESC, id DESC LIMIT 1",
                )?
                .query_row([sid], held),
        };
        Ok(held.optional()?)
    }

    /// The windows as they were last written, oldest first; a running engine may have verified
    /// them since.
    pub fn windows(&self) -> Result<Vec<Window>, StoreError> {
        Ok(windows::read(&self.connection)?)
    }

    /// Figures for the status. Counted from the rollups, not from the rows.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let totals = self
            .connection
            .prepare_cached(
                "SELECT (SELECT coalesce(sum(calls), 0) FROM rollups),
                    (SELECT count(*) FROM calls WHERE suspect_at IS NOT NULL),
                    (SELECT max(started_at) FROM calls)",
            )?
            .query_row([], |row| {
                Ok(Totals {
                    calls: row.get(0)?,
                    suspects: row.get(1)?,
                    newest_call_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros),
                })
            })?;
        Ok(totals)
    }
}

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        id: row.get(0)?,
        body: row.get(1)?,
        body_hash: row.get(2)?,
        started_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
        seen_at: Timestamp::from_micros(row.get(4)?),
        suspect: row.get::<_, Option<i64>>(5)?.is_some(),
    })
}
