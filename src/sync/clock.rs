//! The engine's two clocks: a monotonic one for schedules, and the system's, which may be set.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;

/// Reads the wall clock: the system's in production, one that a seed drives in a simulation.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock that is put back by less than this is only imprecise.
const JUMP: Duration = Duration::from_secs(10);

/// One point in time: `instant` for schedules, `wall` for dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    pub wall: Timestamp,
}

/// The system's clock, checked for being put back while the process runs.
pub struct WatchedClock {
    read: Clock,
    last: Now,
    put_back: Duration,
}

impl WatchedClock {
    pub fn new(read: Clock) -> WatchedClock {
        let last = Now {
            instant: Instant::now(),
            wall: read(),
        };
        WatchedClock {
            read,
            last,
            put_back: Duration::ZERO,
        }
    }

    pub fn now(&self) -> Now {
        Now {
            instant: Instant::now(),
            wall: (self.read)(),
        }
    }

    /// How far the clock was put back since the process started, in total.
    pub fn put_back(&self) -> Duration {
        self.put_back
    }

    /// Compares both clocks with the last check. Returns how far the system's was put back since.
    pub fn check(&mut self) -> Option<Duration> {
        let now = self.now();
        let expected = self.last.wall + now.instant.duration_since(self.last.instant);
        self.last = now;
        let back = expected.since(now.wall);
        if back < JUMP {
            return None;
        }
        self.put_back += back;
        Some(back)
    }
}
