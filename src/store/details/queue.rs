//! Of which calls the details are to be asked for.
//!
//! A call that ends becomes due in the transaction that says so. It is due for a round: once every
//! kind that is kept was answered, it is due again at the time the engine gives, or done.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::text::DetailObservation;
use crate::model::{Call, Detail, Timestamp, Verified};
use crate::store::write::ledger::Ledger;
use crate::store::{StoreError, Writer};

/// What changes within so long after a call's start may have brought details with it, in
/// microseconds.
const LATE: i64 = 86_400_000_000;

/// A call whose details are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDetails {
    pub call_id: i64,
    pub started_at: Option<Timestamp>,
    /// All of them were asked for before.
    pub again: bool,
    /// Kinds that were answered in this round.
    pub answered: BTreeSet<Detail>,
    /// In a row.
    pub failures: u32,
}

/// How many there are, as of the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetailsBooks {
    /// Ended calls of which not every kind that is to be kept was asked for yet.
    pub due: u64,
    /// Texts that are held.
    pub kept: u64,
    /// Any kind is to be kept: calls that end become due.
    pub wanted: bool,
}

/// When a round of a call with this start is followed by another; `None`: it was the last.
pub type Again = Box<dyn Fn(Option<Timestamp>) -> Option<Timestamp> + Send>;

const fn bit(kind: Detail) -> i64 {
    match kind {
        Detail::Transcripts => 1,
        Detail::Recordings => 2,
        Detail::Messages => 4,
        Detail::Metrics => 8,
        Detail::WebhookLogs => 16,
    }
}

fn bits(kinds: &BTreeSet<Detail>) -> i64 {
    kinds.iter().copied().map(bit).sum()
}

fn names(kinds: &BTreeSet<Detail>) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    names.join(",")
}

fn recorded(connection: &Connection) -> rusqlite::Result<BTreeSet<Detail>> {
    connection.query_row("SELECT details FROM replica", [], |row| {
        let names = row.get_ref(0)?.as_str()?;
        Ok(names.split(',').filter_map(Detail::named).collect())
    })
}

/// Counts rows, so only where the file is opened.
pub fn books(connection: &Connection) -> rusqlite::Result<DetailsBooks> {
    let wanted = !recorded(connection)?.is_empty();
    connection.query_row(
        "SELECT (SELECT count(*) FROM details_due WHERE again = 0),
             (SELECT count(*) FROM details)",
        [],
        |row| {
            Ok(DetailsBooks {
                due: row.get(0)?,
                kept: row.get(1)?,
                wanted,
            })
        },
    )
}

/// A call was written. `was_open`: as which it was held before, if it was.
pub fn call_written(
    transaction: &Transaction<'_>,
    call: &Call,
    was_open: Option<bool>,
    request: Verified,
    ledger: &mut Ledger,
) -> rusqlite::Result<()> {
    let started_at = call.started_at.map(Timestamp::as_micros);
    // One that has been open for longer may have a status that nothing comes after.
    let is_old = started_at.is_some_and(|start| request.at.as_micros() - start >= LATE);
    if !ledger.details.wanted || (call.is_open() && !is_old) {
        return Ok(());
    }
    if was_open == Some(false) {
        let late = started_at.is_some_and(|start| request.at.as_micros() - start < LATE);
        if late {
            transaction
                .prepare_cached(
                    "INSERT INTO details_due (call_id, started_at, due_at, again, answered,
                         failures, request_seq)
                     VALUES (?1, ?2, ?3, 1, 0, 0, ?4)
                     ON CONFLICT (call_id) DO UPDATE SET started_at = ?2,
                         due_at = min(due_at, ?3), answered = 0, request_seq = ?4",
                )?
                .execute((call.id, started_at, request.at.as_micros(), request.seq))?;
        }
        return Ok(());
    }
    let new = transaction
        .prepare_cached(
            "INSERT INTO details_due (call_id, started_at, due_at, again, answered, failures,
                 request_seq)
             VALUES (?1, ?2, 0, 0, 0, 0, ?3) ON CONFLICT (call_id) DO NOTHING",
        )?
        .execute((call.id, started_at, request.seq))?;
    ledger.details.due += new as u64;
    if new == 0 {
        // It had ended once before, and went on.
        transaction
            .prepare_cached(
                "UPDATE details_due SET started_at = ?2, due_at = 0, answered = 0, request_seq = ?3
                 WHERE call_id = ?1",
            )?
            .execute((call.id, started_at, request.seq))?;
    }
    Ok(())
}

