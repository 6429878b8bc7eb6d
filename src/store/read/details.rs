//! A call's details.

use rusqlite::OptionalExtension;

use crate::model::{Detail, Timestamp};
use crate::store::details::text::StoredDetail;
use crate::store::error::StoreError;
use crate::store::read::reader::Reader;

impl Reader {
    /// The stored detail of a call; `None` if there is none.
    pub fn detail(&self, call_id: i64, kind: Detail) -> Result<Option<StoredDetail>, StoreError> {
        let stored_call = self
            .connection
            .prepare_cached(
                "SELECT details.body, details.body_hash, details.seen_at, ended AND NOT open
                 FROM details JOIN calls ON id = call_id WHERE call_id = ?1 AND kind = ?2",
            )?
            .query_row((call_id, kind.as_str()), |row| {
                Ok(StoredDetail {
                    body: row.get(0)?,
                    body_hash: row.get(1)?,
                    seen_at: Timestamp::from_micros(row.get(2)?),
                    ended: row.get(3)?,
                })
            });
        Ok(stored_call.optional()?)
    }
}
