//! The writer's part in fetching details: which are due, what came, and what is postponed.

use std::collections::BTreeSet;

use crate::model::{Detail, Timestamp};
use crate::store::details::queue::{
    Again, DetailsCounts, DueDetails, answer, books, due, end_round, names, recorded,
};
use crate::store::details::text::{DetailObservation, write};
use crate::store::error::StoreError;
use crate::store::write::ledger::raise_request_seq;
use crate::store::write::writer::Writer;

impl Writer {
    /// Stores an answer about a stored call, and ends the call's round if it is the last of
    /// `kinds`. An older request's answer never replaces a newer one's. Returns whether the round
    /// ended.
    pub fn keep_detail(
        &mut self,
        learned: &DetailObservation,
        kinds: &BTreeSet<Detail>,
        again: &Again,
    ) -> Result<bool, StoreError> {
        let mut ledger = self.ledger();
        let transaction = self.begin()?;
        if let Some(body) = &learned.body {
            ledger.details.kept += write(&transaction, learned, body)?;
        }
        let ended = answer(&transaction, learned, kinds, again, &mut ledger.details)?;
        raise_request_seq(&transaction, learned.newest_seq)?;
        transaction.commit()?;
        self.apply_ledger(ledger);
        Ok(ended)
    }

    pub fn details_counts(&self) -> DetailsCounts {
        self.details
    }

    /// Sets the kinds to fetch of ended calls. If one is new, every ended call becomes due for the
    /// kinds of it that are not stored.
    pub fn keep_kinds(&mut self, kinds: &BTreeSet<Detail>) -> Result<(), StoreError> {
        let before = recorded(&self.connection)?;
        if before == *kinds {
            return Ok(());
        }
        let transaction = self.begin()?;
        if kinds.is_empty() {
            transaction.execute("DELETE FROM details_due", [])?;
        } else if !kinds.is_subset(&before) {
            transaction.execute(
                "INSERT INTO details_due (call_id, started_at, due_at, again, answered, failures,
                     request_seq)
                 SELECT id, started_at, 0, 0,
                     (SELECT coalesce(sum(CASE kind WHEN 'transcripts' THEN 1 WHEN 'recordings'
                          THEN 2 WHEN 'messages' THEN 4 WHEN 'metrics' THEN 8 ELSE 16 END), 0)
                      FROM details WHERE call_id = calls.id AND ended = 1),
                     0, 0
                 FROM calls WHERE open = 0
                 ON CONFLICT (call_id) DO UPDATE SET due_at = 0, again = 0,
                     answered = excluded.answered, failures = 0",
                [],
            )?;
        }
        transaction.execute("UPDATE replica SET details = ?1", [names(kinds)])?;
        let books = books(&transaction)?;
        transaction.commit()?;
        self.details = books;
        Ok(())
    }

    /// Ends the rounds of calls of which nothing is left to fetch.
    pub fn end_rounds(
        &mut self,
        ids: &[i64],
        kinds: &BTreeSet<Detail>,
        again: &Again,
    ) -> Result<(), StoreError> {
        let mut ledger = self.ledger();
        let transaction = self.begin()?;
        for id in ids {
            end_round(&transaction, *id, kinds, again, &mut ledger.details)?;
        }
        transaction.commit()?;
        self.apply_ledger(ledger);
        Ok(())
    }

    /// Postpones calls whose details could not be fetched.
    pub fn put_off(&mut self, calls: &[(i64, Timestamp)]) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        for (id, until) in calls {
            transaction
                .prepare_cached(
                    "UPDATE details_due SET due_at = max(?2, 1), failures = failures + 1
                     WHERE call_id = ?1",
                )?
                .execute((id, until.as_micros()))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Up to `most` calls in their first round and as many that are due again, each newest first
    /// and the two interleaved; and when the next call is due.
    pub fn due_details(
        &self,
        now: Timestamp,
        most: usize,
    ) -> Result<(Vec<DueDetails>, Option<Timestamp>), StoreError> {
        const COLUMNS: &str = "SELECT call_id, started_at, again, answered, failures";
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let new = format!(
            "{COLUMNS} FROM details_due WHERE due_at = 0
             ORDER BY started_at DESC, call_id DESC LIMIT ?1"
        );
        let mut new = self.connection.prepare_cached(&new)?;
        let mut new = new.query_map([limit], due)?;
        let again = format!(
            "SELECT * FROM ({COLUMNS} FROM details_due WHERE due_at BETWEEN 1 AND ?2
                 ORDER BY due_at LIMIT ?1)
             ORDER BY started_at DESC, call_id DESC"
        );
        let mut again = self.connection.prepare_cached(&again)?;
        let mut again = again.query_map((limit, now.as_micros()), due)?;
        let mut calls = Vec::new();
        loop {
            let before = calls.len();
            calls.extend(new.next().transpose()?);
            calls.extend(again.next().transpose()?);
            if calls.len() == before {
                break;
            }
        }
        let next: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(due_at) FROM details_due WHERE due_at > ?1")?
            .query_row([now.as_micros()], |row| row.get(0))?;
        Ok((calls, next.map(Timestamp::from_micros)))
    }
}
