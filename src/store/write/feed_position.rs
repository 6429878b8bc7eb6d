//! The position in another edge's feed, as it is stored.

use rusqlite::{Connection, OptionalExtension};

/// The position up to which another edge's changes are in this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    pub feed_id: String,
    pub place: u64,
    /// True once a full pass from place 0 has listed every call stored here.
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
