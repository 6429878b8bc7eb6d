//! `/edge/status`, `/edge/sync` and `/edge/holds/release`: the state of the edge, and the commands
//! to sync now and to release held deletions.
//!
//! The figures come from memory, from the rollups and from the file's metadata, never from a scan
//! of the calls.

use std::path::Path;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use crate::http::error::ApiError;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::{Timestamp, whole_seconds};
use crate::sync::{Coverage, DetailsStatus, LastError, NEVER, Phase, UpstreamState};

/// The body of `/edge/status`. Instants are RFC 3339 in UTC.
#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    /// Null until the upstream has reported it; some upstreams never do.
    organization_id: Option<i64>,
    upstream: UpstreamReport<'a>,
    replica: ReplicaReport,
    sync: SyncReport,
    readers: ReadersReport,
    writes: WritesReport,
}

/// The connections that read the file.
#[derive(Serialize)]
struct ReadersReport {
    open: u32,
    /// Open connections that are not in use.
    idle: u32,
    /// Requests that wait for admission to a list, a count or an export.
    waiting: usize,
}

/// Changes of metadata in the outbox; `/edge/writes` lists them.
#[derive(Serialize)]
struct WritesReport {
    pending: usize,
    failed: usize,
    /// Changes that overwrote another client's change of the same keys, since the file was created.
    conflicts: u64,
}

#[derive(Serialize)]
struct UpstreamReport<'a> {
    base_url: &'a str,
    state: UpstreamState,
    last_success_at: Option<Timestamp>,
    consecutive_errors: u32,
    last_error: Option<&'a LastError>,
    next_attempt_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct ReplicaReport {
    calls: u64,
    /// Calls that were stored and are proven to be deleted.
    tombstones: u64,
    /// Calls that the upstream once said it does not have; still served.
    suspects: u64,
    /// Calls that the upstream counts but fails to send.
    unreadable: u64,
    coverage: CoverageReport,
    newest_call_at: Option<Timestamp>,
    /// The oldest verification of everything that was read: no answer from a window is older. The
    /// same as `coverage.verified`.
    oldest_verified_at: Option<Timestamp>,
    db_bytes: u64,
    /// 0 if there is no log.
    wal_bytes: u64,
}

/// What was read of the upstream. `from..=to` is its newest range without a gap.
#[derive(Serialize)]
struct CoverageReport {
    /// True if all of the configured history was read.
    complete: bool,
    /// Every call that started from here on was read; null if every older one was too.
    from: Option<Timestamp>,
    /// When the newest calls were last requested: later ones may be missing. Null if nothing was
    /// read yet, and `from` then means nothing.
    to: Option<Timestamp>,
    /// The number of separately verified windows.
    windows: usize,
    /// The oldest verification of any window.
    verified: Option<Timestamp>,
}

#[derive(Serialize)]
struct SyncReport {
    phase: Phase,
    /// From 0 to 1.
    progress: f64,
    requests_last_hour: u32,
    budget_per_minute: u32,
    /// The longest time that a change at the upstream stays unseen, in seconds. Null while nothing
    /// bounds it.
    freshness_bound_s: Option<u64>,
    details: DetailsStatus,
}

impl CoverageReport {
    fn of(coverage: &Coverage, complete: bool) -> CoverageReport {
        let gaps = coverage.gaps(Timestamp::MIN);
        let below = gaps.iter().find(|gap| *gap.end() != NEVER);
        CoverageReport {
            complete,
            from: below.map(|gap| Timestamp::from_micros(gap.end().as_micros() + 1)),
            to: coverage.head().map(|head| head.verified.at),
            windows: coverage.windows().len(),
            verified: coverage.oldest(Timestamp::MIN).map(|verified| verified.at),
        }
    }
}

