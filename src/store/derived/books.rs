//! The changes of all derived tables in one transaction.

use rusqlite::Transaction;

use crate::model::{Call, Timestamp};
use crate::store::derived::facts::Facts;
use crate::store::derived::{dictionaries, rollups};

/// The changes of one transaction, summed up before they are written.
#[derive(Default)]
pub struct DerivedTables {
    rollups: rollups::Deltas,
    words: dictionaries::Deltas,
}

impl DerivedTables {
    /// Counts a call that is about to become a row.
    pub fn add(&mut self, call: &Call) {
        let facts = Facts::from(call);
        self.rollups.count(&facts, 1);
        self.words.add(&facts);
    }

    /// Discounts a row that is about to be deleted or overwritten.
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

    /// Moves `calls` calls from the name `former` to `name`.
    pub fn rename(&mut self, former: Option<&str>, name: &str, calls: i64) {
        self.words.rename(former, name, calls);
    }

    /// Returns whether it left traces in the trigram indexes.
    pub fn write(self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        self.rollups.write(transaction)?;
        self.words.write(transaction)
    }
}
