//! Suspects: calls that the upstream seems not to have any more. Which calls become suspects, and
//! when a list that leaves out many is trusted.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction};

use crate::model::{CallKey, Verified};
use crate::store::error::StoreError;
use crate::store::write::ledger::{Ledger, Suspicion};
use crate::store::write::observation::{Complete, Observation, Trust};

/// Fewer calls than this may all be missing at once without a second look.
const A_FEW: usize = 3;

/// The calls that a complete list leaves out, that are no suspects yet and were last reported
/// before the request.
pub fn missing(
    transaction: &Transaction<'_>,
    request: Verified,
    complete: &Complete,
    confirmed: &HashMap<i64, u64>,
) -> Result<Vec<i64>, StoreError> {
    let mut missing = Vec::new();
    visit_held(transaction, request, complete, |id| {
        if !complete.listed.contains(&id) && !is_confirmed(confirmed, id, request) {
            missing.push(id);
        }
        true
    })?;
    Ok(missing)
}

/// True if an answer, not merged yet, lists none of the calls stored within its bounds. Computed
/// only if [`is_believed`] depends on it.
pub fn keeps_none(
    transaction: &Transaction<'_>,
    learned: &Observation,
    complete: &Complete,
    confirmed: &HashMap<i64, u64>,
) -> Result<bool, StoreError> {
    if complete.belief == Trust::Whole {
        return Ok(false);
    }
    let is_listed = |id| {
        complete.listed.contains(&id)
            || learned
                .calls
                .binary_search_by_key(&id, |call| call.id)
                .is_ok()
    };
    let mut kept = false;
    visit_held(transaction, learned.request, complete, |id| {
        kept = is_listed(id) && !is_confirmed(confirmed, id, learned.request);
        !kept
    })?;
    Ok(!kept)
}

/// Visits the calls within the list's bounds that are no suspects and were last reported before the
/// request, until `visit` returns false.
fn visit_held(
    transaction: &Transaction<'_>,
    request: Verified,
    complete: &Complete,
    mut visit: impl FnMut(i64) -> bool,
) -> Result<(), StoreError> {
    if let Some(started) = &complete.started {
        let mut stored_call = transaction.prepare_cached(
            "SELECT id FROM calls
             WHERE started_at BETWEEN ?1 AND ?2 AND suspect_at IS NULL AND request_seq < ?3",
        )?;
        let (from, to) = (started.start().as_micros(), started.end().as_micros());
        let mut stored_call = stored_call.query((from, to, request.seq))?;
        while let Some(row) = stored_call.next()? {
            if !visit(row.get(0)?) {
                return Ok(());
            }
        }
    }
    if complete.without_start {
        let mut stored_call = transaction.prepare_cached(
            "SELECT id FROM calls
             WHERE started_at IS NULL AND suspect_at IS NULL AND request_seq < ?1",
        )?;
        let mut stored_call = stored_call.query([request.seq])?;
        while let Some(row) = stored_call.next()? {
            if !visit(row.get(0)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// True if a list may leave out `missing` of all `stored_call` calls.
pub fn is_believed(belief: Trust, missing: usize, stored_calls: u64, keeps_none: bool) -> bool {
    match belief {
        Trust::Whole => true,
        Trust::UnlessMany => {
            let many = missing > 50 && missing as u64 > stored_calls / 20;
            let all = keeps_none && missing >= A_FEW;
            !many && !all
        }
        Trust::UpTo(most) => missing <= most && !(keeps_none && missing > 0),
    }
}

/// The ids of the stored calls with a key: several if calls share a SID.
pub fn ids(transaction: &Transaction<'_>, key: &CallKey) -> Result<Vec<i64>, StoreError> {
    match key {
        CallKey::Id(id) => Ok(vec![*id]),
        CallKey::Sid(sid) => {
            let mut select =
                transaction.prepare_cached("SELECT id FROM calls WHERE call_sid = ?1")?;
            let ids = select.query_map([sid], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        }
    }
}

/// Makes a call a suspect, unless a later request reported it. Suspects are still served: one
/// answer does not prove a deletion. Returns whether the call became one.
pub fn suspect(
    transaction: &Transaction<'_>,
    id: i64,
    request: Verified,
    ledger: &mut Ledger,
) -> Result<bool, StoreError> {
    let stored_call = transaction
        .prepare_cached(
            "SELECT request_seq, started_at FROM calls
             WHERE id = ?1 AND request_seq <= ?2 AND suspect_at IS NULL",
        )?
        .query_row((id, request.seq), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((text_seq, start)) = stored_call else {
        return Ok(false);
    };
    // The verification of its window applied to the call until now, and no longer does.
    let verified_at = ledger.verified_at(start);
    transaction
        .prepare_cached(
            "UPDATE calls SET suspect_at = ?2, request_seq = ?3,
                 seen_at = max(seen_at, coalesce(?4, seen_at)) WHERE id = ?1",
        )?
        .execute((id, request.at.as_micros(), request.seq, verified_at))?;
    ledger.row_counts.suspects += 1;
    let by = request.seq;
    ledger.suspicions.push((id, Suspicion { by, text_seq }));
    Ok(true)
}

/// True if a request that started later than `request` found the call unchanged.
pub fn is_confirmed(confirmed: &HashMap<i64, u64>, id: i64, request: Verified) -> bool {
    confirmed.get(&id).is_some_and(|seq| *seq > request.seq)
}
