//! Reads of the small tables beside the calls: the identity, the assistants and the outbox.

use crate::model::Timestamp;
use crate::store::assistants::{self, Names};
use crate::store::error::StoreError;
use crate::store::identity::{self, Identity};
use crate::store::outbox::{Conflict, Write, kept};
use crate::store::read::reader::Reader;

impl Reader {
    /// The owner of the file's calls.
    pub fn identity(&self) -> Result<Identity, StoreError> {
        Ok(identity::read(&self.connection)?)
    }

    /// The names of the assistants that the upstream lists apart from the calls.
    pub fn assistants(&self) -> Result<Names, StoreError> {
        Ok(assistants::read(&self.connection)?)
    }

    /// Every change in the outbox, in order.
    pub fn writes(&self) -> Result<Vec<Write>, StoreError> {
        Ok(kept(&self.connection)?)
    }

    /// The last conflicts, oldest first.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT write_id, call_id, keys, found_at FROM conflicts ORDER BY write_id",
        )?;
        let rows = select.query_map([], |row| {
            let keys: String = row.get(2)?;
            Ok(Conflict {
                write_id: row.get(0)?,
                call_id: row.get(1)?,
                keys: serde_json::from_str(&keys).unwrap_or_default(),
                found_at: Timestamp::from_micros(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
