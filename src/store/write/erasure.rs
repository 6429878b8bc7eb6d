//! Erasure: full-text indexes are merged until they have no traces of deleted texts, and calls from
//! before the history are dropped.
//!
//! A full-text index does not overwrite: it records a deletion beside the text, and both vanish
//! when the segments of the index are merged. (FTS5 can delete at once, but SQLite before 3.42
//! can't read the result.)

use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::write::take_out::take_out;
use crate::store::write::writer::Writer;

/// The pages of an index that one transaction merges, which takes some milliseconds.
const PAGES: i64 = 200;

const INDEXES: [&str; 2] = ["phone_trigrams", "sid_trigrams"];

impl Writer {
    /// True if the full-text indexes may have traces of deleted texts.
    pub fn has_traces(&self) -> bool {
        self.traces.exist
    }

    /// Merges the full-text indexes one step further. Returns whether the step was the last: what
    /// was deleted before the first step has left no trace.
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
        // A negative number merges all segments of the index, whatever their sizes.
        transaction.prepare_cached(&merge)?.execute([-PAGES])?;
        transaction.commit()?;
        // Fewer than two changes mean that nothing was left to merge (FTS5's manual, section 6.7).
        if self.connection.total_changes() - before < 2 {
            self.traces.merging = Some(at + 1);
        }
        Ok(false)
    }

    /// Drops up to `at_most` calls that started before `before` and were last seen before
    /// `unheard_since`. The upstream still has them, so they get no tombstone and the feed does not
    /// report them. Returns how many.
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
        self.apply_ledger(ledger);
        Ok(old.len())
    }
}
