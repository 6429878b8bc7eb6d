//! The upstream's health: its state, the last error, and until when what failed is paused.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::model::Timestamp;
use crate::store::StoreError;
use crate::sync::clock::Now;
use crate::sync::health::backoff::Backoff;
use crate::sync::health::denials::ApiPart;
use crate::sync::health::failure_scope;
use crate::sync::health::failure_scope::{RequestKind, Scope};
use crate::sync::health::stall::Stall;
use crate::sync::health::status::{LastError, SyncStatus, UpstreamState};
use crate::upstream::UpstreamError;

/// A failed read of history that is not retried for this long after its pause is no longer needed.
const GIVEN_UP: Duration = Duration::from_secs(60);

pub struct Health {
    state: UpstreamState,
    last_success_at: Option<Timestamp>,
    last_error: Option<LastError>,
    /// True if the last failure was one that any answer disproves.
    outage: bool,
    upstream: Backoff,
    head: Backoff,
    scans: Backoff,
    store: Backoff,
    paused_until: Option<Instant>,
    /// True if the upstream asked for the pause, which is then never cut short.
    asked_for: bool,
    head_paused_until: Option<Instant>,
    history_paused_until: Option<Instant>,
    store_rests_until: Option<Instant>,
}

impl Health {
    pub fn new(seed: u64) -> Health {
        Health {
            state: UpstreamState::Offline,
            last_success_at: None,
            last_error: None,
            outage: true,
            upstream: Backoff::new(seed),
            head: Backoff::new(seed ^ 1),
            scans: Backoff::new(seed ^ 2),
            store: Backoff::new(seed ^ 3),
            paused_until: None,
            asked_for: false,
            head_paused_until: None,
            history_paused_until: None,
            store_rests_until: None,
        }
    }

    /// The health of an engine that replaces another, whose last success and error it still
    /// reports.
    pub fn resumed(seed: u64, status: &SyncStatus) -> Health {
        Health {
            last_success_at: status.last_success_at,
            last_error: status.last_error.clone(),
            ..Health::new(seed)
        }
    }

    /// Reports a stall, which says more than the failure itself.
    pub fn stalled(&mut self, stall: &Stall, now: Now) {
        self.last_error = Some(LastError::no_progress(stall, now.wall));
    }

    pub fn state(&self) -> UpstreamState {
        self.state
    }

    pub fn last_success_at(&self) -> Option<Timestamp> {
        self.last_success_at
    }

    pub fn last_error(&self) -> Option<&LastError> {
        self.last_error.as_ref()
    }

    pub fn consecutive_errors(&self) -> u32 {
        let backoffs = [&self.upstream, &self.head, &self.scans, &self.store];
        backoffs.iter().map(|backoff| backoff.failures()).sum()
    }

    /// Whether the upstream is known not to answer.
    pub fn is_out(&self) -> bool {
        self.upstream.failures() > 0
    }

    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    pub fn head_paused_until(&self) -> Option<Instant> {
        self.head_paused_until
    }

    pub fn history_paused_until(&self) -> Option<Instant> {
        self.history_paused_until
    }

    /// Notes a failure of the upstream, its head or its history.
    pub fn failed(&mut self, error: &UpstreamError, scope: Scope, now: Now) {
        self.last_error = Some(LastError::upstream(error, now.wall));
        let (backoff, until) = match scope {
            Scope::Upstream => (&mut self.upstream, &mut self.paused_until),
            Scope::Head => (&mut self.head, &mut self.head_paused_until),
            _ => (&mut self.scans, &mut self.history_paused_until),
        };
        // Requests that were in flight together fail together, which is one failure.
        if until.is_none_or(|until| until <= now.instant) {
            if backoff.failures() == 0 {
                let hint = error.kind.hint();
                warn!(
                    error = chain(error),
                    hint, "the upstream does not answer as it should"
                );
            }
            *until = Some(now.instant + backoff.failed());
            self.asked_for &= scope != Scope::Upstream;
        }
        if matches!(scope, Scope::Upstream | Scope::Head) {
            self.state = failure_scope::state(error.kind);
            self.outage = scope == Scope::Upstream;
        }
        match (error.retry_after, scope) {
            (Some(wait), Scope::Upstream | Scope::Head) => self.leave_alone(wait, now),
            (Some(wait), _) => self.leave_history_alone(wait, now),
            (None, _) => {}
        }
    }

