//! Reads of many rows: on the blocking pool, with readers of their own, only so many at once, and
//! none for longer than it may.
//!
//! A worker thread never waits for one, so that point reads go on beside it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Failure;
use crate::store::{Reader, StoreError};

/// How many run at once: each holds its answer in memory.
const AT_ONCE: usize = 2;

/// A request waits this long for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// A scan may take this long. It is far more than one that uses an index does.
const LIMIT: Duration = Duration::from_secs(5);

/// A client that did not get its turn is told to come back after this long, in seconds.
const RETRY_AFTER: u64 = 1;

/// The readers of a file for its scans. Cheap to clone.
#[derive(Clone)]
pub struct Scans(Arc<Inner>);

struct Inner {
    path: PathBuf,
    turns: Arc<Semaphore>,
    /// Exports last as long as their clients read: they have turns of their own, so that none of
    /// them keeps a list waiting.
    export_turns: Arc<Semaphore>,
    limit: Duration,
    /// Opened when first needed, and kept.
    idle: Mutex<Vec<Reader>>,
}

/// A turn to read in many steps, until it is dropped.
pub(super) struct Turn {
    inner: Arc<Inner>,
    _permit: OwnedSemaphorePermit,
}

impl Scans {
    /// Nothing is opened yet.
    pub fn of(path: &Path) -> Scans {
        Scans::limited(path, LIMIT)
    }

    /// The same, with another limit to what a scan may take.
    pub fn limited(path: &Path, limit: Duration) -> Scans {
        Scans(Arc::new(Inner {
            path: path.to_owned(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            export_turns: Arc::new(Semaphore::new(AT_ONCE)),
            limit,
            idle: Mutex::default(),
        }))
    }

    /// Runs `work` where it may block.
    ///
    /// # Errors
    /// [`Failure::Busy`] where no turn came in time, [`Failure::TooLong`] where it was broken off;
    /// else what `work` or opening the file says.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let permit = turn_of(&self.0.turns).await?;
        let inner = Arc::clone(&self.0);
        block(move || {
            // Until the work is done, not until the client is gone.
            let _permit = permit;
            inner.read(work)
        })
        .await
    }

    /// A turn of an export.
    ///
    /// # Errors
    /// [`Failure::Busy`] where none came in time.
    pub(super) async fn turn(&self) -> Result<Turn, Failure> {
        Ok(Turn {
            _permit: turn_of(&self.0.export_turns).await?,
            inner: Arc::clone(&self.0),
        })
    }
}

impl Turn {
    /// One step: for this long a reader is held. It blocks.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.read(work)
    }
}

async fn turn_of(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    let waited = tokio::time::timeout(PATIENCE, Arc::clone(turns).acquire_owned());
    match waited.await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Failure::Busy {
            retry_after: RETRY_AFTER,
        }),
    }
}

/// Runs `work` on the blocking pool.
pub(super) async fn block<T, E, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    match web::block(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Failure::Panicked),
    }
}

impl Inner {
    fn read<T>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let reader = match self.take() {
            Some(reader) => reader,
            None => Reader::open(&self.path)?,
        };
        let result = reader.within(self.limit, work);
        self.put_back(reader);
        result
    }

    fn take(&self) -> Option<Reader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn put_back(&self, reader: Reader) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Writer;

    fn file() -> (tempfile::TempDir, Scans) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("replica.db");
        drop(Writer::open(&path, "https://upstream.test").unwrap());
        (folder, Scans::of(&path))
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_may_run_waits_and_is_told_to_come_back() {
        let (_folder, scans) = file();
        let turns = Arc::clone(&scans.0.turns);
        let turns = turns.acquire_many_owned(AT_ONCE as u32).await.unwrap();
        let refused = scans.run(|_| Ok(())).await;
        assert!(matches!(refused, Err(Failure::Busy { retry_after: 1 })));
        drop(turns);
        scans.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn exports_wait_for_exports_alone() {
        let (_folder, scans) = file();
        let first = scans.turn().await.unwrap();
        let _second = scans.turn().await.unwrap();
        let third = scans.turn().await;
        assert!(matches!(third, Err(Failure::Busy { retry_after: 1 })));
        scans.run(|_| Ok(())).await.unwrap();
        drop(first);
        scans.turn().await.unwrap();
    }

    #[tokio::test]
    async fn a_scan_that_took_too_long_says_when_to_come_back() {
        let (_folder, scans) = file();
        let refused = scans.run(|_| -> Result<(), _> { Err(StoreError::TooLong) });
        assert!(matches!(
            refused.await,
            Err(Failure::TooLong { retry_after: 30 })
        ));
    }

    #[tokio::test]
    async fn a_reader_is_opened_once_and_one_that_panicked_costs_no_turn() {
        let (_folder, scans) = file();
        for _ in 0..=AT_ONCE {
            let failed = scans.run(|_| -> Result<(), _> { panic!("of the test's making") });
            assert!(matches!(failed.await, Err(Failure::Panicked)));
        }
        for _ in 0..=AT_ONCE {
            scans.run(|reader| reader.totals()).await.unwrap();
        }
        assert_eq!(scans.0.idle.lock().unwrap().len(), 1);
    }
}
