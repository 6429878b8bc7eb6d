//! What the rest of the process may know of the sync, and ask of it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{mpsc, oneshot, watch};

use super::coverage::Coverage;
use super::status::SyncStatus;
use crate::model::{CallKey, Timestamp};

/// Tells the time. The system's in production, a seed's in a simulation.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What asking the upstream for one call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The upstream sent it, and the replica holds it now.
    Found,
    /// The upstream says that it has no such call.
    NotFound,
    /// Nobody could be asked; seconds until it is worth trying again.
    Unavailable { retry_after: u64 },
}

/// What the engine is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Fetch(CallKey, oneshot::Sender<Fetched>),
    SyncNow,
}

/// The engine, from outside. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<SyncStatus>,
    pub(super) coverage: Arc<ArcSwap<Coverage>>,
}

/// A client is told to come back after this long where nothing better is known, in seconds.
pub(super) const RETRY_SOON: u64 = 5;

impl Handle {
    /// Asks the upstream for one call, ahead of all other work, and stores what it says. Those who
    /// ask for the same call at the same time share one request.
    pub async fn fetch(&self, key: CallKey) -> Fetched {
        let unavailable = Fetched::Unavailable {
            retry_after: RETRY_SOON,
        };
        let (reply, answer) = oneshot::channel();
        // A full queue is an engine that cannot keep up: better to say so than to wait in line.
        if self.commands.try_send(Command::Fetch(key, reply)).is_err() {
            return unavailable;
        }
        answer.await.unwrap_or(unavailable)
    }

    /// Reads the head now, whatever the schedule and the backoff say. A pause that the upstream
    /// itself asked for is kept.
    pub fn sync_now(&self) {
        // Full or closed: it is busy syncing, or ending.
        let _ = self.commands.try_send(Command::SyncNow);
    }

    /// What was read, as of the last commit. Load it *before* reading a row, so that the age told
    /// is never younger than the text.
    pub fn coverage(&self) -> Guard<Arc<Coverage>> {
        self.coverage.load()
    }

    /// The latest status, and a way to await the next.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.clone()
    }
}
