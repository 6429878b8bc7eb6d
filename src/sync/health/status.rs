//! What the sync is doing, as data: the endpoint, the command line and the log all read this.

use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;
use crate::store::StoreError;
use crate::sync::health::denials::ApiPart;
use crate::sync::health::stall::Stall;
use crate::upstream::UpstreamError;

/// What is known of the upstream's health. Last *success*, never last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    Online,
    Offline,
    Throttled,
    Unauthorized,
}

/// Where the sync is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was read yet since the process started.
    Starting,
    /// Something within `sync.history` was never read.
    Backfilling,
    /// All of it was, and the newest is followed.
    Live,
    /// So many calls seem to be gone that nothing is deleted until a second look, or the operator,
    /// says so.
    Held,
}

/// The last failure, without payload or secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    pub kind: String,
    pub message: String,
    /// What an operator can do about it.
    pub hint: String,
    pub at: Timestamp,
}

impl LastError {
    pub fn upstream(error: &UpstreamError, at: Timestamp) -> LastError {
        let kind = serde_json::to_value(error.kind).ok();
        LastError {
            kind: kind
                .and_then(|kind| kind.as_str().map(str::to_owned))
                .unwrap_or_default(),
            message: error.to_string(),
            hint: error.kind.hint().to_owned(),
            at,
        }
    }

    /// One part of the upstream can't be had, and all else can.
    pub(in crate::sync) fn apart(part: ApiPart, error: &UpstreamError, at: Timestamp) -> LastError {
        let of_all = LastError::upstream(error, at);
        LastError {
            message: format!("{}: {}", part.name(), of_all.message),
            hint: "all else is followed; if this lasts, ask who runs the upstream".to_owned(),
            ..of_all
        }
    }

    /// A new engine took the place of one that panicked or stood still.
    pub(in crate::sync) fn restarted(panicked: bool, at: Timestamp) -> LastError {
        let message = match panicked {
            true => "the sync failed by a mistake of its own, and was restarted",
            false => "the sync stood still, and was restarted",
        };
        LastError {
            kind: "sync_restarted".to_owned(),
            message: message.to_owned(),
            hint: "nothing to do here if it is rare; reads go on from the replica; if it is not, \
                   see the log, and report it"
                .to_owned(),
            at,
        }
    }

    /// The same request fails the same way again and again, while others succeed.
    pub(in crate::sync) fn no_progress(stall: &Stall, at: Timestamp) -> LastError {
        LastError {
            kind: "no_progress".to_owned(),
            message: format!(
                "no progress: {}: {}, {} times in a row",
                stall.task.name(),
                stall.error.message(),
                stall.failures
            ),
            hint: "all else is followed; ask who runs the upstream why it fails only there"
                .to_owned(),
            at,
        }
    }

    /// The file could not be written; the cause is in the log.
    pub fn store(cause: &StoreError, at: Timestamp) -> LastError {
        let (message, hint) = match cause {
            StoreError::Moved(_) => (
                "the replica's file was removed or replaced",
                "put it back, or restart the edge with the file that it is to serve",
            ),
            _ => (
                "the replica's file could not be written",
                "see the log; check the disk's free space; the answer is asked for again",
            ),
        };
        LastError {
            kind: "store".to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            at,
        }
    }
}

/// How far the details of ended calls are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DetailsStatus {
    /// Ended calls of which not every kind in `sync.details` was asked for yet.
    pub due: u64,
    /// Texts that are held, each of one kind of one call.
    pub kept: u64,
}

/// A snapshot of the sync.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncStatus {
    pub state: UpstreamState,
    pub last_success_at: Option<Timestamp>,
    pub consecutive_errors: u32,
    pub last_error: Option<LastError>,
    /// When the next request is due, if that is known.
    pub next_attempt_at: Option<Timestamp>,
    pub phase: Phase,
    /// The share of the upstream's calls that were read, 0 to 1.
    pub progress: f64,
    /// Requests sent in the last 60 minutes.
    pub requests_last_hour: u32,
    /// No change at the upstream stays unseen for longer. `None` while nothing bounds it: the
    /// upstream can't be asked, not all was read yet, or deletions are held.
    pub freshness_bound: Option<Duration>,
    /// Calls that the upstream counts but can't list.
    pub unreadable: u64,
    pub details: DetailsStatus,
    /// `None` until the upstream has told, or where it never does.
    pub organization_id: Option<i64>,
    /// The upstream's list tells its total, as a hosted one does: it knows every filter.
    pub is_hosted: bool,
    /// The replica's file was removed or replaced: nothing is written, and what is served grows old.
    pub file_is_moved: bool,
}

impl SyncStatus {
    /// Before the first request.
    pub(in crate::sync) fn starting(organization_id: Option<i64>) -> SyncStatus {
        SyncStatus {
            state: UpstreamState::Offline,
            last_success_at: None,
            consecutive_errors: 0,
            last_error: None,
            next_attempt_at: None,
            phase: Phase::Starting,
            progress: 0.0,
            requests_last_hour: 0,
            freshness_bound: None,
            unreadable: 0,
            details: DetailsStatus::default(),
            organization_id,
            is_hosted: false,
            file_is_moved: false,
        }
    }
}
