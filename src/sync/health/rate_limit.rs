//! The request budget: no minute exceeds it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// A token bucket for the whole process.
///
/// It holds a quarter of a minute's budget, so that a client's miss rarely waits, and refills so
/// slowly that a full bucket and its refill together stay within the budget of any minute.
pub struct RateLimit {
    /// The time between two requests when the bucket is empty.
    interval: Duration,
    /// Requests that may be sent at once when it is full.
    bucket: u32,
    /// How far ahead of its time a request may be: the bucket, as time.
    tolerance: Duration,
    /// When the bucket would be full again.
    full_at: Option<Instant>,
    /// Requests by the minute they were sent in, for the last hour.
    spent: VecDeque<(Instant, u32)>,
}

impl RateLimit {
    pub fn new(per_minute: u32) -> RateLimit {
        let per_minute = per_minute.max(1);
        let bucket = (per_minute / 4).max(1);
        // The nanosecond keeps a rounded interval from fitting one request too many.
        let interval = MINUTE / (per_minute - bucket + 1) + Duration::from_nanos(1);
        RateLimit {
            interval,
            bucket,
            tolerance: interval * (bucket - 1),
            full_at: None,
            spent: VecDeque::new(),
        }
    }

    /// Takes a token, or returns when there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        let ahead = full_at.duration_since(now);
        if let Some(wait) = ahead
            .checked_sub(self.tolerance)
            .filter(|wait| !wait.is_zero())
        {
            return Err(now + wait);
        }
        self.full_at = Some(full_at + self.interval);
        match self.spent.back_mut() {
            Some((minute, count)) if now.duration_since(*minute) < MINUTE => *count += 1,
            _ => self.spent.push_back((now, 1)),
        }
        self.forget(now);
        Ok(())
    }

    /// When a background request may be sent: half of the bucket is left to requests that are
    /// needed. A bucket of one token has to be full again when the next of those is `needed`.
    pub fn spare_at(&self, now: Instant, needed: Instant) -> Instant {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        let ahead = self.interval * (self.bucket - 1 - self.bucket / 2);
        let spare = full_at.checked_sub(ahead).unwrap_or(now).max(now);
        match self.bucket {
            1 if spare < needed && needed < spare + self.interval => needed,
            _ => spare,
        }
    }

    /// Requests of the last hour, to the minute.
    pub fn spent_last_hour(&mut self, now: Instant) -> u32 {
        self.forget(now);
        self.spent.iter().map(|(_, count)| count).sum()
    }

    fn forget(&mut self, now: Instant) {
        while self
            .spent
            .front()
            .is_some_and(|(minute, _)| now.duration_since(*minute) >= MINUTE * 60)
        {
            self.spent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_holds_more_requests_than_the_budget(
            per_minute in 1..300_u32,
            pauses in prop::collection::vec(0..5000_u64, 1..400),
        ) {
            let mut budget = RateLimit::new(per_minute);
            let mut now = Instant::now();
            let mut sent = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                while budget.take(now).is_ok() {
                    sent.push(now);
                }
            }
            for (place, first) in sent.iter().enumerate() {
                let within = sent[place..].iter().take_while(|at| at.duration_since(*first) < MINUTE);
                prop_assert!(within.count() <= per_minute as usize);
            }
        }

        #[test]
        fn the_time_it_names_is_the_time_there_is_a_token(per_minute in 1..300_u32, more in 0..500_u32) {
            let mut budget = RateLimit::new(per_minute);
            let mut now = Instant::now();
            for _ in 0..more {
                if let Err(ready) = budget.take(now) {
                    prop_assert!(budget.take(ready - Duration::from_nanos(1)).is_err());
                    now = ready;
                    prop_assert!(budget.take(now).is_ok());
                }
            }
        }
    }

    #[test]
    fn what_can_wait_leaves_half_of_the_bucket() {
        for per_minute in [8, 12, 13, 120] {
            let mut budget = RateLimit::new(per_minute);
            let now = Instant::now();
            while budget.spare_at(now, now) <= now {
                budget.take(now).unwrap();
            }
            let mut left = 0;
            while budget.take(now).is_ok() {
                left += 1;
            }
            assert_eq!(left, per_minute / 8, "{per_minute}");
        }
    }

    #[test]
    fn the_only_token_is_back_when_it_is_needed() {
        let mut budget = RateLimit::new(7);
        let now = Instant::now();
        let soon = now + Duration::from_secs(5);
        let late = now + Duration::from_secs(9);
        assert_eq!(budget.spare_at(now, soon), soon);
        assert_eq!(budget.spare_at(now, late), now);
        budget.take(now).unwrap();
        assert!(budget.spare_at(now, now) > now + Duration::from_secs(8));
    }

    #[test]
    fn most_of_the_budget_can_be_spent_in_the_long_run() {
        let mut budget = RateLimit::new(120);
        let start = Instant::now();
        let (mut now, mut sent) = (start, 0);
        while now.duration_since(start) < MINUTE * 59 {
            match budget.take(now) {
                Ok(()) => sent += 1,
                Err(ready) => now = ready,
            }
        }
        assert!(sent > 59 * 90, "{sent}");
        let told = budget.spent_last_hour(start + MINUTE * 59);
        assert!((sent - 120..=sent).contains(&told), "{told} of {sent}");
    }
}
