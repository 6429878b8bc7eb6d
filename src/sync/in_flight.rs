//! The requests in flight: how many there may be, in which order they started, and their budget.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Timestamp, Verified};
use crate::sync::health::rate_limit::RateLimit;
use crate::sync::plan::job::Job;
use crate::sync::proxy_permits::{Permit, ProxyPermits};
use crate::sync::settings::Settings;

/// The order and the number of the requests in flight. It sends none itself.
pub struct InFlight {
    /// By request number, oldest first.
    under_way: Vec<(u64, Job)>,
    /// Jobs whose connection broke, to be sent once more.
    again: Vec<Job>,
    permits: ProxyPermits,
    next_seq: u64,
    /// When each request was sent that is not known to have ended, by request number.
    sent: BTreeMap<u64, Instant>,
    /// Which requests had ended, sampled once per [`APART`] at most.
    ended: VecDeque<Ended>,
    at_once: usize,
    rate_limit: RateLimit,
}

/// The requests that had ended at some time.
#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Instant,
    /// Every request up to this number had ended.
    seq: u64,
    /// When the request after that was sent.
    next_sent: Instant,
}

/// How long samples are stored. An older answer counts as one from before the process started.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The time between two samples, and so the precision with which a cached answer is ordered.
const APART: Duration = Duration::from_secs(1);

/// When a request starts.
#[derive(Clone, Copy, Debug)]
pub struct StartTime {
    /// The time on the monotonic clock.
    pub now: Instant,
    pub wall: Timestamp,
    /// How far the clock had been put back until then.
    pub put_back: Duration,
}

/// A request that starts.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    pub request: Verified,
    /// True if it was sent before and its connection broke.
    pub repeated: bool,
}

impl InFlight {
    /// Request numbers continue after `last_seq`.
    pub fn new(settings: &Settings, last_seq: u64) -> InFlight {
        InFlight {
            under_way: Vec::new(),
            again: Vec::new(),
            permits: ProxyPermits::default(),
            next_seq: last_seq + 1,
            sent: BTreeMap::new(),
            ended: VecDeque::new(),
            at_once: settings.max_concurrency,
            rate_limit: RateLimit::new(settings.max_requests_per_minute),
        }
    }

    pub fn under_way(&self) -> &[(u64, Job)] {
        &self.under_way
    }

    pub fn is_under_way(&self, job: &Job) -> bool {
        self.under_way.iter().any(|(_, under_way)| under_way == job)
    }

    pub fn again(&self) -> &[Job] {
        &self.again
    }

    pub fn newest_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// The lowest request number in flight, or that of `request`, which has just ended.
    pub fn oldest_seq(&self, request: Verified) -> u64 {
        let oldest = self.under_way.first().map(|(seq, _)| *seq);
        let passed = self.permits.oldest_seq();
        let under_way = oldest.into_iter().chain(passed);
        under_way.fold(request.seq, u64::min)
    }

    /// Numbers a proxied client request and takes its token. Fails with the instant at which the
    /// budget allows one, or with `None` where too many are in flight.
    pub fn permit(&mut self, start: StartTime) -> Result<Permit, Option<Instant>> {
        let request = Verified {
            at: start.wall,
            seq: self.next_seq,
        };
        let permit = self.permits.permit(request).ok_or(None)?;
        self.rate_limit.take(start.now)?;
        self.note_ended(start.now);
        self.next_seq += 1;
        Ok(permit)
    }

    /// The place in the order of requests of a cached answer that was true at `instant`: the number
    /// of the last request that had ended by then. Also the time as of which the answer counts,
    /// which is no later than the next request's start, since that one may have read something
    /// newer. `None` if the answer is older than every sample.
    pub fn place_as_of(&self, instant: Instant) -> Option<(Instant, u64)> {
        let after = self.ended.partition_point(|ended| ended.at <= instant);
        let ended = self.ended.get(after.checked_sub(1)?)?;
        Some((ended.next_sent.min(instant), ended.seq))
    }

    /// Samples which requests have ended. Called before a request that starts at `now` is numbered.
    fn note_ended(&mut self, now: Instant) {
        self.sent.insert(self.next_seq, now);
        if self
            .ended
            .back()
            .is_some_and(|ended| ended.at + APART > now)
        {
            return;
        }
        let oldest = self.under_way.first().map(|(seq, _)| *seq);
        let oldest = oldest.into_iter().chain(self.permits.oldest_seq()).min();
        let next = oldest.unwrap_or(self.next_seq);
        self.sent = self.sent.split_off(&next);
        self.ended.push_back(Ended {
            at: now,
            seq: next - 1,
            next_sent: self.sent.get(&next).copied().unwrap_or(now),
        });
        while (self.ended.front()).is_some_and(|ended| ended.at + REMEMBERED < now) {
            self.ended.pop_front();
        }
    }

