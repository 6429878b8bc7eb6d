//! Deletion by proof: a suspect becomes a tombstone, and a call that is seen again a row again.

use rusqlite::{OptionalExtension, Transaction};

use crate::model::{Verified, text_hash};
use crate::store::error::StoreError;
use crate::store::write::ledger::Ledger;
use crate::store::write::take_out::take_out;

/// Turns a call into a tombstone, if it is still a suspect and no request that started after the
/// denial reported it. Returns whether it did.
pub fn remove(
    transaction: &Transaction<'_>,
    id: i64,
    denial: Verified,
    ledger: &mut Ledger,
) -> Result<bool, StoreError> {
    let suspect = transaction
        .prepare_cached(
            "SELECT call_sid FROM calls
             WHERE id = ?1 AND suspect_at IS NOT NULL AND request_seq <= ?2",
        )?
        .query_row((id, denial.seq), |row| row.get(0))
        .optional()?;
    let Some(sid) = suspect else {
        return Ok(false);
    };
    add_tombstone(transaction, (id, sid), denial, ledger)?;
    Ok(true)
}

pub fn add_tombstone(
    transaction: &Transaction<'_>,
    (id, sid): (i64, String),
    proof: Verified,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    take_out(transaction, id, true, ledger)?;
    transaction
        .prepare_cached(
            "INSERT INTO tombstones (id, sid_hash, deleted_at, request_seq, change_seq)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            id,
            text_hash(&sid),
            proof.at.as_micros(),
            proof.seq,
            ledger.next_change(),
        ))?;
    ledger.row_counts.tombstones += 1;
    Ok(())
}

/// True if a call without a row may be stored. Its tombstone is removed, unless the answer's
/// request started before the deletion was proven.
pub fn revive(
    transaction: &Transaction<'_>,
    id: i64,
    request: Verified,
    ledger: &mut Ledger,
) -> Result<bool, StoreError> {
    if ledger.row_counts.tombstones == 0 {
        return Ok(true);
    }
    let proven_by = transaction
        .prepare_cached("SELECT request_seq FROM tombstones WHERE id = ?1")?
        .query_row([id], |row| row.get::<_, u64>(0))
        .optional()?;
    let Some(proven_by) = proven_by else {
        return Ok(true);
    };
    if proven_by > request.seq {
        return Ok(false);
    }
    transaction
        .prepare_cached("DELETE FROM tombstones WHERE id = ?1")?
        .execute([id])?;
    ledger.row_counts.tombstones -= 1;
    Ok(true)
}
