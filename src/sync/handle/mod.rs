//! What the rest of the process may know of the sync, and ask of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::model::{Call, CallKey, Detail, Timestamp};
use crate::store::{NewWrite, Revisions};
use crate::sync::health::failure_scope;
use crate::sync::health::stall::Stall;
use crate::sync::health::status::SyncStatus;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::pending_writes::PendingWrites;
use crate::sync::planners::misses::Miss;
use crate::sync::proxy_permits::Permit;
use crate::upstream::{Incoming, Line, Outgoing};

/// Tells the time. The system's in production, a seed's in a simulation.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What asking the upstream for one call, or for what belongs to one, came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The upstream sent it, and the replica holds it now.
    Found,
    /// The upstream sent this text, and the replica's file can't be written. It was the upstream's
    /// at `at`.
    Unstored { text: Arc<str>, at: Timestamp },
    /// The upstream says that it has no such call.
    NotFound,
    /// The upstream keeps copies, and knew so many seconds ago that there is none.
    NotFoundThen { age: u64 },
    /// It tells nothing of that kind, of any call.
    NoSuchDetail,
    /// Nobody could be asked; seconds until it is worth trying again.
    Unavailable { retry_after: u64 },
}

/// What the engine is asked to do.
#[derive(Debug)]
pub(in crate::sync) enum Command {
    Fetch(Miss, oneshot::Sender<FetchOutcome>),
    SyncNow,
    Hint(Hint),
    ReleaseHolds,
    /// Seconds until it is worth trying again, where there is none.
    Permit(oneshot::Sender<Result<Permit, u64>>),
    Learn(Permit, Vec<Call>, oneshot::Sender<bool>),
    Changed(Permit, Box<Call>, oneshot::Sender<bool>),
    QueueWrite(NewWrite, oneshot::Sender<Result<(u64, String), NotQueued>>),
    DropWrite(u64, oneshot::Sender<Dropped>),
}

/// Why a change was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// There are as many as there may be.
    Full,
    /// The call is not held, so that nobody here can say how it would look.
    NotHeld,
    /// The file can't be written, or the engine does not run.
    Unavailable,
}

/// What became of the order to forget a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    Done,
    Unknown,
    /// It is on its way: whether it is made can't be told before the answer.
    BeingSent,
    /// The file can't be written, or the engine does not run.
    Unavailable,
}

/// Why a client's request got no answer of the upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPassed {
    /// Seconds until it is worth trying again.
    pub retry_after: u64,
    /// It may have arrived all the same.
    pub sent: bool,
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
pub struct EngineChannels {
    pub(in crate::sync) commands: Arc<Mutex<mpsc::Receiver<Command>>>,
    pub(in crate::sync) status: watch::Sender<SyncStatus>,
    pub(in crate::sync) published: Arc<ArcSwap<Coverage>>,
    pub(in crate::sync) pending: Arc<ArcSwap<PendingWrites>>,
    pub(in crate::sync) revisions: Arc<Revisions>,
    /// Who comes with the upstream's key may read what is held.
    pub(in crate::sync) lets_key_in: Arc<AtomicBool>,
    /// When an engine last looked around.
    pub(in crate::sync) beat: watch::Sender<Instant>,
    /// What makes no progress, told anew at each failure.
    pub(in crate::sync) stalls: watch::Sender<Option<Stall>>,
    /// The engine is to make room for another.
    pub(in crate::sync) renewed: Arc<Notify>,
}

impl EngineChannels {
    pub fn new() -> (EngineChannels, Handle) {
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (status, status_out) = watch::channel(SyncStatus::starting(None));
        let published = Arc::new(ArcSwap::default());
        let pending = Arc::new(ArcSwap::default());
        let revisions = Arc::default();
        let lets_key_in = Arc::new(AtomicBool::new(true));
        let renewed: Arc<Notify> = Arc::default();
        let handle = Handle {
            commands: commands_in,
            status: status_out,
            coverage: Arc::clone(&published),
            pending: Arc::clone(&pending),
            revisions: Arc::clone(&revisions),
            lets_key_in: Arc::clone(&lets_key_in),
            renewed: Arc::clone(&renewed),
            line: None,
        };
        let post = EngineChannels {
            commands: Arc::new(Mutex::new(commands)),
            status,
            published,
            pending,
            revisions,
            lets_key_in,
            beat: watch::Sender::new(Instant::now()),
            stalls: watch::Sender::new(None),
            renewed,
        };
        (post, handle)
    }
}

