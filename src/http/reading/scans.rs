//! Scans: reads of many rows. They run on the blocking pool, a limited number at once, each with a
//! time limit.
//!
//! A worker thread never waits for one, so that it goes on with point reads.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::error::ApiError;
use crate::http::reading::admission::Admission;
use crate::http::reading::unread_bytes::Unread;
use crate::store::{Reader, Readers, StoreError};

/// The limits of scans.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most scans at once, and the most exports besides.
    pub at_once: usize,
    /// The most requests that wait for a scan; one more is refused at once.
    pub line: usize,
    /// The same for an export.
    pub export_line: usize,
    /// How long a request waits for admission.
    pub patience: Duration,
    /// How long a scan may take.
    pub limit: Duration,
}

impl Bounds {
    /// The most connections that scans and exports use together.
    pub fn connections(&self) -> usize {
        2 * self.at_once
    }
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            // Each occupies a core, and memory for its answer.
            at_once: 2,
            // A page takes a few milliseconds, so the last in the queue waits about a fifth of a
            // second. A longer queue would delay every answer and serve no more of them.
            line: 64,
            // An export takes seconds: more than these would only wait to be refused.
            export_line: 8,
            patience: Duration::from_secs(1),
            // Far more than a scan by an index takes.
            limit: Duration::from_secs(5),
        }
    }
}

/// The admission to scans, and their connections. Cheap to clone.
#[derive(Clone)]
pub struct Scans(Arc<Inner>);

struct Inner {
    readers: Readers,
    turns: Admission,
    /// Exports last as long as their clients read. They have their own admission, so that no list
    /// waits for them.
    export_turns: Admission,
    limit: Duration,
    /// Answers of scans that clients have not read yet.
    unread: Unread,
}

/// A permit for a scan, which lasts until it and all that was started under it are dropped. Cheap
/// to clone.
#[derive(Clone)]
pub(in crate::http) struct ScanPermit {
    inner: Arc<Inner>,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Scans {
    /// Scans with connections of this pool, which has [`Bounds::connections`] for them.
    pub fn of(readers: &Readers) -> Scans {
        Scans::within(readers, Bounds::default())
    }

    /// The same, with another time limit.
    pub fn limited(readers: &Readers, limit: Duration) -> Scans {
        let bounds = Bounds {
            limit,
            ..Bounds::default()
        };
        Scans::within(readers, bounds)
    }

    pub fn within(readers: &Readers, bounds: Bounds) -> Scans {
        let Bounds {
            at_once, patience, ..
        } = bounds;
        Scans(Arc::new(Inner {
            readers: readers.clone(),
            turns: Admission::new(at_once, bounds.line, patience),
            export_turns: Admission::new(at_once, bounds.export_line, patience),
            limit: bounds.limit,
            unread: Unread::default(),
        }))
    }

    /// The memory of answers being sent.
    pub(in crate::http) fn unread(&self) -> &Unread {
        &self.0.unread
    }

    /// The number of lists and counts that wait for admission.
    pub fn waiting(&self) -> usize {
        self.0.turns.waiting()
    }

    /// The number of exports that wait for admission.
    pub fn exports_waiting(&self) -> usize {
        self.0.export_turns.waiting()
    }

    /// Runs `work` on the blocking pool, under a permit of its own.
    ///
    /// # Errors
    /// As [`Scans::turn`] and [`ScanPermit::run`].
    pub(in crate::http) async fn run<T, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        self.turn().await?.run(work).await
    }

    /// Waits for a permit for one scan.
    ///
    /// # Errors
    /// [`ApiError::Busy`] if too many wait already, or no permit was free in time.
    pub(in crate::http) async fn turn(&self) -> Result<ScanPermit, ApiError> {
        self.turn_of(&self.0.turns).await
    }

    /// Waits for a permit for an export.
    ///
    /// # Errors
    /// As [`Scans::turn`].
    pub(in crate::http) async fn export_turn(&self) -> Result<ScanPermit, ApiError> {
        self.turn_of(&self.0.export_turns).await
    }

    async fn turn_of(&self, turns: &Admission) -> Result<ScanPermit, ApiError> {
        Ok(ScanPermit {
            _permit: Arc::new(turns.next().await?),
            inner: Arc::clone(&self.0),
        })
    }
}

impl ScanPermit {
    /// Runs `work` on the blocking pool.
    ///
    /// # Errors
    /// [`ApiError::TooLong`] if it was interrupted, else the error of `work` or of opening the
    /// file.
    pub(in crate::http) async fn run<T, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    {
        let turn = self.clone();
        self.make(move || turn.read(work)).await
    }

    /// Runs work that needs a core but no reader.
    ///
    /// # Errors
    /// The error of `work`.
    pub(in crate::http) async fn make<T, E, F>(&self, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let turn = self.clone();
        block(move || {
            // Until the work is done, even if the client is gone.
            let _turn = turn;
            work()
        })
        .await
    }

    /// One step of a scan, which uses a connection for its duration. It blocks.
    pub(in crate::http) fn read<T>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.read(work)
    }
}

/// Runs `work` on the blocking pool.
pub(in crate::http) async fn block<T, E, F>(work: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    match web::block(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(ApiError::Panicked),
    }
}

impl Inner {
    fn read<T>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.readers.get()?.within(self.limit, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{PoolState, Writer};

    fn file() -> (tempfile::TempDir, Scans) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("replica.db");
        drop(Writer::open(&path, "https://upstream.test").unwrap());
        let readers = Readers::of(&path, 4);
        (folder, Scans::of(&readers))
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_may_run_waits_and_is_told_to_come_back() {
        let (_folder, scans) = file();
        let mut turns = Vec::new();
        for _ in 0..Bounds::default().at_once {
            turns.push(scans.turn().await.unwrap());
        }
        let refused = scans.run(|_| Ok(())).await;
        assert!(matches!(refused, Err(ApiError::Busy { retry_after: 1 })));
        drop(turns);
        scans.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn exports_wait_for_exports_alone() {
        let (_folder, scans) = file();
        let first = scans.export_turn().await.unwrap();
        let _second = scans.export_turn().await.unwrap();
        let third = scans.export_turn().await;
        assert!(matches!(third, Err(ApiError::Busy { retry_after: 1 })));
        scans.run(|_| Ok(())).await.unwrap();
        drop(first);
        scans.export_turn().await.unwrap();
    }

    #[tokio::test]
    async fn a_scan_that_took_too_long_says_when_to_come_back() {
        let (_folder, scans) = file();
        let refused = scans.run(|_| -> Result<(), _> { Err(StoreError::TooLong) });
        assert!(matches!(
            refused.await,
            Err(ApiError::TooLong { retry_after: 30 })
        ));
    }

    #[tokio::test]
    async fn a_reader_is_opened_once_and_one_that_panicked_costs_no_turn() {
        let (_folder, scans) = file();
        for _ in 0..=Bounds::default().at_once {
            let failed = scans.run(|_| -> Result<(), _> { panic!("of the test's making") });
            assert!(matches!(failed.await, Err(ApiError::Panicked)));
        }
        for _ in 0..=Bounds::default().at_once {
            scans.run(|reader| reader.totals()).await.unwrap();
        }
        assert_eq!(scans.0.readers.state(), PoolState { open: 1, idle: 1 });
    }
}
