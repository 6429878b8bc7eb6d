//! The queue of calls whose details are to be fetched.
//!
//! A call that ends becomes due in the transaction that stores the end. A *round* lasts until every
//! configured kind was answered. Then the call is due again at the time that the engine names, or
//! done.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::model::{Call, Detail, Timestamp, Verified};
use crate::store::details::text::DetailObservation;

/// A change within this time after a call's start may come with new details. In microseconds.
const LATE: i64 = 86_400_000_000;

/// A call whose details are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDetails {
    pub call_id: i64,
    pub started_at: Option<Timestamp>,
    /// True if an earlier round fetched all of its details.
    pub again: bool,
    /// Kinds that were answered in this round.
    pub answered: BTreeSet<Detail>,
    /// Failures in a row.
    pub failures: u32,
}

/// The sizes of the queue and of the stored details, as of the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetailsCounts {
    /// Ended calls in their first round.
    pub due: u64,
    /// Stored texts.
    pub kept: u64,
    /// True if any kind is configured: calls that end become due.
    pub wanted: bool,
}

/// The time of the next round of a call with this start; `None` if there is none.
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

pub fn names(kinds: &BTreeSet<Detail>) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    names.join(",")
}

pub fn recorded(connection: &Connection) -> rusqlite::Result<BTreeSet<Detail>> {
    connection.query_row("SELECT details FROM replica", [], |row| {
        let names = row.get_ref(0)?.as_str()?;
        Ok(names.split(',').filter_map(Detail::named).collect())
    })
}

/// Counts rows, so only for the opening of the file.
pub fn books(connection: &Connection) -> rusqlite::Result<DetailsCounts> {
    let wanted = !recorded(connection)?.is_empty();
    connection.query_row(
        "SELECT (SELECT count(*) FROM details_due WHERE again = 0),
             (SELECT count(*) FROM details)",
        [],
        |row| {
            Ok(DetailsCounts {
                due: row.get(0)?,
                kept: row.get(1)?,
                wanted,
            })
        },
    )
}

/// Queues a call that was just written, if it has ended. `was_open` is of its row before, if any.
pub fn call_written(
    transaction: &Transaction<'_>,
    call: &Call,
    was_open: Option<bool>,
    request: Verified,
    books: &mut DetailsCounts,
) -> rusqlite::Result<()> {
    let started_at = call.started_at.map(Timestamp::as_micros);
    // A call that has been open for longer may have a final status that is unknown here.
    let is_old = started_at.is_some_and(|start| request.at.as_micros() - start >= LATE);
    if !books.wanted || (call.is_open() && !is_old) {
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
    books.due += new as u64;
    if new == 0 {
        // The call had ended before, was open again, and has ended again.
        transaction
            .prepare_cached(
                "UPDATE details_due SET started_at = ?2, due_at = 0, answered = 0, request_seq = ?3
                 WHERE call_id = ?1",
            )?
            .execute((call.id, started_at, request.seq))?;
    }
    Ok(())
}

/// Deletes what is stored for a deleted call.
pub fn forget(
    transaction: &Transaction<'_>,
    id: i64,
    books: &mut DetailsCounts,
) -> rusqlite::Result<()> {
    let kept = transaction
        .prepare_cached("DELETE FROM details WHERE call_id = ?1")?
        .execute([id])?;
    let again = transaction
        .prepare_cached("DELETE FROM details_due WHERE call_id = ?1 RETURNING again")?
        .query_row([id], |row| row.get::<_, bool>(0))
        .optional()?;
    books.kept -= kept as u64;
    books.due -= u64::from(again == Some(false));
    Ok(())
}

/// Counts the answer for the call's round, unless the call changed after the request. Returns
/// whether the round is over.
pub fn answer(
    transaction: &Transaction<'_>,
    learned: &DetailObservation,
    kinds: &BTreeSet<Detail>,
    again: &Again,
    books: &mut DetailsCounts,
) -> rusqlite::Result<bool> {
    let id = learned.call_id;
    transaction
        .prepare_cached(
            "UPDATE details_due SET answered = answered | ?2
             WHERE call_id = ?1 AND request_seq <= ?3",
        )?
        .execute((id, bit(learned.kind), learned.request.seq))?;
    end_round(transaction, id, kinds, again, books)
}

/// Ends the call's round if every kind was answered. Returns whether it was.
pub fn end_round(
    transaction: &Transaction<'_>,
    id: i64,
    kinds: &BTreeSet<Detail>,
    again: &Again,
    books: &mut DetailsCounts,
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
    books.due -= u64::from(!asked_before);
    Ok(true)
}

pub fn due(row: &Row<'_>) -> rusqlite::Result<DueDetails> {
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
