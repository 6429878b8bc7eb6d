//! What the upstream was found to be able to do, kept from one process to the next.

use rusqlite::{Connection, OptionalExtension};

use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::write::writer::Writer;

const PAGE_ROWS: &str = "page_rows";

/// The most rows on a page of the list, where that is less than documented.
pub fn page_rows(connection: &Connection) -> rusqlite::Result<Option<usize>> {
    connection
        .query_row(
            "SELECT value FROM limits WHERE name = ?1",
            [PAGE_ROWS],
            |row| row.get(0),
        )
        .optional()
}

impl Writer {
    /// The most rows on a page of the list, as the file had it when it was opened.
    pub fn page_rows(&self) -> Option<usize> {
        self.page_rows
    }

    /// Keeps the most rows on a page, learned at `now`; `None`: as many as documented.
    pub fn keep_page_rows(
        &mut self,
        rows: Option<usize>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match rows {
            Some(rows) => self.connection.execute(
                "INSERT INTO limits (name, value, learned_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET
                     value = excluded.value, learned_at = excluded.learned_at",
                (PAGE_ROWS, rows, now.as_micros()),
            )?,
            None => self
                .connection
                .execute("DELETE FROM limits WHERE name = ?1", [PAGE_ROWS])?,
        };
        self.page_rows = rows;
        Ok(())
    }
}
