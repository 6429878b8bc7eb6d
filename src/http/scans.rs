//! Reads of many rows: on the blocking pool, with readers of their own, and only so many at once.
//!
//! A worker thread never waits for one, so that point reads go on beside it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use tokio::sync::Semaphore;

use super::error::Failure;
use crate::store::{Reader, StoreError};

/// How many run at once: each holds its answer in memory.
const AT_ONCE: usize = 2;

/// A request waits this long for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client that did not get its turn is told to come back after this long, in seconds.
const RETRY_AFTER: u64 = 1;

/// The readers of a file for its scans. Cheap to clone.
#[derive(Clone)]
pub struct Scans(Arc<Inner>);

struct Inner {
    path: PathBuf,
    turns: Arc<Semaphore>,
    /// Opened when first needed, and kept.
    idle: Mutex<Vec<Reader>>,
}

impl Scans {
    /// Nothing is opened yet.
    pub fn of(path: &Path) -> Scans {
        Scans(Arc::new(Inner {
            path: path.to_owned(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            idle: Mutex::default(),
        }))
    }

    /// Runs `work` where it may block.
    ///
    /// # Errors
    /// [`Failure::Busy`] where no turn came in time; else what `work` or opening the file says.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let busy = Failure::Busy {
            retry_after: RETRY_AFTER,
        };
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.0.turns).acquire_owned());
        let Ok(Ok(turn)) = waited.await else {
            return Err(busy);
        };
        let inner = Arc::clone(&self.0);
        let done = web::block(move || {
            // Until the work is done, not until the client is gone.
            let _turn = turn;
            let reader = match inner.take() {
                Some(reader) => reader,
                None => Reader::open(&inner.path)?,
            };
            let result = work(&reader);
            inner.put_back(reader);
            result
        });
        match done.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Failure::Panicked),
        }
    }
}

impl Inner {
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