/// Answers `GET /edge/status`.
pub fn get(worker: &Worker) -> Result<HttpResponse, ApiError> {
    let shared = worker.shared();
    let totals = worker.reader().totals()?;
    let coverage = CoverageReport::of(&shared.handle.coverage(), worker.is_complete());
    let status = worker.status().clone();
    let pending = shared.handle.pending();
    let readers = shared.readers.state();
    let report = Status {
        version: env!("CARGO_PKG_VERSION"),
        organization_id: status.organization_id,
        upstream: UpstreamReport {
            base_url: &shared.base_url,
            state: status.state,
            last_success_at: status.last_success_at,
            consecutive_errors: status.consecutive_errors,
            last_error: status.last_error.as_ref(),
            next_attempt_at: status.next_attempt_at,
        },
        replica: ReplicaReport {
            calls: totals.calls,
            tombstones: totals.tombstones,
            suspects: totals.suspects,
            unreadable: status.unreadable,
            oldest_verified_at: coverage.verified,
            coverage,
            newest_call_at: totals.newest_call_at,
            db_bytes: size(&shared.store_path),
            wal_bytes: size(&log_of(&shared.store_path)),
        },
        sync: SyncReport {
            phase: status.phase,
            progress: status.progress,
            requests_last_hour: status.requests_last_hour,
            budget_per_minute: shared.budget_per_minute,
            freshness_bound_s: status.freshness_bound.map(whole_seconds),
            details: status.details,
        },
        readers: ReadersReport {
            open: readers.open,
            idle: readers.idle,
            waiting: shared.scans.waiting() + shared.scans.exports_waiting(),
        },
        writes: WritesReport {
            pending: pending.waiting(),
            failed: pending.failed(),
            conflicts: pending.conflicts(),
        },
    };
    Ok(respond::own_response(StatusCode::OK, &report))
}

/// Answers `POST /edge/sync`: the sync is requested, and its outcome shows in the status.
pub fn sync(worker: &Worker) -> HttpResponse {
    worker.shared().handle.sync_now();
    obeyed(StatusCode::ACCEPTED, "sync requested")
}

/// Answers `POST /edge/holds/release`: the same, for held deletions.
pub fn release_holds(worker: &Worker) -> HttpResponse {
    if worker.status().phase != Phase::Held {
        return obeyed(StatusCode::OK, "nothing is held");
    }
    worker.shared().handle.release_holds();
    obeyed(StatusCode::ACCEPTED, "release requested")
}

fn obeyed(code: StatusCode, status: &'static str) -> HttpResponse {
    #[derive(Serialize)]
    struct Obeyed {
        status: &'static str,
    }
    respond::own_response(code, &Obeyed { status })
}

fn log_of(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Verified, Window};
    use crate::sync::HeadRead;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn window(from: Timestamp, to: Timestamp, seq: u64) -> Window {
        Window {
            from,
            to,
            verified: Verified {
                at: at(seq as i64),
                seq,
            },
            rows: 0,
            open_ended: false,
        }
    }

    #[test]
    fn the_known_range_reaches_down_to_the_newest_gap() {
        let nothing = CoverageReport::of(&Coverage::default(), false);
        assert_eq!(
            (nothing.from, nothing.to, nothing.verified),
            (None, None, None)
        );

        let mut coverage = Coverage::default();
        coverage.insert_head(HeadRead {
            from: at(500),
            until: None,
            starts: vec![],
            without_start: Some(0),
            verified: Verified {
                at: at(700),
                seq: 9,
            },
        });
        coverage.insert(window(at(100), at(200), 3));
        let partial = CoverageReport::of(&coverage, false);
        assert_eq!((partial.from, partial.to), (Some(at(500)), Some(at(700))));
        assert_eq!(partial.verified, Some(at(3)));

        coverage.insert(window(at(201), at(499), 4));
        let deeper = CoverageReport::of(&coverage, false);
        assert_eq!(deeper.from, Some(at(100)));

        coverage.insert(window(Timestamp::MIN, at(99), 5));
        let whole = CoverageReport::of(&coverage, true);
        assert_eq!((whole.from, whole.to), (None, Some(at(700))));
    }
}
