//! The state of the sync as data, which the endpoint, the command line and the log all read.

use std::time::Duration;

use serde::Serialize;

use crate::model::Timestamp;
use crate::store::StoreError;
use crate::sync::health::denials::ApiPart;
use crate::sync::health::stall::Stall;
use crate::upstream::UpstreamError;

/// The upstream's health, by the last *success*, never the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    Online,
    Offline,
    Throttled,
    Unauthorized,
}

/// The phase of the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was read since the process started.
    Starting,
    /// Something within `sync.history` was never read.
    Backfilling,
    /// Everything was read, and the newest calls are followed.
    Live,
    /// So many calls seem deleted that removal waits for a second reading or for the operator.
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

    /// One part of the upstream fails, and everything else succeeds.
    pub(in crate::sync) fn apart(part: ApiPart, error: &UpstreamError, at: Timestamp) -> LastError {
        let of_all = LastError::upstream(error, at);
        LastError {
            message: format!("{}: {}", part.name(), of_all.message),
            hint: "all else is followed; if this lasts, ask who runs the upstream".to_owned(),
            ..of_all
        }
    }

    /// A new engine replaced one that panicked or hung.
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

    /// A request fails the same way again and again, while others succeed.
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

/// How many details of ended calls are stored, and how many are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DetailsStatus {
    /// Ended calls for which not every kind in `sync.details` was requested yet.
    pub due: u64,
    /// Stored texts, each of one kind of one call.
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
    /// The share of the upstream's calls that was read, from 0 to 1.
    pub progress: f64,
    /// Requests sent in the last 60 minutes.
    pub requests_last_hour: u32,
    /// The longest time that a change at the upstream stays unseen. `None` while nothing bounds it:
    /// the upstream does not answer, not everything was read yet, or deletions are held.
    pub freshness_bound: Option<Duration>,
    /// Calls that the upstream counts but can't list.
    pub unreadable: u64,
    pub details: DetailsStatus,
    /// `None` until the upstream names it, or where it never does.
    pub organization_id: Option<i64>,
    /// True if the upstream's list reports its total, as a hosted one does: it knows every filter.
    pub is_hosted: bool,
    /// True if the replica's file was removed or replaced: nothing is written until it is back.
    pub file_is_moved: bool,
}

impl SyncStatus {
    /// The status before the first request.
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
