//! Admission: bounds how much work of a kind runs at once, and how many requests wait for it.
//!
//! First come, first served. Work is not begun for a request that gives up waiting, so under
//! overload none is wasted, and the throughput stays at what the machine can do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;

/// The `Retry-After` of a request that was not admitted, in seconds.
const RETRY_AFTER: u64 = 1;

/// The admission to one kind of work.
pub struct Admission {
    free: Arc<Semaphore>,
    /// Free places in the queue.
    places: Semaphore,
    line: usize,
    patience: Duration,
}

impl Admission {
    /// Admits `at_once` at a time, and lets `line` wait, none for longer than `patience`.
    pub fn new(at_once: usize, line: usize, patience: Duration) -> Admission {
        Admission {
            free: Arc::new(Semaphore::new(at_once)),
            places: Semaphore::new(line),
            line,
            patience,
        }
    }

    /// Waits for a permit, which is given back when it is dropped. Dropping the future leaves the
    /// queue.
    ///
    /// # Errors
    /// [`ApiError::Busy`]: at once if the queue is full, else after `patience`.
    pub async fn next(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        // The queue comes first: a permit given back goes to its head, and is never free.
        if let Ok(turn) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(turn);
        }
        let busy = ApiError::Busy {
            retry_after: RETRY_AFTER,
        };
        let Ok(_place) = self.places.try_acquire() else {
            return Err(busy);
        };
        let turn = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(self.patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(busy),
        }
    }

    /// The number of requests in the queue.
    pub fn waiting(&self) -> usize {
        self.line - self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn is_busy(turn: &Result<OwnedSemaphorePermit, ApiError>) -> bool {
        matches!(turn, Err(ApiError::Busy { retry_after: 1 }))
    }

    #[tokio::test(start_paused = true)]
    async fn one_beyond_the_queue_is_refused_at_once_and_others_are_served() {
        let turns = Admission::new(1, 2, PATIENCE);
        let first = turns.next().await.unwrap();
        let begun = tokio::time::Instant::now();
        let late = async {
            tokio::task::yield_now().await;
            assert_eq!(turns.waiting(), 2);
            assert!(is_busy(&turns.next().await));
            assert_eq!(begun.elapsed(), Duration::ZERO);
        };
        let (waited, ()) = tokio::join!(join_all([turns.next(), turns.next()]), late);
        assert!(waited.iter().all(is_busy));
        assert_eq!((begun.elapsed(), turns.waiting()), (PATIENCE, 0));
        drop(first);
        drop(turns.next().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_go_in_order_and_who_leaves_makes_room() {
        let turns = Admission::new(1, 2, PATIENCE);
        let first = turns.next().await.unwrap();
        let mut second = Box::pin(turns.next());
        let mut third = Box::pin(turns.next());
        for waiting in [&mut second, &mut third] {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(is_busy(&turns.next().await));
        drop(second);
        assert_eq!(turns.waiting(), 1);
        drop(first);
        // It belongs to the third, though nothing has polled that yet.
        assert!(turns.next().now_or_never().is_none());
        drop(third.await.unwrap());
    }
}
