//! The flag in the file that a full-text index may still have traces of deleted texts.

use rusqlite::Transaction;

/// Sets the flag: this transaction leaves traces.
pub fn leave(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE replica SET traces = 1 WHERE traces = 0")?
        .execute([])?;
    Ok(())
}
