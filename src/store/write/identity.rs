//! The file's owner as the writer records it, and the stored calls that prove a new key.

use rusqlite::OptionalExtension;

use crate::model::KeyHash;
use crate::store::error::StoreError;
use crate::store::identity::Identity;
use crate::store::write::writer::Writer;

impl Writer {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Records the key's organization in the file, or checks it against the recorded one.
    pub fn identify(&mut self, organization_id: i64) -> Result<(), StoreError> {
        match self.identity.organization_id {
            Some(recorded) if recorded == organization_id => Ok(()),
            Some(recorded) => Err(StoreError::OtherOrganization {
                path: self.path.clone(),
                recorded,
                found: organization_id,
            }),
            None => {
                self.connection
                    .execute("UPDATE replica SET organization_id = ?1", [organization_id])?;
                self.identity.organization_id = Some(organization_id);
                Ok(())
            }
        }
    }

    /// Records the hash of a key that was found to be the owner's.
    pub fn know_key(&mut self, key: KeyHash) -> Result<(), StoreError> {
        let key = key.to_string();
        if self.identity.key_hash.as_ref() != Some(&key) {
            self.connection
                .execute("UPDATE replica SET key_hash = ?1", [&key])?;
            self.identity.key_hash = Some(key);
        }
        Ok(())
    }

    /// The id of a stored call, another one for another `draw`. It is a suspect only if all calls
    /// are.
    pub fn witness(&self, draw: u64) -> Result<Option<i64>, StoreError> {
        if let Some(id) = self.canary(draw)? {
            return Ok(Some(id));
        }
        let any = "SELECT id FROM calls ORDER BY id LIMIT 1";
        Ok(self
            .connection
            .query_row(any, [], |row| row.get(0))
            .optional()?)
    }

    /// True if a call with this id and this SID is stored.
    pub fn holds(&self, id: i64, call_sid: &str) -> Result<bool, StoreError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT 1 FROM calls WHERE id = ?1 AND call_sid = ?2")?;
        let found = select.query_row((id, call_sid), |_| Ok(())).optional()?;
        Ok(found.is_some())
    }
}
