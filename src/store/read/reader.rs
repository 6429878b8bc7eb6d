//! Point reads, for which a request waits: one row by key, with a cached prepared statement.

use r2d2::PooledConnection;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{OptionalExtension, Row};

use crate::model::{CallKey, Timestamp, Window, text_hash};
use crate::store::coverage;
use crate::store::error::StoreError;
use crate::store::write::ledger;

/// A connection of the pool.
pub type Pooled = PooledConnection<SqliteConnectionManager>;

/// A read-only connection to the file. Each thread has its own.
pub struct Reader {
    pub(in crate::store) connection: Pooled,
}

/// A stored call.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredCall {
    pub id: i64,
    /// The upstream's JSON text.
    pub body: String,
    /// First 64 bits of the body's SHA-256.
    pub body_hash: i64,
    pub started_at: Option<Timestamp>,
    /// When the text itself was last confirmed; its window may have been verified later.
    pub seen_at: Timestamp,
    /// True if the upstream said that it has no such call. No window verifies it any more.
    pub suspect: bool,
}

/// Counts of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub calls: u64,
    pub suspects: u64,
    pub tombstones: u64,
    pub newest_call_at: Option<Timestamp>,
}

impl AsRef<str> for StoredCall {
    /// The upstream's JSON text.
    fn as_ref(&self) -> &str {
        &self.body
    }
}

/// Resets the connection for its next user, even after a panic.
impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.connection.progress_handler(0, None::<fn() -> bool>);
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

impl Reader {
    /// Begins a read transaction: until [`Reader::release`], all reads are of one state of the
    /// file.
    pub fn hold(&self) -> Result<(), StoreError> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(())
    }

    /// Ends the transaction of [`Reader::hold`].
    pub fn release(&self) {
        // Nothing was written, so a failure loses nothing.
        let _ = self
            .connection
            .prepare_cached("COMMIT")
            .and_then(|mut commit| commit.execute([]));
    }

    /// The stored call, if there is one. Of two calls with one SID, which the upstream forbids but
    /// could send, the one reported last.
    pub fn call(&self, key: &CallKey) -> Result<Option<StoredCall>, StoreError> {
        let stored_call = match key {
            CallKey::Id(id) => self
                .connection
                .prepare_cached(
                    "SELECT id, body, body_hash, started_at, seen_at, suspect_at FROM calls
                     WHERE id = ?1",
                )?
                .query_row([id], stored_call),
            CallKey::Sid(sid) => self
                .connection
                .prepare_cached(
                    "SELECT id, body, body_hash, started_at, seen_at, suspect_at FROM calls
                     WHERE call_sid = ?1 ORDER BY request_seq DESC, id DESC LIMIT 1",
                )?
                .query_row([sid], stored_call),
        };
        Ok(stored_call.optional()?)
    }

    /// When the call was proven to be deleted; `None` if it was not, or if it exists again.
    pub fn tombstone(&self, key: &CallKey) -> Result<Option<Timestamp>, StoreError> {
        let deleted_at = |row: &Row<'_>| row.get(0).map(Timestamp::from_micros);
        let found = match key {
            CallKey::Id(id) => self
                .connection
                .prepare_cached("SELECT deleted_at FROM tombstones WHERE id = ?1")?
                .query_row([id], deleted_at),
            CallKey::Sid(sid) => self
                .connection
                .prepare_cached(
                    "SELECT deleted_at FROM tombstones WHERE sid_hash = ?1
                     ORDER BY change_seq DESC LIMIT 1",
                )?
                .query_row([text_hash(sid)], deleted_at),
        };
        Ok(found.optional()?)
    }

    /// Identifies the file: a new one in its place has another id.
    pub fn feed_id(&self) -> Result<String, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT feed_id FROM replica")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// The windows as last written, oldest first; a running engine may have verified them since.
    pub fn windows(&self) -> Result<Vec<Window>, StoreError> {
        Ok(coverage::read(&self.connection)?)
    }

    /// True if any call has its assistant's name, or if there are no calls. The calls of a
    /// self-hosted upstream have none.
    pub fn knows_names(&self) -> Result<bool, StoreError> {
        let any = "SELECT EXISTS (SELECT 1 FROM names) OR NOT EXISTS (SELECT 1 FROM calls)";
        let mut select = self.connection.prepare_cached(any)?;
        Ok(select.query_row([], |row| row.get(0))?)
    }

    /// The highest id of any call, stored or deleted.
    pub fn highest_id(&self) -> Result<Option<i64>, StoreError> {
        let highest = self
            .connection
            .prepare_cached(
                "SELECT max(id) FROM (
                     SELECT max(id) AS id FROM calls UNION ALL SELECT max(id) FROM tombstones)",
            )?
            .query_row([], |row| row.get(0))?;
        Ok(highest)
    }

    /// Counts for the status. They come from the rollups, not from the rows.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let row_counts = ledger::read(&snapshot)?;
        let newest: Option<i64> = snapshot
            .prepare_cached("SELECT max(started_at) FROM calls")?
            .query_row([], |row| row.get(0))?;
        Ok(Totals {
            calls: row_counts.calls,
            suspects: row_counts.suspects,
            tombstones: row_counts.tombstones,
            newest_call_at: newest.map(Timestamp::from_micros),
        })
    }
}

pub fn stored_call(row: &Row<'_>) -> rusqlite::Result<StoredCall> {
    Ok(StoredCall {
        id: row.get(0)?,
        body: row.get(1)?,
        body_hash: row.get(2)?,
        started_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
        seen_at: Timestamp::from_micros(row.get(4)?),
        suspect: row.get::<_, Option<i64>>(5)?.is_some(),
    })
}
