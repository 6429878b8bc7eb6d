//! The key's organization, and whether it is the file's.

use std::sync::atomic::Ordering;

use rand::RngExt;

use crate::model::Verified;
use crate::store::{StoreError, Writer};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::bad_answer;
use crate::sync::settings::{ApplyError, SyncError};
use crate::upstream::{Answer, CallSource, ErrorKind, UpstreamError};

impl<S: CallSource> Engine<S> {
    /// Takes in the key's organization. Nothing is stored before it is known.
    pub(in crate::sync) async fn apply_identity(
        &mut self,
        stamp: Verified,
        organization: Option<i64>,
    ) -> Result<(), ApplyError> {
        if self.planners.identity.organization_id.is_none()
            && !self.planners.identity.key_is_known
            && self.row_counts.calls > 0
        {
            // The file names no organization: only its calls can show whose the key is.
            self.planners.identity.is_known = false;
            self.planners.identity.witness.begin();
            return Ok(());
        }
        match (organization, self.planners.identity.organization_id) {
            (Some(organization), _) => {
                let stamped = self
                    .writer
                    .run(move |writer| writer.identify(organization))
                    .await;
                match stamped {
                    Ok(()) => {}
                    // A running edge goes on serving the replica: the key may be corrected.
                    Err(StoreError::OtherOrganization { .. }) if self.planners.head.was_read => {
                        return Err(self.shut_key_out());
                    }
                    Err(error @ StoreError::OtherOrganization { .. }) => {
                        return Err(ApplyError::Fatal(SyncError::Refused(error)));
                    }
                    // A failure of the disk says nothing about the key.
                    Err(error) => {
                        self.store_failed(&error);
                        return Ok(());
                    }
                }
                self.planners.identity.organization_id = Some(organization);
            }
            (None, Some(_)) => {
                return Err(bad_answer(
                    "the server used to say whose key this is, and does not",
                ));
            }
            (None, None) => {}
        }
        if !self.know_key().await {
            return Ok(());
        }
        self.planners.identity.confirmed(stamp.seq);
        Ok(())
    }

    /// Takes in a stored call that was requested by id. A found one shows that the key is the
    /// file's, and the identity can be requested again.
    pub(in crate::sync) async fn apply_key_witness(
        &mut self,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        let found = match answer {
            Answer::Call(call) => {
                let held = move |writer: &mut Writer| writer.holds(call.id, &call.call_sid);
                self.writer.run(held).await
            }
            _ => Ok(false),
        };
        match found {
            Ok(true) => {
                if self.know_key().await {
                    self.planners.identity.witness.found();
                }
                Ok(())
            }
            Ok(false) if self.planners.identity.witness.missing() => Err(self.shut_key_out()),
            Ok(false) => Ok(()),
            Err(error) => {
                self.store_failed(&error);
                Ok(())
            }
        }
    }

    /// Stores that the key is the file's organization's, and admits its clients. Returns whether it
    /// is stored.
    async fn know_key(&mut self) -> bool {
        if !self.planners.identity.key_is_known {
            let key = self.planners.identity.key_hash;
            if let Err(error) = self.writer.run(move |writer| writer.know_key(key)).await {
                self.store_failed(&error);
                return false;
            }
            self.planners.identity.key_is_known = true;
        }
        self.channels.lets_key_in.store(true, Ordering::Relaxed);
        true
    }

    /// Refuses the key, which is another organization's. Clients with other keys are still served,
    /// and the key may be corrected.
    fn shut_key_out(&mut self) -> ApplyError {
        self.planners.identity.refused();
        self.channels.lets_key_in.store(false, Ordering::Relaxed);
        ApplyError::Upstream(UpstreamError::new(ErrorKind::OtherOrganization))
    }

    /// Chooses the stored call that a new key has to find next.
    pub(in crate::sync) async fn choose_witness(&mut self) -> Result<(), StoreError> {
        if self.planners.identity.witness.lacks_witness() {
            let draw = self.random.random();
            if let Some(id) = self.writer.run(move |writer| writer.witness(draw)).await? {
                self.planners.identity.witness.choose(id);
            }
        }
        Ok(())
    }
}