    /// Notes a failure of one part of the upstream, while everything else succeeds.
    pub fn failed_apart(&mut self, part: ApiPart, error: &UpstreamError, now: Now) {
        self.last_error = Some(LastError::apart(part, error, now.wall));
    }

    /// Notes an answer.
    pub fn succeeded(&mut self, asked: RequestKind, now: Now) {
        self.last_success_at = Some(now.wall);
        report_recovery(&mut self.upstream, "the upstream answers again");
        let is_head = asked == RequestKind::Head;
        if self.outage || is_head {
            // Where the head failed, only a head shows that the newest calls can be followed again.
            let followed = self.head.failures() == 0 || is_head;
            if followed {
                self.state = UpstreamState::Online;
            }
            self.outage &= !followed;
        }
        if is_head {
            report_recovery(&mut self.head, "the newest calls can be followed again");
        }
        // A failed read of history is retried within the longest pause, unless nothing is left to
        // read.
        let idle = is_head
            && (self.history_paused_until).is_none_or(|until| until + GIVEN_UP <= now.instant);
        if asked == RequestKind::Range || idle {
            report_recovery(&mut self.scans, "history can be read again");
        }
    }

    pub fn store_failed(&mut self, cause: &StoreError, now: Now) {
        if self.store.failures() == 0 {
            error!(
                error = chain(cause),
                "the replica's file could not be written"
            );
        }
        self.last_error = Some(LastError::store(cause, now.wall));
        self.store_rests_until = Some(now.instant + self.store.failed());
    }

    /// Until then no request is sent whose answer would have to be stored.
    pub fn store_rests_until(&self) -> Option<Instant> {
        self.store_rests_until
    }

    pub fn store_rests(&self, now: Instant) -> bool {
        self.store_rests_until.is_some_and(|until| until > now)
    }

    pub fn stored(&mut self) {
        self.store_rests_until = None;
        report_recovery(&mut self.store, "the replica's file can be written again");
    }

    /// Ends every pause except one that the upstream asked for.
    pub fn hurry(&mut self) {
        self.head_paused_until = None;
        self.history_paused_until = None;
        self.store_rests_until = None;
        if !self.asked_for {
            self.paused_until = None;
        }
    }

    /// Pauses everything, as the upstream asked.
    pub fn leave_alone(&mut self, wait: Duration, now: Now) {
        if !wait.is_zero() {
            put_off(&mut self.paused_until, now.instant + wait);
            self.asked_for = true;
        }
    }

    /// Pauses reads of history alone, as the upstream asked.
    pub fn leave_history_alone(&mut self, wait: Duration, now: Now) {
        put_off(&mut self.history_paused_until, now.instant + wait);
    }
}

fn put_off(until: &mut Option<Instant>, at: Instant) {
    *until = Some(until.map_or(at, |until| until.max(at)));
}

