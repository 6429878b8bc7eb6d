//! What the writer can count without a scan of the calls.

use crate::model::{Timestamp, Unit};
use crate::store::derived::day_ranges;
use crate::store::error::StoreError;
use crate::store::write::ledger::RowCounts;
use crate::store::write::page_extent;
use crate::store::write::writer::Writer;

impl Writer {
    /// The finest unit of any call's start when the file was opened.
    pub fn finest_start(&self) -> Unit {
        self.finest_start
    }

    /// The numbers of calls, suspects and tombstones as of the last commit.
    pub fn row_counts(&self) -> RowCounts {
        self.row_counts
    }

    /// Ids of the newest stored calls that started within the inclusive bounds, at most `most`.
    pub fn ids_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        most: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM calls WHERE started_at BETWEEN ?1 AND ?2
             ORDER BY started_at DESC LIMIT ?3",
        )?;
        let ids =
            statement.query_map((from.as_micros(), to.as_micros(), most), |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// The number of stored calls, without suspects, that started within the inclusive bounds.
    /// Whole days are summed from the rollups; only partial days are counted by an index.
    pub fn count_between(&self, from: Timestamp, to: Timestamp) -> Result<u64, StoreError> {
        let started = day_ranges::count(&self.connection, from, to)?;
        let suspects: u64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM calls INDEXED BY suspects
                 WHERE suspect_at IS NOT NULL AND started_at BETWEEN ?1 AND ?2",
            )?
            .query_row((from.as_micros(), to.as_micros()), |row| row.get(0))?;
        Ok(started.saturating_sub(suspects))
    }

    pub fn page_rows(&self) -> Option<usize> {
        self.page_rows
    }

    /// Records the most rows on a page, found at `now`; `None` if as many as documented.
    pub fn keep_page_rows(
        &mut self,
        rows: Option<usize>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        page_extent::keep_page_rows(&self.connection, rows, now)?;
        self.page_rows = rows;
        Ok(())
    }
}
