//! How long to wait after a failure: up to twice as long each time, with jitter.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const FIRST: Duration = Duration::from_secs(1);
/// Also the longest time that a recovered upstream goes unnoticed.
const LONGEST: Duration = Duration::from_secs(30);

/// Consecutive failures, and the pause after them.
pub struct Backoff {
    failures: u32,
    jitter: SmallRng,
}

impl Backoff {
    pub fn new(seed: u64) -> Backoff {
        Backoff {
            failures: 0,
            jitter: SmallRng::seed_from_u64(seed),
        }
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure. Returns how long to wait: between half and the whole of a doubling span.
    pub fn failed(&mut self) -> Duration {
        let span = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        span.mul_f64(self.jitter.random_range(0.5..=1.0))
    }

    /// Counts a success. Returns how many failures it ended.
    pub fn succeeded(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(7);
        for span in [1, 2, 4, 8, 16, 30, 30, 30] {
            let pause = backoff.failed();
            let span = Duration::from_secs(span);
            assert!(span / 2 <= pause && pause <= span, "{pause:?} of {span:?}");
        }
        assert_eq!(backoff.succeeded(), 8);
        assert!(backoff.failed() <= FIRST);
    }

    #[test]
    fn two_edges_do_not_come_back_in_step() {
        assert_ne!(Backoff::new(1).failed(), Backoff::new(2).failed());
    }
}
