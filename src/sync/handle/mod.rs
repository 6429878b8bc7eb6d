//! What the rest of the process may know of the sync, and ask of it.
//!
//! `messages` has the commands and replies, `channels` the engine's end.

pub mod channels;
pub mod messages;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::model::{Call, CallKey, Detail};
use crate::store::{NewWrite, Revisions};
use crate::sync::handle::messages::{
    Command, Dropped, FetchOutcome, Hint, Miss, NotPassed, NotQueued, RETRY_SOON,
};
use crate::sync::health::failure_scope;
use crate::sync::health::status::SyncStatus;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::pending_writes::PendingWrites;
use crate::sync::proxy_permits::Permit;
use crate::upstream::{Proxy, ProxyRequest, ProxyResponse};

/// The engine, seen from outside. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(in crate::sync) commands: mpsc::Sender<Command>,
    pub(in crate::sync) status: watch::Receiver<SyncStatus>,
    pub(in crate::sync) coverage: Arc<ArcSwap<Coverage>>,
    pub(in crate::sync) pending: Arc<ArcSwap<PendingWrites>>,
    pub(in crate::sync) revisions: Arc<Revisions>,
    pub(in crate::sync) lets_key_in: Arc<AtomicBool>,
    pub(in crate::sync) renewed: Arc<Notify>,
    pub(in crate::sync) line: Option<Arc<dyn Proxy>>,
}

/// How long a proxied request waits for its permit.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

impl Handle {
    /// Requests one call from the upstream, ahead of all other work, and stores the answer. Callers
    /// that ask for the same call at the same time share one request.
    pub async fn fetch(&self, key: CallKey) -> FetchOutcome {
        self.want(Miss::Call(key)).await
    }

    /// The same for a detail of a stored call.
    pub async fn fetch_detail(&self, call_id: i64, kind: Detail) -> FetchOutcome {
        self.want(Miss::Detail(call_id, kind)).await
    }

    async fn want(&self, wanted: Miss) -> FetchOutcome {
        let unavailable = FetchOutcome::Unavailable {
            retry_after: RETRY_SOON,
        };
        let (reply, answer) = oneshot::channel();
        // A full queue means that the engine can't keep up: refusing is better than queueing.
        if self
            .commands
            .try_send(Command::Fetch(wanted, reply))
            .is_err()
        {
            return unavailable;
        }
        answer.await.unwrap_or(unavailable)
    }

    /// Reads the head now, whatever schedule and backoffs say. A pause the upstream asked for
    /// stays.
    pub fn sync_now(&self) {
        // If the queue is full or closed, the engine is busy syncing, or ending.
        let _ = self.commands.try_send(Command::SyncNow);
    }

    /// Has what the hint names requested soon. A lost hint costs only latency.
    pub fn hint(&self, hint: Hint) {
        // If the queue is full or closed, the next poll or revalidation finds the change.
        let _ = self.commands.try_send(Command::Hint(hint));
    }

    /// Has another engine take the place of this one, to use another key.
    pub fn renew(&self) {
        self.renewed.notify_one();
    }

    /// Releases the deletions that are held because they are many. Where nothing is held
    /// ([`Phase::Held`](crate::sync::Phase::Held)), nothing happens.
    pub fn release_holds(&self) {
        let _ = self.commands.try_send(Command::ReleaseHolds);
    }

    /// A handle that passes clients' requests on by this line; without one, it passes none on.
    pub fn with_proxy(self, line: Arc<dyn Proxy>) -> Handle {
        Handle {
            line: Some(line),
            ..self
        }
    }

    /// Passes a client's request on, within the budget. The caller keeps the permit until the
    /// answer is read, or gives it to [`Handle::learn`].
    pub async fn pass(&self, outgoing: ProxyRequest) -> Result<(Permit, ProxyResponse), NotPassed> {
        let refused = |retry_after, sent| NotPassed { retry_after, sent };
        let line = self.line.as_ref().ok_or(refused(RETRY_SOON, false))?;
        let (reply, answer) = oneshot::channel();
        let command = Command::Permit(reply);
        let permit = match self.commands.try_send(command) {
            Ok(()) => match tokio::time::timeout(LEAVE_DEADLINE, answer).await {
                Ok(permit) => permit.unwrap_or(Err(RETRY_SOON)),
                Err(_) => Err(RETRY_SOON),
            },
            Err(_) => Err(RETRY_SOON),
        };
        let permit = permit.map_err(|retry_after| refused(retry_after, false))?;
        match line.pass(outgoing).await {
            Ok(incoming) => Ok((permit, incoming)),
            Err(error) => {
                let sent = failure_scope::may_have_arrived(error.kind);
                Err(refused(RETRY_SOON, sent))
            }
        }
    }

    /// Stores the call that a proxied request changed, as the answer has it. Returns whether it is
    /// stored; if so, no answer to a request that started earlier undoes it.
    pub async fn written(&self, permit: Permit, call: Call) -> bool {
        let (reply, answer) = oneshot::channel();
        let command = Command::Changed(permit, Box::new(call), reply);
        self.commands.try_send(command).is_ok() && answer.await.unwrap_or(false)
    }

    /// Stores calls of the answer to a proxied request. Returns whether they are stored.
    pub async fn learn(&self, permit: Permit, calls: Vec<Call>) -> bool {
        let (reply, answer) = oneshot::channel();
        let command = Command::Learn(permit, calls, reply);
        self.commands.try_send(command).is_ok() && answer.await.unwrap_or(false)
    }

    /// Stores a change of metadata until the upstream takes it. Returns its number and the call as
    /// it will look; by then the change is in the file and every reader sees it.
    pub async fn queue_write(&self, new: NewWrite) -> Result<(u64, String), NotQueued> {
        let (reply, answer) = oneshot::channel();
        let command = Command::QueueWrite(new, reply);
        match self.commands.try_send(command) {
            Ok(()) => answer.await.unwrap_or(Err(NotQueued::Unavailable)),
            Err(_) => Err(NotQueued::Unavailable),
        }
    }

    /// Drops a change from the outbox.
    pub async fn drop_write(&self, write_id: u64) -> Dropped {
        let (reply, answer) = oneshot::channel();
        match self.commands.try_send(Command::DropWrite(write_id, reply)) {
            Ok(()) => answer.await.unwrap_or(Dropped::Unavailable),
            Err(_) => Dropped::Unavailable,
        }
    }

    /// Whether the upstream's key is known to belong to the organization whose calls are stored.
    /// `false` while a new key's organization is unknown, and once it is known to be another.
    pub fn lets_key_in(&self) -> bool {
        self.lets_key_in.load(Ordering::Relaxed)
    }

    /// The changes that the upstream does not have yet. Load it *before* reading a row.
    pub fn pending(&self) -> Guard<Arc<PendingWrites>> {
        self.pending.load()
    }

    /// The revision counters of the writers. Load them *before* reading what is to be cached.
    pub fn revisions(&self) -> &Arc<Revisions> {
        &self.revisions
    }

    /// What was read, as of the last commit. Load it *before* reading a row, so that the reported
    /// age is never younger than the text.
    pub fn coverage(&self) -> Guard<Arc<Coverage>> {
        self.coverage.load()
    }

    /// The latest status, and a way to await the next.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.clone()
    }
}
