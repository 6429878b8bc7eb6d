//! How far the feed of another edge was followed.

use rusqlite::{Connection, OptionalExtension};

/// How far another edge's order of changes is in this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    pub feed_id: String,
    pub place: u64,
    /// Whoever is held was told of since place 0.
    pub whole: bool,
}

pub fn read(connection: &Connection) -> rusqlite::Result<Option<FeedPosition>> {
    connection
        .prepare_cached("SELECT feed_id, place, whole FROM followed")?
        .query_row([], |row| {
            Ok(FeedPosition {
                feed_id: row.get(0)?,
                place: row.get(1)?,
                whole: row.get(2)?,
            })
        })
        .optional()
}

pub fn write(connection: &Connection, followed: &FeedPosition) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO followed (one, feed_id, place, whole) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (one) DO UPDATE SET feed_id = ?1, place = ?2, whole = ?3",
        )?
        .execute((&followed.feed_id, followed.place, followed.whole))
}
