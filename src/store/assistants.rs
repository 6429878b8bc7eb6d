//! What assistants are called, where the calls do not tell: a self-hosted upstream lists them apart.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::model::{Call, Timestamp};
use crate::store::error::StoreError;
use crate::store::read::reader::Reader;
use crate::store::write::writer::Writer;

/// Names by the assistants' ids.
pub type Names = HashMap<i64, String>;

pub fn read(connection: &Connection) -> rusqlite::Result<Names> {
    connection
        .prepare("SELECT assistant_id, name FROM assistants")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Names a call whose text does not.
pub fn name(names: &Names, call: &mut Call) {
    if !call.tells_name
        && let Some(id) = call.assistant_id
    {
        call.assistant_name = names.get(&id).cloned();
    }
}

impl Reader {
    /// What assistants are called that the upstream lists apart from the calls.
    pub fn assistants(&self) -> Result<Names, StoreError> {
        Ok(read(&self.connection)?)
    }
}

impl Writer {
    /// Keeps what the upstream, at `now`, says that some assistants are called, and names the calls
    /// whose texts do not. An assistant that it does not list any more keeps its name.
    pub fn keep_assistants(
        &mut self,
        told: Vec<(i64, String)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // One that is listed twice is one.
        let mut told = Names::from_iter(told);
        told.retain(|id, name| self.assistants.get(id) != Some(name));
        if told.is_empty() {
            return Ok(());
        }
        let mut ledger = self.ledger();
        let transaction = self.begin()?;
        for (id, name) in &told {
            transaction
                .prepare_cached(
                    "INSERT INTO assistants VALUES (?1, ?2, ?3) ON CONFLICT (assistant_id)
                     DO UPDATE SET name = excluded.name, told_at = excluded.told_at",
                )?
                .execute((id, name, now.as_micros()))?;
            let renamed = transaction
                .prepare_cached(
                    "UPDATE calls SET assistant_name = ?2
                     WHERE assistant_id = ?1 AND json_type(body, '$.assistant_name') IS NULL",
                )?
                .execute((id, name))?;
            let former = self.assistants.get(id).map(String::as_str);
            ledger.books.rename(former, name, renamed as i64);
        }
        ledger.write(&transaction)?;
        transaction.commit()?;
        self.keep(ledger);
        self.assistants.extend(told);
        Ok(())
    }
}
