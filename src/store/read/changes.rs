//! The change feed: calls and tombstones in the order of their changes.
//!
//! The order is a compacted log. A call that changed twice is in it once, at its latest place, so a
//! consumer that reads from zero, or on from its cursor, ends with what the replica has.

use rusqlite::Row;

use crate::model::Timestamp;
use crate::store::error::StoreError;
use crate::store::read::reader::Reader;

/// A page of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Identifies the feed: the cursors of another file's feed mean nothing here.
    pub feed_id: String,
    /// By `seq`, ascending.
    pub items: Vec<Change>,
    /// The next cursor: the place of the last item, or the requested cursor if there is none.
    pub next: u64,
    /// True if more changes follow already.
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub seq: u64,
    pub what: Changed,
    pub heard: Confirmation,
}

/// When a change was last known to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// When the text, or the deletion, was confirmed; its window may have been verified later.
    pub at: Timestamp,
    pub started_at: Option<Timestamp>,
    /// True if no window verifies it, because the call is a suspect or deleted.
    pub unverified: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The call's JSON text. A suspect is still served, so it is one of these.
    Upsert(String),
    /// The id of a deleted call.
    Delete(i64),
}

impl Reader {
    /// Up to `limit` changes after the cursor `after`, as of one instant.
    pub fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let feed_id = snapshot
            .prepare_cached("SELECT feed_id FROM replica")?
            .query_row([], |row| row.get(0))?;
        // Each side comes from its index in order; SQLite merges them and stops at the limit.
        let mut select = snapshot.prepare_cached(
            "SELECT change_seq, id, body, seen_at, started_at, suspect_at FROM calls
             WHERE change_seq > ?1
             UNION ALL
             SELECT change_seq, id, NULL, deleted_at, NULL, deleted_at FROM tombstones
             WHERE change_seq > ?1
             ORDER BY change_seq LIMIT ?2",
        )?;
        // One more than is returned shows whether others follow.
        let (start, most) = (
            i64::try_from(after).unwrap_or(i64::MAX),
            i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
        );
        let mut rows = select.query((start, most))?;
        let mut items = Vec::new();
        let mut more = false;
        while let Some(row) = rows.next()? {
            if items.len() == limit {
                more = true;
                break;
            }
            let what = match row.get(2)? {
                Some(body) => Changed::Upsert(body),
                None => Changed::Delete(row.get(1)?),
            };
            items.push(Change {
                seq: row.get(0)?,
                what,
                heard: heard(row)?,
            });
        }
        Ok(Changes {
            feed_id,
            next: items.last().map_or(after, |last| last.seq),
            items,
            more,
        })
    }

    /// The start of each suspect, and when it was last seen; the earliest of several with one
    /// start.
    pub fn unverified(&self) -> Result<Vec<(Option<Timestamp>, Timestamp)>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT started_at, min(seen_at) FROM calls INDEXED BY suspects
             WHERE suspect_at IS NOT NULL GROUP BY started_at",
        )?;
        let suspects = select.query_map([], |row| {
            let started_at: Option<i64> = row.get(0)?;
            let seen_at = Timestamp::from_micros(row.get(1)?);
            Ok((started_at.map(Timestamp::from_micros), seen_at))
        })?;
        Ok(suspects.collect::<Result<_, _>>()?)
    }
}

fn heard(row: &Row<'_>) -> rusqlite::Result<Confirmation> {
    Ok(Confirmation {
        at: Timestamp::from_micros(row.get(3)?),
        started_at: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_micros),
        unverified: row.get::<_, Option<i64>>(5)?.is_some(),
    })
}
