//! The world's events in virtual time: calls begin, end, are billed, annotated and deleted.
//!
//! Events wait in one queue, ordered by instant and then by when they were planned, and draw from
//! one seeded generator: the same seed and the same calls of `World::advance` make the same
//! world, however long each step is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::invent::{Inventor, OPEN};
use crate::model::Timestamp;

/// How often events happen, as means per hour of independent events. If all are zero the world is
/// still: open calls stay open, and nothing is billed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Calls that begin. Each ends after a length of its own, about three minutes, and a hosted one
    /// is billed within the minute after. One in 50 is announced up to an hour late, already ended;
    /// one in 100 never gets a `started_at`.
    pub calls: f64,
    /// Calls of any age that get metadata.
    pub annotations: f64,
    /// Deletions. One in 20 removes up to ten neighbours at once.
    pub deletions: f64,
}

impl Rates {
    /// No events.
    pub const STILL: Rates = Rates {
        calls: 0.0,
        annotations: 0.0,
        deletions: 0.0,
    };

    pub fn is_still(&self) -> bool {
        *self == Rates::STILL
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Begin,
    Annotate,
    Delete,
    End { id: i64, failed: bool },
    Bill { id: i64 },
}

/// The events to come, and the generator from which they are drawn.
pub(super) struct Life {
    pub(super) inventor: Inventor,
    pub rates: Rates,
    pub queue: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    pub planned: u64,
    /// How far the upstream's own clock is ahead, in microseconds; negative if it is behind.
    pub skew: i64,
}

impl Life {
    pub(super) fn new(inventor: Inventor) -> Life {
        Life {
            inventor,
            rates: Rates::STILL,
            queue: BinaryHeap::new(),
            planned: 0,
            skew: 0,
        }
    }

    pub fn plan(&mut self, at: Timestamp, event: Event) {
        self.planned += 1;
        self.queue.push(Reverse((at, self.planned, event)));
    }

    /// Plans the next event of a recurring kind.
    pub fn plan_next(&mut self, now: Timestamp, event: Event) {
        let per_hour = match event {
            Event::Begin => self.rates.calls,
            Event::Annotate => self.rates.annotations,
            Event::Delete => self.rates.deletions,
            Event::End { .. } | Event::Bill { .. } => return,
        };
        if per_hour > 0.0 {
            let seconds = self.inventor.exponential(3600.0 / per_hour);
            // At a negligible rate, the event is planned for a year that never comes.
            let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            self.plan(now + wait, event);
        }
    }

    /// What the upstream's own clock shows at this instant.
    pub fn dated(&self, at: Timestamp) -> Timestamp {
        let shown = at.as_micros().saturating_add(self.skew);
        Timestamp::from_micros(shown).clamp(Timestamp::MIN, Timestamp::MAX)
    }

    pub fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Event)> {
        let Reverse((at, _, _)) = self.queue.peek()?;
        if *at > now {
            return None;
        }
        let Reverse((at, _, event)) = self.queue.pop()?;
        Some((at, event))
    }
}

pub(super) fn is_open(status: &str) -> bool {
    OPEN.contains(&status)
}
