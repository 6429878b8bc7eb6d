//! Storing the assistants' names, where the upstream lists them apart from the calls.

use crate::model::Timestamp;
use crate::store::assistants::Names;
use crate::store::error::StoreError;
use crate::store::write::writer::Writer;

impl Writer {
    /// Stores names that the upstream listed at `now`, and sets them in calls whose texts have
    /// none. The name of an assistant that is no longer listed stays.
    pub fn keep_assistants(
        &mut self,
        told: Vec<(i64, String)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // The upstream may list an assistant twice.
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
        self.apply_ledger(ledger);
        self.assistants.extend(told);
        Ok(())
    }
}
