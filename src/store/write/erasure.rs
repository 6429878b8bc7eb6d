//! What is gone leaves no traces: the search indexes are merged until none are in them, and calls
//! from before the history are dropped.
//!
//! A full-text index does not overwrite: it notes that a text is gone, beside where that text is,
//! and both vanish when the parts of the index are merged. (FTS5 can delete at once, but no SQLite
//! before 3.42 reads what is left then.)

use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::write::take_out::take_out;
use crate::store::write::writer::Writer;

/// So many pages of an index are merged in one transaction: some milliseconds.
const PAGES: i64 = 200;

const INDEXES: [&str; 2] = ["phone_trigrams", "sid_trigrams"];

impl Writer {
    /// Whether the search indexes may hold traces of what is gone.
    pub fn has_traces(&self) -> bool {
        self.traces.exist
    }

    /// Merges the search indexes a step further. Returns whether that was the last: what was gone
    /// when the first was done has left nothing.
    pub fn erase_traces(&mut self) -> Result<bool, StoreError> {
        let Some(at) = self.traces.merging else {
            self.traces.came = false;
            self.traces.merging = Some(0);
            return Ok(false);
        };
        let Some(index) = INDEXES.get(at) else {
            self.traces.merging = None;
            if !self.traces.came {
                let transaction = self.begin()?;
                transaction.execute("UPDATE replica SET traces = 0", [])?;
                transaction.commit()?;
                self.traces.exist = false;
            }
            return Ok(true);
        };
        let merge = format!("INSERT INTO {index} ({index}, rank) VALUES ('merge', ?1)");
        let before = self.connection.total_changes();
        let transaction = self.begin()?;
        // A negative number has all parts of the index merged, whatever their sizes.
        transaction.prepare_cached(&merge)?.execute([-PAGES])?;
        transaction.commit()?;
        // Fewer than two changes: there was nothing left to merge (FTS5's manual, section 6.7).
        if self.connection.total_changes() - before < 2 {
            self.traces.merging = Some(at + 1);
        }
        Ok(false)
    }

    /// Drops up to `at_most` calls that started before `before` and were not heard of since
    /// `unheard_since`. They are not deleted at the upstream: nothing is told of them. Returns how
    /// many.
    pub fn drop_before(
        &mut self,
        before: Timestamp,
        unheard_since: Timestamp,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        let mut ledger = self.ledger();
        let transaction = self.begin()?;
        let old: Vec<(i64, bool)> = {
            let mut select = transaction.prepare_cached(
                "SELECT id, suspect_at IS NOT NULL FROM calls INDEXED BY calls_by_start
                 WHERE started_at < ?1 AND seen_at < ?2 LIMIT ?3",
            )?;
            let bounds = (before.as_micros(), unheard_since.as_micros(), at_most);
            let rows = select.query_map(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        if old.is_empty() {
            return Ok(0);
        }
        for (id, is_suspect) in &old {
            take_out(&transaction, *id, *is_suspect, &mut ledger)?;
        }
        ledger.write(&transaction)?;
        transaction.commit()?;
        self.keep(ledger);
        Ok(old.len())
    }
}
