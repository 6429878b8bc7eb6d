//! What the rest of the process may know of the sync, and ask of it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::coverage::Coverage;
use super::status::SyncStatus;
use super::stuck::Stall;
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
    /// The upstream keeps copies, and knew so many seconds ago that there is none.
    NotFoundThen { age: u64 },
    /// Nobody could be asked; seconds until it is worth trying again.
    Unavailable { retry_after: u64 },
}

/// What the engine is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Fetch(CallKey, oneshot::Sender<Fetched>),
    SyncNow,
    Hint(Hint),
    ReleaseHolds,
}

/// News that the upstream may know more than the replica. Only where to look is taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// This call was created or changed.
    Call(CallKey),
    /// Some call was.
    Some,
}

/// How many commands may wait for the engine.
const COMMANDS: usize = 1024;

/// The engine's end of the [`Handle`]; outlives an engine that fails.
#[derive(Clone)]
pub struct Post {
    pub(super) commands: Arc<Mutex<mpsc::Receiver<Command>>>,
    pub(super) status: watch::Sender<SyncStatus>,
    pub(super) published: Arc<ArcSwap<Coverage>>,
    /// When an engine last looked around.
    pub(super) beat: watch::Sender<Instant>,
    /// What makes no progress, told anew at each failure.
    pub(super) stalls: watch::Sender<Option<Stall>>,
}

impl Post {
    pub fn new() -> (Post, Handle) {
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (status, status_out) = watch::channel(SyncStatus::starting(None));
        let published = Arc::new(ArcSwap::default());
        let handle = Handle {
            commands: commands_in,
            status: status_out,
            coverage: Arc::clone(&published),
        };
        let post = Post {
            commands: Arc::new(Mutex::new(commands)),
            status,
            published,
            beat: watch::Sender::new(Instant::now()),
            stalls: watch::Sender::new(None),
        };
        (post, handle)
    }
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

    /// Has the upstream asked soon for what the hint speaks of. A lost hint costs only latency.
    pub fn hint(&self, hint: Hint) {
        // Full or closed: the next poll and the next tier find it as well.
        let _ = self.commands.try_send(Command::Hint(hint));
    }

    /// Lets through the deletions that are held because they are so many. Where none are held
    /// ([`Phase::Held`](super::Phase::Held)), nothing happens.
    pub fn release_holds(&self) {
        let _ = self.commands.try_send(Command::ReleaseHolds);
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
