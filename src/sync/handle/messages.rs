//! What the engine is asked, and what it answers.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::model::{Call, CallKey, Detail, Timestamp};
use crate::store::NewWrite;
use crate::sync::proxy_permits::{Permit, PermitReply};

/// What a client waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    Call(CallKey),
    Detail(i64, Detail),
}

impl From<CallKey> for Miss {
    fn from(key: CallKey) -> Miss {
        Miss::Call(key)
    }
}

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
    Permit(PermitReply),
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

/// A client is told to come back after this long where nothing better is known, in seconds.
pub(in crate::sync) const RETRY_SOON: u64 = 5;
