//! When a window is compared again: the older its calls, the more rarely, but never later than
//! `sync.reconcile_interval` after the last time.

use std::time::Duration;

use crate::model::{Timestamp, Window};
use crate::sync::settings::Settings;

/// A window is compared again after this part of its calls' age.
const PART_OF_AGE: u32 = 20;

/// The two ends of the scale.
#[derive(Clone, Copy, Debug)]
pub struct RevalidationPolicy {
    pub poll_interval: Duration,
    pub reconcile_interval: Duration,
}

impl RevalidationPolicy {
    pub fn of(settings: &Settings) -> RevalidationPolicy {
        RevalidationPolicy {
            poll_interval: settings.poll_interval,
            reconcile_interval: settings.reconcile_interval,
        }
    }

    /// How long what happened `age` ago may go unverified.
    pub fn interval(&self, age: Duration) -> Duration {
        (age / PART_OF_AGE).clamp(self.poll_interval, self.reconcile_interval)
    }

    /// How late the comparison of a window is, as a multiple of its interval; below 1 it is early.
    pub fn lateness(&self, window: &Window, now: Timestamp) -> f64 {
        let interval = self.interval(now.since(window.to));
        now.since(window.verified.at).as_secs_f64() / interval.as_secs_f64()
    }

    /// How long it takes to hear what another edge knows: a poll, and one that failed.
    pub fn relay(&self) -> Duration {
        2 * self.poll_interval + Duration::from_secs(60)
    }

    /// How long a change may stay unseen while the upstream answers and all was read once: the
    /// longest interval, two polls for the plan to notice that it is over and for a deletion to be
    /// proven, and the time that every window's requests take within the budget, at half of its
    /// pace since the newest goes first.
    pub fn bound(&self, windows: usize, requests_per_minute: u32) -> Duration {
        const PROOF: usize = 60;
        let requests = u32::try_from(2 * windows + PROOF).unwrap_or(u32::MAX);
        let spent = Duration::from_secs(120).saturating_mul(requests) / requests_per_minute.max(1);
        self.reconcile_interval + 2 * self.poll_interval + spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Verified;

    const PACE: RevalidationPolicy = RevalidationPolicy {
        poll_interval: Duration::from_secs(10),
        reconcile_interval: Duration::from_secs(86_400),
    };

    const DAY: u64 = 86_400;

    #[test]
    fn the_older_the_rarer_between_a_poll_and_the_reconcile_interval() {
        for (age, interval) in [
            (0, 10),
            (200, 10),
            (3600, 180),
            (DAY, DAY / 20),
            (20 * DAY, DAY),
            (1000 * DAY, DAY),
        ] {
            let interval = Duration::from_secs(interval);
            assert_eq!(PACE.interval(Duration::from_secs(age)), interval, "{age}");
        }
    }

    #[test]
    fn a_window_is_late_once_its_interval_is_over() {
        let now = Timestamp::from_micros(0);
        let window = |age: u64, unverified: u64| Window {
            from: Timestamp::MIN,
            to: now - Duration::from_secs(age),
            verified: Verified {
                at: now - Duration::from_secs(unverified),
                seq: 1,
            },
            rows: 1,
            open_ended: false,
        };
        assert!(PACE.lateness(&window(3600, 179), now) < 1.0);
        assert!(PACE.lateness(&window(3600, 180), now) >= 1.0);
        assert!(PACE.lateness(&window(1000 * DAY, DAY - 1), now) < 1.0);
        assert!(PACE.lateness(&window(1000 * DAY, DAY), now) >= 1.0);
    }

    /// What the README says of the cost: N/1000 a day, and the recent tail.
    #[test]
    fn a_million_calls_at_rest_cost_what_the_formula_says() {
        // 2,000 calls a day: a window holds half a day of them.
        let half_day = DAY / 2;
        let per_day: f64 = (1..1000_u64)
            .map(|place| PACE.interval(Duration::from_secs(place * half_day)))
            .map(|interval| DAY as f64 / interval.as_secs_f64())
            .sum();
        assert!(per_day < 1200.0, "{per_day}");
        let polls = DAY as f64 / 10.0;
        assert!(polls + per_day < 12_000.0);
    }
}
