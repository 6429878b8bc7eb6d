//! Another edge as upstream: its feed is read, and nothing else is requested but what clients wait
//! for, hints, and what a deletion is proven by.
//!
//! Whether it is one is asked once, before anything else. Where that answer leaves it open, the
//! next request decides: only a Burki names the organization of the key.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::Timestamp;
use crate::store::FeedPosition;
use crate::sync::clock::Now;
use crate::sync::health::failure_scope;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::sync::planners::deletion_guard::DeletionGuard;
use crate::sync::planners::head::Head;
use crate::upstream::{ErrorKind, Request};

/// After this many tries a server that answers neither is no edge.
const TRIES: u32 = 5;

/// What the upstream is.
#[derive(Debug)]
pub enum UpstreamKind {
    Unknown {
        /// Requests that were answered and left it unknown.
        tries: u32,
        /// True if the key's organization is requested next.
        other: bool,
        /// Where the file's last process stopped in a feed.
        followed: Option<FeedPosition>,
    },
    /// No edge.
    Burki,
    Edge(FeedCursor),
}

#[derive(Debug)]
pub struct FeedCursor {
    pub feed_id: String,
    /// Every change up to here is stored.
    pub place: u64,
    /// How many changes are requested at once.
    pub limit: usize,
    /// The other edge's freshness bound.
    pub bound: Option<Duration>,
    pub sweep: Option<FullPass>,
    /// When the last full pass started.
    pub swept_from: Option<Timestamp>,
}

/// A pass over everything, from place 0.
#[derive(Debug)]
pub struct FullPass {
    pub begun: Timestamp,
    pub listed: HashSet<i64>,
}

impl UpstreamKind {
    /// Continues where the file's last process stopped. A pass that it had not ended starts again.
    pub fn resume(followed: Option<FeedPosition>) -> UpstreamKind {
        UpstreamKind::Unknown {
            tries: 0,
            other: false,
            followed,
        }
    }

    /// Finds out whether the upstream is an edge, before anything else is requested of it.
    pub fn probe(&self, context: &Context<'_>) -> Step {
        match self {
            UpstreamKind::Unknown { other: false, .. } => {
                Step::send_or_stop(context.idle(Job::Feed), context.next_poll())
            }
            UpstreamKind::Unknown { .. } | UpstreamKind::Burki | UpstreamKind::Edge(_) => {
                Step::Nothing
            }
        }
    }

    /// Reads an edge's feed when the head is due, and at once to confirm the organization.
    pub fn next(&self, context: &Context<'_>, head: &Head, identity_is_due: bool) -> Step {
        let is_idle = !context.in_flight.is_under_way(&Job::Feed);
        let now = context.now.instant;
        let due = match identity_is_due && is_idle {
            true => context.pauses.head.unwrap_or(now),
            false => head.due(context, &Job::Feed),
        };
        match due <= now {
            true => Step::Send(Job::Feed),
            false => Step::At(due),
        }
    }

    pub fn is_edge(&self) -> bool {
        matches!(self, UpstreamKind::Edge(_))
    }

    /// Where the feed continues, should the upstream be an edge: a pass that was not ended starts
    /// again.
    pub fn resumes_after(&self) -> u64 {
        match self {
            UpstreamKind::Unknown { followed, .. } => {
                let whole = followed.as_ref().filter(|followed| followed.whole);
                whole.map_or(0, |followed| followed.place)
            }
            UpstreamKind::Burki => 0,
            UpstreamKind::Edge(cursor) => cursor.place,
        }
    }

    pub fn edge(&mut self) -> Option<&mut FeedCursor> {
        match self {
            UpstreamKind::Edge(edge) => Some(edge),
            UpstreamKind::Unknown { .. } | UpstreamKind::Burki => None,
        }
    }

    /// Takes in the key's organization. Returns whether it is known now what the upstream is.
    pub fn answered(&mut self, organization: Option<i64>) -> bool {
        if let UpstreamKind::Unknown { tries, other, .. } = self {
            *tries += 1;
            *other = false;
            if organization.is_some() || *tries >= TRIES {
                *self = UpstreamKind::Burki;
            }
        }
        !matches!(self, UpstreamKind::Unknown { .. })
    }

    /// Takes in a failure. Returns whether the other request is to be tried instead: the server
    /// answers, and may only not know this one.
    pub fn failed(&mut self, job: &Job, kind: ErrorKind, answered: bool) -> bool {
        match (self, job) {
            (UpstreamKind::Unknown { tries, other, .. }, Job::Feed | Job::Identify) if answered => {
                let known = failure_scope::may_not_be_known(kind);
                *tries += u32::from(known);
                *other = *job == Job::Feed;
                *other && known
            }
            (UpstreamKind::Edge(edge), Job::Feed) => {
                let smaller = failure_scope::may_be_of_the_page(kind);
                // The connection may be too slow for this many in one answer.
                edge.limit = (edge.limit / (1 + usize::from(smaller))).max(1);
                false
            }
            _ => false,
        }
    }
}

