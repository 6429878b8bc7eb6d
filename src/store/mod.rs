//! The replica's file. All SQL of the serving side lives below this module.
//!
//! One [`Writer`] a file, held by a lock on the file's neighbour; any number of [`Reader`]s, each
//! with its own read-only connection. What one answer of the upstream says becomes one
//! transaction, so a file on disk is always some state the replica really had.
//!
//! Its floors, from the ground up: `file`, `derived`, `details`, `write`, `read`, and `lists`, which
//! plans what a list reads. Beside them are what is kept for others: the sync's `coverage`, the
//! `identity` of the file, the mirrored `assistants`, and the `outbox` of changes that wait.

mod assistants;
mod coverage;
mod derived;
mod details;
mod file;
mod identity;
mod lists;
mod outbox;
mod read;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use assistants::Names;
pub use details::queue::{Again, DetailsBooks, DueDetails};
pub use details::text::{DetailObservation, StoredDetail};
pub use file::lock::is_written;
pub use file::opened_file::{LogFile, OpenedFile};
pub use file::temp_replica::TempReplica;
pub use identity::Identity;
pub use lists::{Listed, Place};
pub use outbox::{Conflict, NewWrite, Outbox, Queued, Write};
pub use read::aggregates::{Analytics, Assistant, Day, Durations};
pub use read::changes::{Change, Changed, Changes, Heard};
pub use read::pool::{PoolState, Readers};
pub use read::reader::{Reader, StoredCall, Totals};
pub use read::scan::{Scan, Text};
pub use write::feed::{FeedPage, FeedPosition};
pub use write::ledger::Census;
pub use write::observation::{Complete, Merged, Observation, Trust};
pub use write::row_versions::{Revision, Revisions};
pub use write::writer::{OpenCalls, Writer};

/// What can go wrong with the file. What it displays is without its source: print the chain.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: another burki-edge has this file open; stop it, or set another store.path", .0.display())]
    Locked(PathBuf),
    #[error("{}: not a burki-edge file; move it away or set another store.path", .0.display())]
    Foreign(PathBuf),
    #[error("{}: written by a newer burki-edge (schema {found}, this one knows {known}); update this one", .path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("{}: written by an older burki-edge (schema {found}, this one knows {known}); start `burki-edge serve` or `sync` once, which brings it up to date", .path.display())]
    Older {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "{}: holds the calls of {recorded}, not of {configured}; set upstream.base_url back, or give the other upstream its own store.path",
        .path.display()
    )]
    OtherBaseUrl {
        path: PathBuf,
        recorded: String,
        configured: String,
    },
    #[error(
        "{}: holds the calls of organization {recorded}, but the API key is of organization {found}; use that organization's key, or give this one its own store.path",
        .path.display()
    )]
    OtherOrganization {
        path: PathBuf,
        recorded: i64,
        found: i64,
    },
    #[error("{}: can't be opened; store.path needs a folder that exists and may be written to", .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: was removed or replaced while it was open; put it back, or start burki-edge again", .0.display())]
    Moved(PathBuf),
    #[error("{}: was overwritten or cut off while it was open; put a copy in its place, and start burki-edge again", .0.display())]
    Damaged(PathBuf),
    #[error("no connection to the file was free within a second")]
    NoReader,
    #[error("a read was broken off, since it took too long")]
    TooLong,
    #[error("SQLite failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// The file is none that SQLite could have written.
    pub fn is_damage(&self) -> bool {
        let code = match self {
            StoreError::Damaged(_) => return true,
            StoreError::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        };
        matches!(
            code,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        )
    }
}

/// The writer, shared: its work runs on the blocking pool, one piece at a time.
#[derive(Clone)]
pub struct SharedWriter(Arc<Mutex<Writer>>);

impl SharedWriter {
    pub fn new(writer: Writer) -> SharedWriter {
        SharedWriter(Arc::new(Mutex::new(writer)))
    }

    /// Runs `work` where it may block. The caller orders pieces by awaiting each.
    pub async fn run<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Writer) -> T + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let piece = move || {
            // A panic in a transaction rolls it back.
            let mut writer = shared.lock().unwrap_or_else(PoisonError::into_inner);
            // If there is no other to be had, this one fails at the work itself, or does not.
            let _ = writer.renew();
            work(&mut writer)
        };
        match tokio::task::spawn_blocking(piece).await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime ends, and with it whoever waits.
            Err(_) => std::future::pending().await,
        }
    }
}
