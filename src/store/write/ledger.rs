//! A ledger: the counts and numbers that one transaction changes beside its rows.

use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use crate::model::{NEVER, Timestamp, Unit, Window};
use crate::store::derived::books::DerivedTables;
use crate::store::details::queue::DetailsCounts;

/// The numbers of rows in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows of `calls`, suspects included.
    pub calls: u64,
    pub suspects: u64,
    pub tombstones: u64,
}

/// How a call became a suspect. Its row stores only the later of the two requests.
#[derive(Clone, Copy, Debug)]
pub struct Suspicion {
    /// The request that did not find the call.
    pub by: u64,
    /// The request that brought the stored text.
    pub text_seq: u64,
}

/// What one transaction changes beside its rows. It applies once the transaction is committed.
pub struct Ledger {
    pub row_counts: RowCounts,
    pub change_seq: u64,
    pub details: DetailsCounts,
    pub books: DerivedTables,
    /// The windows before the transaction. The age of a new suspect comes from them.
    pub verified: Arc<Vec<Window>>,
    /// Calls that became suspects.
    pub suspicions: Vec<(i64, Suspicion)>,
    /// True if a text was deleted of which the full-text indexes still have traces.
    pub left_traces: bool,
}

impl Ledger {
    pub fn new(
        row_counts: RowCounts,
        details: DetailsCounts,
        change_seq: u64,
        verified: Arc<Vec<Window>>,
    ) -> Ledger {
        Ledger {
            row_counts,
            details,
            change_seq,
            books: DerivedTables::default(),
            verified,
            suspicions: Vec::new(),
            left_traces: false,
        }
    }

    /// The next number in the order of changes.
    pub fn next_change(&mut self) -> u64 {
        self.change_seq += 1;
        self.change_seq
    }

    /// When the window over `start` was last verified, in microseconds since 1970.
    pub fn verified_at(&self, start: Option<i64>) -> Option<i64> {
        let start = start.map_or(NEVER, Timestamp::from_micros);
        let window = Window::of(&self.verified, start)?;
        Some(window.verified.at.as_micros())
    }

    /// Counts a call that was seen again, which ends a suspicion.
    pub fn end_suspicion(&mut self, was_suspect: bool) {
        self.row_counts.suspects -= u64::from(was_suspect);
    }

    pub fn write(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        self.left_traces |= std::mem::take(&mut self.books).write(transaction)?;
        Ok(())
    }
}

pub fn read(connection: &Connection) -> rusqlite::Result<RowCounts> {
    // The totals are exactly the number of rows; counting the rows takes a scan.
    connection
        .prepare_cached(
            "SELECT (SELECT coalesce(sum(calls), 0) FROM totals),
                (SELECT count(*) FROM calls INDEXED BY suspects WHERE suspect_at IS NOT NULL),
                (SELECT count(*) FROM tombstones)",
        )?
        .query_row([], |row| {
            Ok(RowCounts {
                calls: row.get(0)?,
                suspects: row.get(1)?,
                tombstones: row.get(2)?,
            })
        })
}

/// The last number in the order of changes. It is always in a row: a change gives a call the next
/// number, and a tombstone is removed only by a call that gets the next one.
pub fn last_change(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT max(coalesce((SELECT max(change_seq) FROM calls), 0),
             coalesce((SELECT max(change_seq) FROM tombstones), 0))",
        [],
        |row| row.get(0),
    )
}

/// The finest unit of any call's start.
pub fn finest_start(connection: &Connection) -> rusqlite::Result<Unit> {
    // The narrowest index with the starts; all of it is read unless a start has the finest unit.
    let mut select = connection.prepare(
        "SELECT started_at FROM calls INDEXED BY calls_by_duration WHERE started_at IS NOT NULL",
    )?;
    let mut starts = select.query([])?;
    let mut finest = Unit::SECOND;
    while finest != Unit::MICROSECOND
        && let Some(row) = starts.next()?
    {
        finest = finest.min(Timestamp::from_micros(row.get(0)?).unit());
    }
    Ok(finest)
}

/// Records a number that the next run's requests must exceed.
pub fn raise_request_seq(transaction: &Transaction<'_>, seq: u64) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("UPDATE replica SET request_seq = max(request_seq, ?1)")?
        .execute([seq])
}