impl FeedCursor {
    /// `holds`: calls are stored that this feed may never have listed.
    pub fn new(
        feed_id: String,
        place: u64,
        limit: usize,
        holds: bool,
        now: Timestamp,
    ) -> FeedCursor {
        let mut edge = FeedCursor {
            feed_id,
            place,
            limit,
            bound: None,
            sweep: None,
            swept_from: None,
        };
        if place == 0 && holds {
            edge.begin_sweep(now);
        }
        edge
    }

    pub fn request(&self) -> Request {
        Request::Changes {
            after: self.place,
            limit: self.limit,
        }
    }

    fn begin_sweep(&mut self, now: Timestamp) {
        self.place = 0;
        self.sweep = Some(FullPass {
            begun: now,
            listed: HashSet::new(),
        });
    }

    /// Advances a hold: two full passes, a minute apart, let many deletions through. Returns
    /// whether a pass was started.
    pub fn advance_hold(&mut self, holds: &mut DeletionGuard, suspects: u64, now: Now) -> bool {
        if let Some(from) = self.swept_from {
            holds.verified_since(from, suspects, now);
        }
        let due = holds.reread_before().is_some_and(|before| {
            self.sweep.is_none() && before <= now.wall && self.swept_from < Some(before)
        });
        if due {
            self.begin_sweep(now.wall);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::store::RowCounts;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn moment(seconds: i64) -> Now {
        Now {
            instant: Instant::now(),
            wall: at(seconds),
        }
    }

    fn unknown() -> UpstreamKind {
        UpstreamKind::resume(None)
    }

    #[test]
    fn who_says_whose_key_it_is_is_no_edge() {
        let mut following = unknown();
        assert!(following.failed(&Job::Feed, ErrorKind::ServerError, true));
        assert!(following.answered(Some(7)));
        assert!(matches!(following, UpstreamKind::Burki));
    }

    #[test]
    fn a_server_that_says_neither_is_asked_a_few_times_and_is_no_edge() {
        let mut following = unknown();
        let mut rounds = 0;
        while matches!(following, UpstreamKind::Unknown { .. }) {
            assert!(following.failed(&Job::Feed, ErrorKind::BadAnswer, true));
            following.answered(None);
            rounds += 1;
        }
        assert_eq!(rounds, 3);
    }

    #[test]
    fn an_outage_says_nothing_of_what_the_upstream_is() {
        let mut following = unknown();
        for _ in 0..100 {
            assert!(!following.failed(&Job::Feed, ErrorKind::Unreachable, false));
            assert!(!following.failed(&Job::Feed, ErrorKind::Unauthorized, true));
            assert!(!following.failed(&Job::Identify, ErrorKind::Unauthorized, true));
        }
        assert!(!following.answered(None));
        assert!(matches!(following, UpstreamKind::Unknown { .. }));
    }

    #[test]
    fn two_passes_a_minute_apart_let_many_deletions_through() {
        let mut edge = FeedCursor::new("ab".to_owned(), 0, 1000, true, at(0));
        let mut holds = DeletionGuard::default();
        let end = |edge: &mut FeedCursor| {
            edge.swept_from = edge.sweep.take().map(|sweep| sweep.begun);
        };
        end(&mut edge);
        let row_counts = RowCounts {
            calls: 1000,
            suspects: 300,
            tombstones: 0,
        };
        holds.judge(row_counts, at(10));
        assert!(edge.advance_hold(&mut holds, 300, moment(10)), "the first");
        assert!(
            !edge.advance_hold(&mut holds, 300, moment(11)),
            "it is under way"
        );
        end(&mut edge);
        assert!(!edge.advance_hold(&mut holds, 300, moment(20)), "too early");
        assert!(!holds.may_be_proven());
        assert!(edge.advance_hold(&mut holds, 300, moment(70)), "the second");
        end(&mut edge);
        assert!(!edge.advance_hold(&mut holds, 300, moment(80)));
        assert!(holds.may_be_proven());
    }

    #[test]
    fn a_line_that_is_too_slow_for_a_page_gets_a_smaller_one() {
        let mut following =
            UpstreamKind::Edge(FeedCursor::new("ab".to_owned(), 5, 1000, true, at(0)));
        following.failed(&Job::Feed, ErrorKind::Unreachable, false);
        following.failed(&Job::Feed, ErrorKind::Timeout, false);
        assert_eq!(following.edge().map(|edge| edge.limit), Some(500));
        for _ in 0..20 {
            following.failed(&Job::Feed, ErrorKind::Timeout, false);
        }
        assert_eq!(following.edge().map(|edge| edge.limit), Some(1));
    }
}
