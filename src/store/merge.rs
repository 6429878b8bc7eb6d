//! What one call of an answer does to its row.

use rusqlite::{OptionalExtension, Rows, Transaction};

use super::StoreError;
use super::rollups::{Counted, Deltas};
use super::writer::{Complete, Learned};
use crate::model::{Call, CallKey, Timestamp, Verified};

pub enum Outcome {
    New,
    Changed,
    Respelled,
    Unchanged,
    Stale,
}

pub struct Fate {
    pub outcome: Outcome,
    pub wrote: bool,
}

/// Writes one call if it says something new and nothing that started later spoke of it.
pub fn merge_call(
    transaction: &Transaction<'_>,
    learned: &Learned,
    call: &Call,
    confirmed_by: u64,
    deltas: &mut Deltas,
) -> Result<Fate, StoreError> {
    struct Before {
        same_text: bool,
        /// Where the text differs.
        body: Option<String>,
        request_seq: u64,
        suspect: bool,
        counted: Counted,
    }
    let before = transaction
        .prepare_cached(
            "SELECT body, request_seq, suspect_at, started_at, status, assistant_id, duration
             FROM calls WHERE id = ?1",
        )?
        .query_row([call.id], |row| {
            let body = row.get_ref(0)?.as_str()?;
            let same_text = body == &*call.body;
            Ok(Before {
                same_text,
                body: (!same_text).then(|| body.to_owned()),
                request_seq: row.get(1)?,
                suspect: row.get::<_, Option<i64>>(2)?.is_some(),
                counted: Counted::new(
                    row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros),
                    row.get_ref(4)?.as_str()?,
                    row.get(5)?,
                    row.get(6)?,
                ),
            })
        })
        .optional()?;
    let Some(before) = before else {
        write_call(transaction, learned.request, call)?;
        deltas.add(Counted::from(call));
        return Ok(Fate {
            outcome: Outcome::New,
            wrote: true,
        });
    };
    if learned.request.seq < before.request_seq.max(confirmed_by) {
        return Ok(Fate {
            outcome: Outcome::Stale,
            wrote: false,
        });
    }
    if before.same_text {
        let wrote = learned.singly || before.suspect;
        if wrote {
            transaction
                .prepare_cached(
                    "UPDATE calls SET seen_at = ?2, request_seq = ?3, suspect_at = NULL
                     WHERE id = ?1",
                )?
                .execute((call.id, learned.request.at.as_micros(), learned.request.seq))?;
        }
        return Ok(Fate {
            outcome: Outcome::Unchanged,
            wrote,
        });
    }
    write_call(transaction, learned.request, call)?;
    deltas.subtract(before.counted);
    deltas.add(Counted::from(call));
    let respelled = before.body.is_some_and(|body| same_json(&body, &call.body));
    let outcome = if respelled {
        Outcome::Respelled
    } else {
        Outcome::Changed
    };
    Ok(Fate {
        outcome,
        wrote: true,
    })
}

fn write_call(
    transaction: &Transaction<'_>,
    request: Verified,
    call: &Call,
) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "INSERT INTO calls (id, call_sid, assistant_id, assistant_name, customer_phone_number,
                 status, duration, started_at, open, suspect_at, seen_at, request_seq, body_hash,
                 body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, ?11, ?12, ?13)
             ON CONFLICT DO UPDATE SET call_sid = ?2, assistant_id = ?3, assistant_name = ?4,
                 customer_phone_number = ?5, status = ?6, duration = ?7, started_at = ?8,
                 open = ?9, suspect_at = NULL, seen_at = ?10, request_seq = ?11, body_hash = ?12,
                 body = ?13",
        )?
        .execute((
            call.id,
            &call.call_sid,
            call.assistant_id,
            &call.assistant_name,
            &call.customer_phone_number,
            &call.status,
            call.duration,
            call.started_at.map(Timestamp::as_micros),
            call.is_open(),
            request.at.as_micros(),
            request.seq,
            call.body_hash(),
            &*call.body,
        ))
}

/// The calls, not suspects yet and last heard of before the request, that a complete list leaves
/// out.
pub fn missing(
    transaction: &Transaction<'_>,
    request: Verified,
    complete: &Complete,
) -> Result<Vec<i64>, StoreError> {
    let mut missing = Vec::new();
    let mut compare = |held: &mut Rows<'_>| -> rusqlite::Result<()> {
        while let Some(row) = held.next()? {
            let id = row.get(0)?;
            if !complete.listed.contains(&id) {
                missing.push(id);
            }
        }
        Ok(())
    };
    if let Some(started) = &complete.started {
        let mut held = transaction.prepare_cached(
            "SELECT id FROM calls
             WHERE started_at BETWEEN ?1 AND ?2 AND suspect_at IS NULL AND request_seq < ?3",
        )?;
        let (from, to) = (started.start().as_micros(), started.end().as_micros());
        compare(&mut held.query((from, to, request.seq))?)?;
    }
    if complete.without_start {
        let mut held = transaction.prepare_cached(
            "SELECT id FROM calls
             WHERE started_at IS NULL AND suspect_at IS NULL AND request_seq < ?1",
        )?;
        compare(&mut held.query([request.seq])?)?;
    }
    Ok(missing)
}

/// Whether it takes more than one list to doubt so many calls: over 50, and over 5 % of all.
pub fn is_too_many(transaction: &Transaction<'_>, missing: usize) -> Result<bool, StoreError> {
    if missing <= 50 {
        return Ok(false);
    }
    let held: usize = transaction
        .prepare_cached("SELECT coalesce(sum(calls), 0) FROM rollups")?
        .query_row([], |row| row.get(0))?;
    Ok(missing > held / 20)
}

/// Marks a call that the upstream said it does not have. It is served on: the proof that it was
/// deleted is not given by one answer.
pub fn suspect(
    transaction: &Transaction<'_>,
    key: &CallKey,
    request: Verified,
) -> Result<bool, StoreError> {
    let marked = match key {
        CallKey::Id(id) => transaction
            .prepare_cached(
                "UPDATE calls SET suspect_at = ?2, request_seq = ?3
                 WHERE id = ?1 AND request_seq <= ?3 AND suspect_at IS NULL",
            )?
            .execute((id, request.at.as_micros(), request.seq))?,
        CallKey::Sid(sid) => transaction
            .prepare_cached(
                "UPDATE calls SET suspect_at = ?2, request_seq = ?3
                 WHERE call_sid = ?1 AND request_seq <= ?3 AND suspect_at IS NULL",
            )?
            .execute((sid, request.at.as_micros(), request.seq))?,
    };
    Ok(marked > 0)
}

/// Whether two texts are equal JSON. Numbers are equal where their digits are.
fn same_json(a: &str, b: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if a == b)
}
