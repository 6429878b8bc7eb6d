//! Calls that the upstream seems not to have any more: who is a suspect, when a list that leaves
//! out many is believed, and whom to ask about.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction};

use crate::model::{CallKey, Verified};
use crate::store::error::StoreError;
use crate::store::write::ledger::{Ledger, Suspicion};
use crate::store::write::observation::{Complete, Observation, Trust};

/// Fewer calls than these may all be gone at once without a second look.
const A_FEW: usize = 3;

/// The calls, not suspects yet and last heard of before the request, that a complete list leaves
/// out.
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

/// Whether an answer, not merged yet, keeps none of the calls that are held within its bounds.
/// Asked only where it matters.
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

/// Shows the calls within the list's bounds that are no suspects and were last heard of before
/// the request, until `visit` says that it saw enough.
fn visit_held(
    transaction: &Transaction<'_>,
    request: Verified,
    complete: &Complete,
    mut visit: impl FnMut(i64) -> bool,
) -> Result<(), StoreError> {
    if let Some(started) = &complete.started {
        let mut held = transaction.prepare_cached(
            "SELECT id FROM calls
             WHERE started_at BETWEEN ?1 AND ?2 AND suspect_at IS NULL AND request_seq < ?3",
        )?;
        let (from, to) = (started.start().as_micros(), started.end().as_micros());
        let mut held = held.query((from, to, request.seq))?;
        while let Some(row) = held.next()? {
            if !visit(row.get(0)?) {
                return Ok(());
            }
        }
    }
    if complete.without_start {
        let mut held = transaction.prepare_cached(
            "SELECT id FROM calls
             WHERE started_at IS NULL AND suspect_at IS NULL AND request_seq < ?1",
        )?;
        let mut held = held.query([request.seq])?;
        while let Some(row) = held.next()? {
            if !visit(row.get(0)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether a list may leave out so many of all `held` calls.
pub fn is_believed(belief: Trust, missing: usize, held: u64, keeps_none: bool) -> bool {
    match belief {
        Trust::Whole => true,
        Trust::UnlessMany => {
            let many = missing > 50 && missing as u64 > held / 20;
            let all = keeps_none && missing >= A_FEW;
            !many && !all
        }
        Trust::UpTo(most) => missing <= most && !(keeps_none && missing > 0),
    }
}

/// The held calls of a key; more than one where a SID is of several.
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

/// Marks a call that the upstream said it does not have. It is served on: the proof that it was
/// deleted is not given by one answer.
pub fn suspect(
    transaction: &Transaction<'_>,
    id: i64,
    request: Verified,
    ledger: &mut Ledger,
) -> Result<bool, StoreError> {
    let held = transaction
        .prepare_cached(
            "SELECT request_seq, started_at FROM calls
             WHERE id = ?1 AND request_seq <= ?2 AND suspect_at IS NULL",
        )?
        .query_row((id, request.seq), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((told_by, start)) = held else {
        return Ok(false);
    };
    // The word of its window, which does not hold for it any more, held until then.
    let verified_at = ledger.verified_at(start);
    transaction
        .prepare_cached(
            "UPDATE calls SET suspect_at = ?2, request_seq = ?3,
                 seen_at = max(seen_at, coalesce(?4, seen_at)) WHERE id = ?1",
        )?
        .execute((id, request.at.as_micros(), request.seq, verified_at))?;
    ledger.census.suspects += 1;
    let by = request.seq;
    ledger.suspicions.push((id, Suspicion { by, told_by }));
    Ok(true)
}

/// Whether a request that started later than `request` found the call unchanged.
pub fn is_confirmed(confirmed: &HashMap<i64, u64>, id: i64, request: Verified) -> bool {
    confirmed.get(&id).is_some_and(|seq| *seq > request.seq)
}
