//! All that is derived from the calls: changed by the transaction that writes them.

use rusqlite::Transaction;

use crate::model::{Call, Timestamp};
use crate::store::derived::facts::Facts;
use crate::store::derived::{dictionaries, rollups};

/// What a transaction changes in the books, summed before it is written.
#[derive(Default)]
pub struct Books {
    rollups: rollups::Deltas,
    words: dictionaries::Deltas,
}

impl Books {
    /// A call that is about to be a row.
    pub fn add(&mut self, call: &Call) {
        let facts = Facts::from(call);
        self.rollups.count(&facts, 1);
        self.words.add(&facts);
    }

    /// A row that is about to go, or to be overwritten by a call that is added then.
    pub fn subtract(&mut self, transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
        transaction
            .prepare_cached(
                "SELECT call_sid, started_at, status, assistant_id, duration,
                     customer_phone_number, assistant_name
                 FROM calls WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let facts = Facts {
                    id,
                    sid: row.get_ref(0)?.as_str()?,
                    started_at: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_micros),
                    status: row.get_ref(2)?.as_str()?,
                    assistant_id: row.get(3)?,
                    duration: row.get(4)?,
                    phone: row.get_ref(5)?.as_str_or_null()?,
                    name: row.get_ref(6)?.as_str_or_null()?,
                };
                self.rollups.count(&facts, -1);
                self.words.subtract(&facts);
                Ok(())
            })
    }

    /// Counts so many calls under `name` that were counted under `former`.
    pub fn rename(&mut self, former: Option<&str>, name: &str, calls: i64) {
        self.words.rename(former, name, calls);
    }

    /// Returns whether something is gone, of which the trigrams keep traces for now.
    pub fn write(self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        self.rollups.write(transaction)?;
        self.words.write(transaction)
    }
}
