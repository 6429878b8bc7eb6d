//! Deletion by proof: a suspect becomes a tombstone, and a call that is seen again lives again.

use rusqlite::{OptionalExtension, Transaction};

use super::erasure::take_out;
use super::ledger::Ledger;
use super::writer::raise_request_seq;
use crate::model::{Verified, text_hash};
use crate::store::{StoreError, Writer};

/// Takes a call out, if it is still a suspect and nothing that started after the denial spoke of
/// it.
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
    bury(transaction, (id, sid), denial, ledger)?;
    Ok(true)
}

fn bury(
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
    ledger.census.tombstones += 1;
    Ok(())
}

/// Whether a call that is not held may be taken in. Its tombstone is lifted, unless the answer
/// was asked for before the deletion was proven.
pub fn revive(
    transaction: &Transaction<'_>,
    id: i64,
    request: Verified,
    ledger: &mut Ledger,
) -> Result<bool, StoreError> {
    if ledger.census.tombstones == 0 {
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
    ledger.census.tombstones -= 1;
    Ok(true)
}

impl Writer {
    /// Takes out up to `at_most` suspects that were last heard of before the request numbered
    /// `before_seq`: many calls, which a second look at `request` found gone again. Returns how
    /// many; fewer than `at_most` means that none is left.
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
            bury(&transaction, key, request, &mut ledger)?;
        }
        ledger.write(&transaction)?;
        raise_request_seq(&transaction, request.seq)?;
        transaction.commit()?;
        self.keep(ledger);
        Ok(removed)
    }
}
