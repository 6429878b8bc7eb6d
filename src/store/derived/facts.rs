//! The books: all that is counted of the calls, and kept by the transaction that writes them.

use rusqlite::Transaction;

use super::{dictionaries, rollups};
use crate::model::{Call, Timestamp};

/// What a call is counted and found by.
pub struct Facts<'a> {
    pub id: i64,
    pub sid: &'a str,
    pub started_at: Option<Timestamp>,
    pub status: &'a str,
    pub assistant_id: Option<i64>,
    pub duration: Option<f64>,
    pub phone: Option<&'a str>,
    pub name: Option<&'a str>,
}

impl<'a> From<&'a Call> for Facts<'a> {
    fn from(call: &'a Call) -> Facts<'a> {
        Facts {
            id: call.id,
            sid: &call.call_sid,
            started_at: call.started_at,
            status: &call.status,
            assistant_id: call.assistant_id,
            duration: call.duration,
            phone: call.customer_phone_number.as_deref(),
            name: call.assistant_name.as_deref(),
        }
    }
}

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