fn report_recovery(backoff: &mut Backoff, what: &str) {
    let failures = backoff.succeeded();
    if failures > 0 {
        info!(failures, "{what}");
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ErrorKind;

    fn moment(seconds: u64, start: Instant) -> Now {
        let span = Duration::from_secs(seconds);
        Now {
            instant: start + span,
            wall: Timestamp::from_micros(0) + span,
        }
    }

    #[test]
    fn requests_that_fail_together_count_once() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        let error = UpstreamError::new(ErrorKind::Unreachable);
        for _ in 0..4 {
            health.failed(&error, Scope::Upstream, moment(0, start));
        }
        assert_eq!(health.consecutive_errors(), 1);
        assert_eq!(health.state(), UpstreamState::Offline);
        health.failed(&error, Scope::Upstream, moment(60, start));
        assert_eq!(health.consecutive_errors(), 2);
    }

    #[test]
    fn a_pause_that_was_asked_for_is_not_cut_short() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        health.leave_alone(Duration::from_secs(90), moment(0, start));
        health.hurry();
        assert_eq!(health.paused_until(), Some(moment(90, start).instant));
        let error = UpstreamError {
            retry_after: Some(Duration::from_secs(90)),
            ..UpstreamError::new(ErrorKind::ServerError)
        };
        health.failed(&error, Scope::Head, moment(10, start));
        assert_eq!(health.paused_until(), Some(moment(100, start).instant));
    }

    #[test]
    fn a_pause_of_history_or_of_one_call_stays_with_it() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        let error = UpstreamError {
            retry_after: Some(Duration::from_secs(90)),
            ..UpstreamError::new(ErrorKind::Throttled)
        };
        health.succeeded(RequestKind::Head, moment(0, start));
        health.failed(&error, Scope::History, moment(1, start));
        health.failed_apart(ApiPart::Calls, &error, moment(1, start));
        assert_eq!(health.state(), UpstreamState::Online);
        assert_eq!(health.paused_until(), None);
        assert_eq!(
            health.history_paused_until(),
            Some(moment(91, start).instant)
        );
        assert_eq!(health.last_error().unwrap().kind, "throttled");
    }

    #[test]
    fn a_failure_during_a_pause_that_was_asked_for_does_not_open_it() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        health.leave_alone(Duration::from_secs(90), moment(0, start));
        let reset = UpstreamError::new(ErrorKind::Reset);
        health.failed(&reset, Scope::Upstream, moment(1, start));
        health.hurry();
        assert_eq!(health.paused_until(), Some(moment(90, start).instant));
    }

    #[test]
    fn a_backoff_is_cut_short_by_a_hint() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        health.failed(
            &UpstreamError::new(ErrorKind::Timeout),
            Scope::Upstream,
            moment(0, start),
        );
        assert!(health.paused_until().is_some());
        health.hurry();
        assert_eq!(health.paused_until(), None);
    }

    #[test]
    fn a_failing_read_of_history_does_not_stop_the_head() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        health.succeeded(RequestKind::Head, moment(0, start));
        health.failed(
            &UpstreamError::new(ErrorKind::ServerError),
            Scope::History,
            moment(1, start),
        );
        assert_eq!(health.state(), UpstreamState::Online);
        assert_eq!(health.paused_until(), None);
        assert!(health.history_paused_until().is_some());
        health.succeeded(RequestKind::Head, moment(2, start));
        assert_eq!(
            health.consecutive_errors(),
            1,
            "the head's success is not history's"
        );
        health.succeeded(RequestKind::Range, moment(3, start));
        assert_eq!(health.consecutive_errors(), 0);
    }

    #[test]
    fn a_failure_of_what_nobody_reads_any_more_is_over() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        let error = UpstreamError::new(ErrorKind::ServerError);
        health.failed(&error, Scope::History, moment(0, start));
        health.succeeded(RequestKind::Head, moment(30, start));
        assert_eq!(health.consecutive_errors(), 1);
        health.succeeded(RequestKind::Head, moment(100, start));
        assert_eq!(health.consecutive_errors(), 0);
    }

    #[test]
    fn what_fails_apart_is_told_with_its_part_and_what_to_do() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        let error = UpstreamError::new(ErrorKind::ServerError);
        health.failed_apart(ApiPart::Counts, &error, moment(1, start));
        let told = health.last_error().unwrap();
        assert!(told.message.starts_with("counts: "), "{}", told.message);
        assert!(told.hint.contains("all else is followed"), "{}", told.hint);
    }

    #[test]
    fn a_file_that_can_not_be_written_is_left_alone_for_a_while() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        let full = StoreError::Locked("edge.db".into());
        health.store_failed(&full, moment(0, start));
        let until = health.store_rests_until().unwrap();
        assert!(health.store_rests(start) && !health.store_rests(until));
        assert!(health.store_rests(until - Duration::from_millis(1)));
        health.stored();
        assert_eq!(health.store_rests_until(), None);
        assert!(!health.store_rests(start));
    }

    #[test]
    fn one_answer_ends_an_outage_but_not_a_failing_head() {
        let (start, mut health) = (Instant::now(), Health::new(1));
        health.failed(
            &UpstreamError::new(ErrorKind::Unauthorized),
            Scope::Upstream,
            moment(0, start),
        );
        assert_eq!(health.state(), UpstreamState::Unauthorized);
        health.succeeded(RequestKind::Call, moment(1, start));
        assert_eq!(health.state(), UpstreamState::Online);
        health.failed(
            &UpstreamError::new(ErrorKind::ServerError),
            Scope::Head,
            moment(60, start),
        );
        health.succeeded(RequestKind::Call, moment(61, start));
        assert_eq!(health.state(), UpstreamState::Offline);
    }
}