/// The engine, from outside. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(in crate::sync) commands: mpsc::Sender<Command>,
    pub(in crate::sync) status: watch::Receiver<SyncStatus>,
    pub(in crate::sync) coverage: Arc<ArcSwap<Coverage>>,
    pending: Arc<ArcSwap<PendingWrites>>,
    revisions: Arc<Revisions>,
    lets_key_in: Arc<AtomicBool>,
    renewed: Arc<Notify>,
    line: Option<Arc<dyn Line>>,
}

/// A client whose request is to be passed on waits this long for its turn.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

/// A client is told to come back after this long where nothing better is known, in seconds.
pub(in crate::sync) const RETRY_SOON: u64 = 5;

impl Handle {
    /// Asks the upstream for one call, ahead of all other work, and stores what it says. Those who
    /// ask for the same call at the same time share one request.
    pub async fn fetch(&self, key: CallKey) -> FetchOutcome {
        self.want(Miss::Call(key)).await
    }

    /// The same for what belongs to a call that is held.
    pub async fn fetch_detail(&self, call_id: i64, kind: Detail) -> FetchOutcome {
        self.want(Miss::Detail(call_id, kind)).await
    }

    async fn want(&self, wanted: Miss) -> FetchOutcome {
        let unavailable = FetchOutcome::Unavailable {
            retry_after: RETRY_SOON,
        };
        let (reply, answer) = oneshot::channel();
        // A full queue is an engine that cannot keep up: better to say so than to wait in line.
        if self
            .commands
            .try_send(Command::Fetch(wanted, reply))
            .is_err()
        {
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

    /// Has another engine take the place of this one: the upstream is to be asked with another key.
    pub fn renew(&self) {
        self.renewed.notify_one();
    }

    /// Lets through the deletions that are held because they are so many. Where none are held
    /// ([`Phase::Held`](crate::sync::Phase::Held)), nothing happens.
    pub fn release_holds(&self) {
        let _ = self.commands.try_send(Command::ReleaseHolds);
    }

    /// Passes clients' requests on by this line; without one, none is.
    pub fn with_line(self, line: Arc<dyn Line>) -> Handle {
        Handle {
            line: Some(line),
            ..self
        }
    }

    /// Passes a client's request on, within the budget. The permit is to be kept until the answer
    /// is read, or given to [`Handle::learn`].
    pub async fn pass(&self, outgoing: Outgoing) -> Result<(Permit, Incoming), NotPassed> {
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

    /// Takes in the call that a passed request changed, as the answer has it. Returns whether it is
    /// stored; if so, no answer to a request that began before now undoes it.
    pub async fn written(&self, permit: Permit, call: Call) -> bool {
        let (reply, answer) = oneshot::channel();
        let command = Command::Changed(permit, Box::new(call), reply);
        self.commands.try_send(command).is_ok() && answer.await.unwrap_or(false)
    }

    /// Takes in calls that the answer to a passed request told of. Returns whether they are stored.
    pub async fn learn(&self, permit: Permit, calls: Vec<Call>) -> bool {
        let (reply, answer) = oneshot::channel();
        let command = Command::Learn(permit, calls, reply);
        self.commands.try_send(command).is_ok() && answer.await.unwrap_or(false)
    }

    /// Keeps a change of metadata until the upstream takes it. When this returns its number and the
    /// call as it will look, it is in the file and every reader sees it.
    pub async fn queue_write(&self, new: NewWrite) -> Result<(u64, String), NotQueued> {
        let (reply, answer) = oneshot::channel();
        let command = Command::QueueWrite(new, reply);
        match self.commands.try_send(command) {
            Ok(()) => answer.await.unwrap_or(Err(NotQueued::Unavailable)),
            Err(_) => Err(NotQueued::Unavailable),
        }
    }

    /// Forgets a change that was kept.
    pub async fn drop_write(&self, write_id: u64) -> Dropped {
        let (reply, answer) = oneshot::channel();
        match self.commands.try_send(Command::DropWrite(write_id, reply)) {
            Ok(()) => answer.await.unwrap_or(Dropped::Unavailable),
            Err(_) => Dropped::Unavailable,
        }
    }

    /// Whether the upstream's key is known to be of the organization whose calls are held. `false`
    /// while that of a new key is not known yet, and once it is known not to be.
    pub fn lets_key_in(&self) -> bool {
        self.lets_key_in.load(Ordering::Relaxed)
    }

    /// The changes that the upstream does not have yet. Load it *before* reading a row.
    pub fn pending(&self) -> Guard<Arc<PendingWrites>> {
        self.pending.load()
    }

    /// What the engines' writers count up. Look at it *before* reading what is to be kept.
    pub fn revisions(&self) -> &Arc<Revisions> {
        &self.revisions
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
