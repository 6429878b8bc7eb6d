//! Removing a call's row from the file.

use rusqlite::Transaction;

use crate::store::details::queue;
use crate::store::error::StoreError;
use crate::store::write::ledger::Ledger;

/// Removes a call from the file and from the derived tables.
pub fn take_out(
    transaction: &Transaction<'_>,
    id: i64,
    is_suspect: bool,
    ledger: &mut Ledger,
) -> Result<(), StoreError> {
    ledger.books.subtract(transaction, id)?;
    transaction
        .prepare_cached("DELETE FROM calls WHERE id = ?1")?
        .execute([id])?;
    queue::forget(transaction, id, &mut ledger.details)?;
    ledger.row_counts.calls -= 1;
    ledger.row_counts.suspects -= u64::from(is_suspect);
    Ok(())
}
