//! The outbox: changes of metadata that clients made here. They are accepted, sent when the
//! upstream answers, and removed once it shows them.

use crate::model::{Call, CallKey, Verified, metadata_merge};
use crate::store::{NewWrite, Observation, Outbox, Queued, StoreError, Writer};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::bad_answer;
use crate::sync::handle::messages::{Dropped, NotQueued};
use crate::sync::health::failure_scope;
use crate::sync::knowledge::pending_writes::PendingWrites;
use crate::sync::plan::job::Job;
use crate::sync::planners::outbox::MOST_FAILURES;
use crate::sync::settings::ApplyError;
use crate::upstream::{Answer, CallSource, UpstreamError};

const NO_SUCH_CALL: &str = "the upstream has no such call";
const ANOTHER_CALL: &str = "the upstream has another call under this id";

impl<S: CallSource> Engine<S> {
    /// Accepts a change. When this returns, the change is in the file and every reader sees it.
    pub(in crate::sync) async fn queue_write(
        &mut self,
        new: NewWrite,
    ) -> Result<(u64, String), NotQueued> {
        match self.change_outbox(|writer| writer.queue_write(new)).await {
            Some(Queued::Accepted { write_id, body }) => Ok((write_id, body)),
            Some(Queued::Full) => Err(NotQueued::Full),
            Some(Queued::NotStored) => Err(NotQueued::NotStored),
            None => Err(NotQueued::Unavailable),
        }
    }

    /// Removes a change, unless it is in flight.
    pub(in crate::sync) async fn drop_write(&mut self, write_id: u64) -> Dropped {
        let under_way = self.in_flight.under_way().iter();
        if under_way
            .clone()
            .any(|(_, job)| *job == Job::Write(write_id))
        {
            return Dropped::BeingSent;
        }
        let dropped = move |writer: &mut Writer| writer.drop_write(write_id);
        match self.change_outbox(dropped).await {
            Some(true) => Dropped::Done,
            Some(false) => Dropped::Unknown,
            None => Dropped::Unavailable,
        }
    }

    /// Takes in the call that is read before a change of it is sent.
    pub(in crate::sync) async fn apply_review(
        &mut self,
        write_id: u64,
        stamp: Verified,
        answer: Answer,
    ) {
        let Some(write) = self.planners.outbox.find(write_id).cloned() else {
            // The change was dropped meanwhile.
            if let Answer::Call(call) = answer {
                let key = CallKey::Id(call.id);
                self.apply_call(&key, stamp, Answer::Call(call)).await;
            }
            return;
        };
        let key = CallKey::Id(write.call_id);
        let Answer::Call(call) = answer else {
            self.apply_call(&key, stamp, answer).await;
            self.deny(write_id, stamp).await;
            return;
        };
        if call.call_sid != write.call_sid {
            self.apply_call(&key, stamp, Answer::Call(call)).await;
            self.fail_write(write_id, ANOTHER_CALL.to_owned()).await;
            return;
        }
        let meta = metadata_merge::call_meta(&call.body);
        if write.sent_at.is_some() && metadata_merge::is_done(meta, &write.metadata) {
            self.settle(write_id, stamp, *call).await;
            return;
        }
        let keys = metadata_merge::conflicts(write.before.as_deref(), meta, &write.metadata);
        self.apply_call(&key, stamp, Answer::Call(call)).await;
        let now = self.now();
        let mark = move |writer: &mut Writer| writer.mark_sent(write_id, now.wall, &keys);
        if self.change_outbox(mark).await.is_some() {
            self.planners.outbox.seen(write_id, now.instant);
        }
    }

    /// Takes in the answer to a change.
    pub(in crate::sync) async fn apply_written(
        &mut self,
        write_id: u64,
        stamp: Verified,
        answer: Answer,
    ) -> Result<(), ApplyError> {
        self.planners.outbox.answered(write_id);
        match answer {
            Answer::Call(call) => self.settle(write_id, stamp, *call).await,
            Answer::NotFound => self.deny(write_id, stamp).await,
            Answer::Refused(status) => {
                let reason = format!("the upstream refused it (status {status})");
                self.fail_write(write_id, reason).await;
            }
            _ => return Err(bad_answer("an answer to another question")),
        }
        Ok(())
    }

    /// Notes that the upstream failed at a change while it answers other requests. The change is
    /// retried ever more rarely, and not for ever.
    pub(in crate::sync) fn note_failing_write(&mut self, write_id: u64, error: &UpstreamError) {
        let (seed, now) = (self.settings.seed, self.now());
        let (why, denied) = (error.to_string(), failure_scope::is_denial(error.kind));
        if self
            .planners
            .outbox
            .failed(write_id, &why, denied, seed, now.instant)
        {
            tracing::warn!(
                write_id,
                why,
                most_tries = MOST_FAILURES,
                "a change of metadata that a client left here fails; it is tried again"
            );
        }
    }

    /// Gives up a change that failed too often, and one whose denial is final.
    pub(in crate::sync) async fn give_up_writes(&mut self) {
        if let Some((write_id, why)) = self.planners.outbox.take_exhausted() {
            self.fail_write(write_id, why).await;
        }
        let confirmed = self.planners.identity.confirmed.map_or(0, |(seq, _)| seq);
        if let Some(write_id) = self.planners.outbox.take_denied(confirmed) {
            self.fail_write(write_id, NO_SUCH_CALL.to_owned()).await;
        }
    }

    /// Takes in a 404 for the call of a change. Another organization's key would get the same
    /// answer, so the organization is confirmed first.
    async fn deny(&mut self, write_id: u64, stamp: Verified) {
        if self.planners.identity.organization_id.is_some() {
            self.planners.outbox.denied(write_id, stamp.seq);
            return;
        }
        self.fail_write(write_id, NO_SUCH_CALL.to_owned()).await;
    }

    async fn fail_write(&mut self, write_id: u64, reason: String) {
        let (call, why) = (
            self.planners
                .outbox
                .find(write_id)
                .map(|write| write.call_id),
            reason.clone(),
        );
        let failed = self
            .change_outbox(move |writer| writer.fail_write(write_id, &reason))
            .await;
        if failed.is_some() {
            tracing::warn!(
                write_id,
                call,
                why,
                "a change of metadata that a client left here can't be made"
            );
        }
    }

    /// Stores the answer that shows the change, and removes the change.
    async fn settle(&mut self, write_id: u64, stamp: Verified, call: Call) {
        let learned = Observation {
            singly: true,
            calls: vec![call],
            ..self.learned(stamp)
        };
        let written = self
            .change_outbox(move |writer| {
                let (_, settled) = writer.merge_written(learned, write_id)?;
                Ok((settled, writer.row_counts()))
            })
            .await;
        if let Some((settled, row_counts)) = written {
            self.row_counts = row_counts;
            if settled {
                tracing::debug!(write_id, "a change that a client left here is made");
            }
            self.judge();
        }
    }

    /// Changes the outbox: in the file first, then for readers.
    async fn change_outbox<T, F>(&mut self, change: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    {
        let changed = self
            .writer
            .run(move |writer| change(writer).map(|done| (done, writer.outbox().clone())));
        match changed.await {
            Ok((done, outbox)) => {
                self.stored();
                self.publish_writes(&outbox);
                Some(done)
            }
            Err(error) => {
                self.store_failed(&error);
                None
            }
        }
    }

    fn publish_writes(&mut self, outbox: &Outbox) {
        self.planners.outbox.refresh(outbox);
        self.channels
            .pending
            .store(PendingWrites::of(outbox).into());
    }
}
