//! How many calls are held: the writer's books, and counts that cost no scan of the calls.

use rusqlite::{Connection, Transaction};

use super::doubt::Suspicion;
use super::rollups::{DAY, Deltas};
use super::{StoreError, Writer};
use crate::model::Timestamp;

/// How many of each kind the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Rows of `calls`, suspects included.
    pub calls: u64,
    pub suspects: u64,
    pub tombstones: u64,
}

/// What one transaction does beside its rows. It counts once the transaction is committed; until
/// then the writer's own figures stand.
pub struct Ledger {
    pub census: Census,
    pub change_seq: u64,
    pub rollups: Deltas,
    /// Calls that became suspects.
    pub suspicions: Vec<(i64, Suspicion)>,
}

impl Ledger {
    pub fn new(census: Census, change_seq: u64) -> Ledger {
        Ledger {
            census,
            change_seq,
            rollups: Deltas::default(),
            suspicions: Vec::new(),
        }
    }

    /// The next place in the order of changes.
    pub fn next_change(&mut self) -> u64 {
        self.change_seq += 1;
        self.change_seq
    }

    /// A call was seen again that may have been a suspect.
    pub fn acquit(&mut self, was_suspect: bool) {
        self.census.suspects -= u64::from(was_suspect);
    }

    pub fn write(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        std::mem::take(&mut self.rollups).write(transaction)
    }
}

pub fn read(connection: &Connection) -> rusqlite::Result<Census> {
    // The calls by their rollups, which are their exact sum: counting the rows takes a scan.
    connection
        .prepare_cached(
            "SELECT (SELECT coalesce(sum(calls), 0) FROM rollups),
                (SELECT count(*) FROM calls INDEXED BY suspects WHERE suspect_at IS NOT NULL),
                (SELECT count(*) FROM tombstones)",
        )?
        .query_row([], |row| {
            Ok(Census {
                calls: row.get(0)?,
                suspects: row.get(1)?,
                tombstones: row.get(2)?,
            })
        })
}

/// The last number in the order of changes. It is always on a row: a change gives a call the next
/// number, and a tombstone is lifted by a call that gets the next one.
pub fn last_change(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row(
        "SELECT max(coalesce((SELECT max(change_seq) FROM calls), 0),
             coalesce((SELECT max(change_seq) FROM tombstones), 0))",
        [],
        |row| row.get(0),
    )
}

impl Writer {
    /// How many of each kind are held, as of the last commit.
    pub fn census(&self) -> Census {
        self.census
    }

    /// Held calls, suspects not included, that started within the inclusive bounds. Whole days
    /// are summed from the rollups, only what juts out is counted by the index.
    pub fn count_between(&self, from: Timestamp, to: Timestamp) -> Result<u64, StoreError> {
        // No call starts outside of these; within them a day's ends can be computed.
        let from = from.max(Timestamp::MIN).as_micros();
        let to = to.min(Timestamp::MAX).as_micros();
        if from > to {
            return Ok(0);
        }
        let first_midnight = (from + DAY - 1).div_euclid(DAY) * DAY;
        let last_midnight = (to + 1).div_euclid(DAY) * DAY;
        let started = if first_midnight < last_midnight {
            let (first, end) = (first_midnight / DAY, last_midnight / DAY);
            self.count_days(first, end - 1)?
                + self.count_started(from, first_midnight - 1)?
                + self.count_started(last_midnight, to)?
        } else {
            self.count_started(from, to)?
        };
        let suspects: u64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM calls INDEXED BY suspects
                 WHERE suspect_at IS NOT NULL AND started_at BETWEEN ?1 AND ?2",
            )?
            .query_row((from, to), |row| row.get(0))?;
        Ok(started.saturating_sub(suspects))
    }

    fn count_days(&self, first: i64, last: i64) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached(
                "SELECT coalesce(sum(calls), 0) FROM rollups WHERE day BETWEEN ?1 AND ?2",
            )?
            .query_row((first, last), |row| row.get(0))
    }

    fn count_started(&self, from: i64, to: i64) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached(
                "SELECT count(*) FROM calls INDEXED BY calls_by_start
                 WHERE started_at BETWEEN ?1 AND ?2",
            )?
            .query_row((from, to), |row| row.get(0))
    }
}
