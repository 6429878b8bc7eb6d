//! The writer's part in deletions: which suspects and canaries to ask for, and removal in bulk.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::OptionalExtension;

use crate::model::Verified;
use crate::store::error::StoreError;
use crate::store::write::ledger::raise_request_seq;
use crate::store::write::tombstones::add_tombstone;
use crate::store::write::writer::Writer;

impl Writer {
    /// Ids of suspects, the longest suspected first.
    pub fn suspects(&self, limit: usize) -> Result<Vec<i64>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM calls INDEXED BY suspects WHERE suspect_at IS NOT NULL
             ORDER BY suspect_at, id LIMIT ?1",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ids = select.query_map([limit], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Up to `count` different suspects, each as likely as any other; the same for the same `draw`.
    pub fn sample_suspects(&self, count: usize, draw: u64) -> Result<Vec<i64>, StoreError> {
        let all = usize::try_from(self.row_counts.suspects).unwrap_or(usize::MAX);
        let mut rng = StdRng::seed_from_u64(draw);
        let mut places = rand::seq::index::sample(&mut rng, all, count.min(all)).into_vec();
        places.sort_unstable();
        // One pass over the index, whose entries are small. Drawing from the range of ids instead
        // would favour a suspect that follows a wide gap.
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM calls INDEXED BY suspects WHERE suspect_at IS NOT NULL",
        )?;
        let mut suspects = select.query([])?;
        let mut sample = Vec::with_capacity(places.len());
        let mut passed = 0;
        for place in places {
            while passed < place {
                suspects.next()?;
                passed += 1;
            }
            if let Some(row) = suspects.next()? {
                sample.push(row.get(0)?);
            }
            passed += 1;
        }
        Ok(sample)
    }

    /// The id of a stored call that is no suspect, another one for another `draw`.
    pub fn canary(&self, draw: u64) -> Result<Option<i64>, StoreError> {
        if self.row_counts.calls == self.row_counts.suspects {
            return Ok(None);
        }
        let ends = self
            .connection
            .prepare_cached("SELECT (SELECT min(id) FROM calls), (SELECT max(id) FROM calls)")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(first), Some(last)) = ends else {
            return Ok(None);
        };
        let point: i64 = StdRng::seed_from_u64(draw).random_range(first..=last);
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM calls
             WHERE id BETWEEN ?1 AND ?2 AND suspect_at IS NULL ORDER BY id LIMIT 1",
        )?;
        for bounds in [(point, last), (first, point)] {
            let found = select.query_row(bounds, |row| row.get(0)).optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Turns up to `at_most` suspects, last reported before the request numbered `before_seq`, into
    /// tombstones: many calls, which a second reading at `request` missed again. Returns how many;
    /// fewer than `at_most` means that none is left.
    pub fn remove_suspects(
        &mut self,
        request: Verified,
        before_seq: u64,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        let mut ledger = self.ledger();
        let transaction = self.begin()?;
        let suspects = {
            let mut select = transaction.prepare_cached(
                "SELECT id, call_sid FROM calls INDEXED BY suspects
                 WHERE suspect_at IS NOT NULL AND request_seq < ?1 LIMIT ?2",
            )?;
            let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
            let rows =
                select.query_map((before_seq, at_most), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        let removed = suspects.len();
        if removed == 0 {
            return Ok(0);
        }
        for key in suspects {
            add_tombstone(&transaction, key, request, &mut ledger)?;
        }
        ledger.write(&transaction)?;
        raise_request_seq(&transaction, request.seq)?;
        transaction.commit()?;
        self.apply_ledger(ledger);
        Ok(removed)
    }
}