/// A call was deleted: so was all that belonged to it.
pub fn forget(transaction: &Transaction<'_>, id: i64, ledger: &mut Ledger) -> rusqlite::Result<()> {
    let kept = transaction
        .prepare_cached("DELETE FROM details WHERE call_id = ?1")?
        .execute([id])?;
    let again = transaction
        .prepare_cached("DELETE FROM details_due WHERE call_id = ?1 RETURNING again")?
        .query_row([id], |row| row.get::<_, bool>(0))
        .optional()?;
    ledger.details.kept -= kept as u64;
    ledger.details.due -= u64::from(again == Some(false));
    Ok(())
}

/// An answer of a kind counts for the call's round, unless the call changed since it was asked for.
/// Returns whether it ended the round.
pub fn answer(
    transaction: &Transaction<'_>,
    learned: &DetailObservation,
    kinds: &BTreeSet<Detail>,
    again: &Again,
    ledger: &mut Ledger,
) -> rusqlite::Result<bool> {
    let id = learned.call_id;
    transaction
        .prepare_cached(
            "UPDATE details_due SET answered = answered | ?2
             WHERE call_id = ?1 AND request_seq <= ?3",
        )?
        .execute((id, bit(learned.kind), learned.request.seq))?;
    end_round(transaction, id, kinds, again, ledger)
}

/// Ends the round of a call if every kind was answered. Returns whether it did.
fn end_round(
    transaction: &Transaction<'_>,
    id: i64,
    kinds: &BTreeSet<Detail>,
    again: &Again,
    ledger: &mut Ledger,
) -> rusqlite::Result<bool> {
    let ended = transaction
        .prepare_cached(
            "SELECT started_at, again FROM details_due
             WHERE call_id = ?1 AND answered & ?2 = ?2",
        )?
        .query_row((id, bits(kinds)), |row| {
            let started_at = row.get::<_, Option<i64>>(0)?.map(Timestamp::from_micros);
            Ok((started_at, row.get::<_, bool>(1)?))
        })
        .optional()?;
    let Some((started_at, asked_before)) = ended else {
        return Ok(false);
    };
    match again(started_at) {
        Some(due_at) => transaction
            .prepare_cached(
                "UPDATE details_due SET due_at = max(?2, 1), again = 1, answered = 0, failures = 0
                 WHERE call_id = ?1",
            )?
            .execute((id, due_at.as_micros()))?,
        None => transaction
            .prepare_cached("DELETE FROM details_due WHERE call_id = ?1")?
            .execute([id])?,
    };
    ledger.details.due -= u64::from(!asked_before);
    Ok(true)
}

impl Writer {
    pub fn details_books(&self) -> DetailsBooks {
        self.details
    }

    /// From now on these kinds are kept of calls that end. Where one was not before, all calls that
    /// have ended become due for what is not held of them.
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

    /// Ends the rounds of calls of which nothing is left to be asked for.
    pub fn end_rounds(
        &mut self,
        ids: &[i64],
        kinds: &BTreeSet<Detail>,
        again: &Again,
    ) -> Result<(), StoreError> {
        let mut ledger = self.ledger();
        let transaction = self.begin()?;
        for id in ids {
            end_round(&transaction, *id, kinds, again, &mut ledger)?;
        }
        transaction.commit()?;
        self.keep(ledger);
        Ok(())
    }

    /// Puts calls off whose details could not be had.
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

    /// Up to `most` calls that were never asked about, and as many that are due again, each newest
    /// first, and the two in turn; and when the next one is due.
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

fn due(row: &Row<'_>) -> rusqlite::Result<DueDetails> {
    let answered: i64 = row.get(3)?;
    let is_answered = |kind: &Detail| answered & bit(*kind) != 0;
    Ok(DueDetails {
        call_id: row.get(0)?,
        started_at: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_micros),
        again: row.get(2)?,
        answered: Detail::ALL.into_iter().filter(is_answered).collect(),
        failures: row.get(4)?,
    })
}
