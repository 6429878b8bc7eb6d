//! The commands that the engine executes, and its replies.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::model::{Call, CallKey, Detail, Timestamp};
use crate::store::NewWrite;
use crate::sync::proxy_permits::{Permit, PermitReply};

/// What a client waits for: a call or a detail that is not stored.
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

/// The outcome of requesting one call, or one of its details, from the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The upstream returned it, and it is stored now.
    Found,
    /// The upstream returned this text, as of `at`, and the replica's file can't be written.
    Unstored { text: Arc<str>, at: Timestamp },
    /// The upstream has no such call.
    NotFound,
    /// A cache answers that the upstream had no such call this many seconds ago.
    NotFoundAsOf { age: u64 },
    /// The upstream serves no details of this kind, of any call.
    NoSuchDetail,
    /// The upstream could not be asked. Retrying is worth it after this many seconds.
    Unavailable { retry_after: u64 },
}

/// A command to the engine.
#[derive(Debug)]
pub(in crate::sync) enum Command {
    Fetch(Miss, oneshot::Sender<FetchOutcome>),
    SyncNow,
    Hint(Hint),
    ReleaseHolds,
    /// Replies with a permit or, without one, the seconds until it is worth trying again.
    Permit(PermitReply),
    Learn(Permit, Vec<Call>, oneshot::Sender<bool>),
    Changed(Permit, Box<Call>, oneshot::Sender<bool>),
    QueueWrite(NewWrite, oneshot::Sender<Result<(u64, String), NotQueued>>),
    DropWrite(u64, oneshot::Sender<Dropped>),
}

/// Why a change was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// The outbox is full.
    Full,
    /// The call is not stored, so how it would look is unknown.
    NotStored,
    /// The file can't be written, or the engine does not run.
    Unavailable,
}

/// The outcome of dropping a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    Done,
    Unknown,
    /// It is in flight: whether it is made is unknown until the answer.
    BeingSent,
    /// The file can't be written, or the engine does not run.
    Unavailable,
}

/// Why a proxied request got no answer from the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPassed {
    /// Seconds until it is worth trying again.
    pub retry_after: u64,
    /// True if it may have arrived all the same.
    pub sent: bool,
}

/// News that the upstream may know more than the replica: where to look, never what is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// This call was created or changed.
    Call(CallKey),
    /// Some call was created or changed.
    Some,
}

/// The seconds after which a client may retry, where nothing better is known.
pub(in crate::sync) const RETRY_SOON: u64 = 5;
