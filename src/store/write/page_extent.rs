//! The largest page that the upstream serves, stored from one process to the next.

use rusqlite::{Connection, OptionalExtension};

use crate::model::Timestamp;

const PAGE_ROWS: &str = "page_rows";

/// The most rows on a page of the list; `None` if as many as documented.
pub fn page_rows(connection: &Connection) -> rusqlite::Result<Option<usize>> {
    connection
        .query_row(
            "SELECT value FROM limits WHERE name = ?1",
            [PAGE_ROWS],
            |row| row.get(0),
        )
        .optional()
}

/// Records the most rows on a page, found at `now`; `None` if as many as documented.
pub fn keep_page_rows(
    connection: &Connection,
    rows: Option<usize>,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    match rows {
        Some(rows) => connection.execute(
            "INSERT INTO limits (name, value, learned_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET
                 value = excluded.value, learned_at = excluded.learned_at",
            (PAGE_ROWS, rows, now.as_micros()),
        ),
        None => connection.execute("DELETE FROM limits WHERE name = ?1", [PAGE_ROWS]),
    }
}
