//! The engine's two clocks: one for schedules, which only goes forward, and the system's, which may
//! be set.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;

/// Tells the time. The system's in production, a seed's in a simulation.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock that is put back by less is merely not quite exact.
const JUMP: Duration = Duration::from_secs(10);

/// One point in time, for schedules and for people.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    pub wall: Timestamp,
}

/// The system's clock, watched for being put back while the process runs.
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

    /// By how much the clock was put back since the process started, in all.
    pub fn put_back(&self) -> Duration {
        self.put_back
    }

    /// Compares both clocks with the last look. Returns by how much the system's was put back since.
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
