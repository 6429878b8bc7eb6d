//! Merging one call of an answer into its row.

use rusqlite::{OptionalExtension, Transaction};

use crate::model::{Call, Timestamp, Verified};
use crate::store::details::queue;
use crate::store::error::StoreError;
use crate::store::write::ledger::{Ledger, Suspicion};
use crate::store::write::observation::{Merged, Observation};
use crate::store::write::suspects::suspect;
use crate::store::write::tombstones::revive;

pub enum Outcome {
    New,
    Changed,
    Respelled,
    Unchanged,
    Stale,
}

impl Merged {
    /// Returns whether the call was found unchanged.
    pub(in crate::store) fn count(&mut self, outcome: Outcome) -> bool {
        let counter = match outcome {
            Outcome::New => &mut self.new,
            Outcome::Changed => &mut self.changed,
            Outcome::Respelled => &mut self.respelled,
            Outcome::Stale => &mut self.stale,
            Outcome::Unchanged => &mut self.unchanged,
        };
        *counter += 1;
        matches!(outcome, Outcome::Unchanged)
    }
}

pub struct MergeOutcome {
    pub outcome: Outcome,
    pub wrote: bool,
}

/// Writes a call that has a new text, unless a request that started later has brought one. If a
/// later request did not find the call, which may have moved between the ranges that the two read,
/// the older text is stored, and the call stays a suspect.
pub fn merge_call(
    transaction: &Transaction<'_>,
    learned: &Observation,
    call: &Call,
    confirmed_by: u64,
    suspicion: Option<&Suspicion>,
    ledger: &mut Ledger,
) -> Result<MergeOutcome, StoreError> {
    struct Before {
        same_text: bool,
        /// The stored text, if it differs.
        body: Option<String>,
        request_seq: u64,
        change_seq: u64,
        suspect_at: Option<Timestamp>,
        was_open: bool,
        /// True if every column of the indexes and the derived tables stays the same.
        in_place: bool,
    }
    let before = transaction
        .prepare_cached(
            "SELECT body, request_seq, suspect_at, started_at, status, assistant_id, duration,
                 change_seq, call_sid, customer_phone_number, assistant_name, open
             FROM calls WHERE id = ?1",
        )?
        .query_row([call.id], |row| {
            let body = row.get_ref(0)?.as_str()?;
            let same_text = body == &*call.body;
            let started_at = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_micros);
            let suspect_at = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros);
            Ok(Before {
                same_text,
                body: (!same_text).then(|| body.to_owned()),
                request_seq: row.get(1)?,
                change_seq: row.get(7)?,
                suspect_at,
                was_open: row.get(11)?,
                in_place: !same_text
                    && suspect_at.is_none()
                    && started_at == call.started_at
                    && row.get_ref(4)?.as_str()? == call.status
                    && row.get::<_, Option<i64>>(5)? == call.assistant_id
                    && row.get::<_, Option<f64>>(6)? == call.duration
                    && row.get_ref(8)?.as_str()? == call.call_sid
                    && row.get_ref(9)?.as_str_or_null()? == call.customer_phone_number.as_deref()
                    && row.get_ref(10)?.as_str_or_null()? == call.assistant_name.as_deref(),
            })
        })
        .optional()?;
    let Some(before) = before else {
        if !revive(transaction, call.id, learned.request, ledger)? {
            return Ok(MergeOutcome {
                outcome: Outcome::Stale,
                wrote: false,
            });
        }
        write_call(transaction, learned.request, call, ledger.next_change())?;
        queue::call_written(
            transaction,
            call,
            None,
            learned.request,
            &mut ledger.details,
        )?;
        ledger.row_counts.calls += 1;
        ledger.books.add(call);
        return Ok(MergeOutcome {
            outcome: Outcome::New,
            wrote: true,
        });
    };
    let suspect_since = before.suspect_at.map(|at| Verified {
        at,
        seq: before.request_seq,
    });
    let text_seq = suspicion
        .filter(|suspicion| suspect_since.is_some_and(|since| since.seq == suspicion.by))
        .map_or(before.request_seq, |suspicion| suspicion.text_seq);
    if learned.request.seq < text_seq.max(confirmed_by) {
        return Ok(MergeOutcome {
            outcome: Outcome::Stale,
            wrote: false,
        });
    }
    let was_suspect = suspect_since.is_some();
    let missed_since = suspect_since.filter(|since| learned.request.seq < since.seq);
    if before.same_text {
        let wrote = missed_since.is_none() && (learned.singly || was_suspect);
        if wrote {
            transaction
                .prepare_cached(
                    "UPDATE calls SET seen_at = ?2, request_seq = ?3, suspect_at = NULL
                     WHERE id = ?1",
                )?
                .execute((call.id, learned.request.at.as_micros(), learned.request.seq))?;
            ledger.end_suspicion(was_suspect);
        }
        return Ok(MergeOutcome {
            outcome: Outcome::Unchanged,
            wrote,
        });
    }
    let respelled = before.body.is_some_and(|body| same_json(&body, &call.body));
    let (outcome, change_seq) = if respelled {
        (Outcome::Respelled, before.change_seq)
    } else {
        (Outcome::Changed, ledger.next_change())
    };
    if before.in_place {
        rewrite_call(transaction, learned.request, call, change_seq)?;
    } else {
        ledger.books.subtract(transaction, call.id)?;
        ledger.books.add(call);
        write_call(transaction, learned.request, call, change_seq)?;
    }
    ledger.end_suspicion(was_suspect);
    if let Some(request) = missed_since {
        suspect(transaction, call.id, request, ledger)?;
    }
    if !respelled {
        let was_open = Some(before.was_open);
        queue::call_written(
            transaction,
            call,
            was_open,
            learned.request,
            &mut ledger.details,
        )?;
    }
    Ok(MergeOutcome {
        outcome,
        wrote: true,
    })
}

fn write_call(
    transaction: &Transaction<'_>,
    request: Verified,
    call: &Call,
    change_seq: u64,
) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "INSERT INTO calls (id, call_sid, assistant_id, assistant_name, customer_phone_number,
                 status, duration, started_at, open, suspect_at, seen_at, request_seq, body_hash,
                 body, change_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (id) DO UPDATE SET call_sid = ?2, assistant_id = ?3, assistant_name = ?4,
                 customer_phone_number = ?5, status = ?6, duration = ?7, started_at = ?8,
                 open = ?9, suspect_at = NULL, seen_at = ?10, request_seq = ?11, body_hash = ?12,
                 body = ?13, change_seq = ?14",
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
            change_seq,
        ))
}

/// Like [`write_call`], for a call whose place in every index but that of changes stays the same.
/// SQLite updates the index of each column that an `UPDATE` names, even if its value stays the
/// same.
fn rewrite_call(
    transaction: &Transaction<'_>,
    request: Verified,
    call: &Call,
    change_seq: u64,
) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "UPDATE calls SET seen_at = ?2, request_seq = ?3, body_hash = ?4, body = ?5,
                 change_seq = ?6
             WHERE id = ?1",
        )?
        .execute((
            call.id,
            request.at.as_micros(),
            request.seq,
            call.body_hash(),
            &*call.body,
            change_seq,
        ))
}

/// True if two texts are equal JSON. Numbers are equal if their digits are.
fn same_json(a: &str, b: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if a == b)
}
