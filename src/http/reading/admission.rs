//! Turns at work of which only so much goes on at once, and a line of bounded length for those who
//! wait for one.
//!
//! First come, first served: whoever waits in vain was never begun, so that under overload nothing
//! is done for nobody, and what is answered stays at what the machine can do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::ApiError;

/// A client that did not get its turn is told to come back after this long, in seconds.
const RETRY_AFTER: u64 = 1;

/// Turns at one kind of work.
pub struct Admission {
    free: Arc<Semaphore>,
    /// Free places in the line.
    places: Semaphore,
    line: usize,
    patience: Duration,
}

impl Admission {
    /// `at_once` turns, and room for `line` who wait, none of them for longer than `patience`.
    pub fn new(at_once: usize, line: usize, patience: Duration) -> Admission {
        Admission {
            free: Arc::new(Semaphore::new(at_once)),
            places: Semaphore::new(line),
            line,
            patience,
        }
    }

    /// The next turn, until it is dropped. Whoever drops the future leaves the line.
    ///
    /// # Errors
    /// [`ApiError::Busy`]: at once where the line is full, else where none came in time.
    pub async fn next(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        // Those in line come first: a turn that ends goes to the first of them, and is never free.
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

    /// How many stand in line.
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
    async fn one_more_than_the_line_holds_is_refused_at_once_and_the_others_in_time() {
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
        // It is the third's, though nobody has looked yet.
        assert!(turns.next().now_or_never().is_none());
        drop(third.await.unwrap());
    }
}