    /// A new number, above that of every request so far.
    pub fn number(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Whether this engine issued the permit.
    pub fn knows(&self, permit: &Permit) -> bool {
        self.permits.knows(permit)
    }

    /// Numbers a request and takes its token. Fails with the instant at which the budget allows
    /// one, or with `None` where another request has to end first.
    pub fn begin(&mut self, job: &Job, start: StartTime) -> Result<Begun, Option<Instant>> {
        if self.under_way.len() >= self.at_once {
            return Err(None);
        }
        self.rate_limit.take(start.now)?;
        self.note_ended(start.now);
        let before = self.again.len();
        self.again.retain(|again| again != job);
        let request = Verified {
            at: start.wall,
            seq: self.next_seq,
        };
        self.next_seq += 1;
        self.under_way.push((request.seq, job.clone()));
        Ok(Begun {
            request,
            repeated: self.again.len() < before,
        })
    }

    /// Removes the request with this number, which has ended.
    pub fn end(&mut self, seq: u64) {
        self.under_way.retain(|(under_way, _)| *under_way != seq);
    }

    /// Has a job sent once more, since its connection broke.
    pub fn repeat(&mut self, job: Job) {
        self.again.push(job);
    }

    /// Gives up and returns the repetitions of single calls and details, which a client may wait
    /// for.
    pub fn give_up_calls(&mut self) -> Vec<Job> {
        self.again
            .extract_if(.., |job| job.miss().is_some())
            .collect()
    }

    /// When there is a token for background work, if the next head is due at `needed`.
    pub fn spare_at(&self, now: Instant, needed: Instant) -> Instant {
        self.rate_limit.spare_at(now, needed)
    }

    pub fn spent_last_hour(&mut self, now: Instant) -> u32 {
        self.rate_limit.spent_last_hour(now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn requests() -> InFlight {
        let settings = Settings {
            poll_interval: APART,
            reconcile_interval: REMEMBERED,
            history: None,
            page_limit: 1000,
            max_concurrency: 4,
            max_requests_per_minute: 6000,
            details: BTreeSet::new(),
            seed: 1,
        };
        InFlight::new(&settings, 0)
    }

    /// Requests 1 and 2 overlap and end; request 3 starts and ends alone.
    #[test]
    fn a_kept_answer_has_its_place_behind_what_had_ended_when_it_was_true() {
        let begun = Instant::now();
        let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
        let mut requests = requests();
        let permit = |requests: &mut InFlight, seconds: f64| {
            let start = StartTime {
                now: at(seconds),
                wall: Timestamp::from_micros(0),
                put_back: Duration::ZERO,
            };
            requests.permit(start).expect("a permit")
        };
        let first = permit(&mut requests, 10.0);
        let second = permit(&mut requests, 12.0);
        drop(first);
        drop(permit(&mut requests, 14.0));
        drop(second);
        drop(permit(&mut requests, 16.0));
        drop(permit(&mut requests, 16.9));
        drop(permit(&mut requests, 17.0));

        let place = |requests: &InFlight, seconds: f64| {
            let place = requests.place_as_of(at(seconds))?;
            Some((place.0.duration_since(begun).as_secs(), place.1))
        };
        assert_eq!(place(&requests, 9.0), None, "from before the process");
        // Request 1 was in flight since second 10, and may have read something newer than that.
        assert_eq!(place(&requests, 11.0), Some((10, 0)));
        assert_eq!(place(&requests, 13.0), Some((10, 0)));
        assert_eq!(place(&requests, 14.0), Some((12, 1)), "the second was");
        assert_eq!(place(&requests, 16.0), Some((16, 3)));
        assert_eq!(
            place(&requests, 16.95),
            Some((16, 3)),
            "no place within a second"
        );
        assert_eq!(place(&requests, 17.0), Some((17, 5)));

        // Samples are stored for an hour.
        drop(permit(&mut requests, 3616.0));
        assert_eq!(place(&requests, 15.0), None);
        assert_eq!(place(&requests, 16.0), Some((16, 3)));
    }
}
