//! The note in the file that a full-text index may hold traces of what is gone.

use rusqlite::Transaction;

/// Notes in the file that this transaction leaves some.
pub fn leave(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE replica SET traces = 1 WHERE traces = 0")?
        .execute([])?;
    Ok(())
}
