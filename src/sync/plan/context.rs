//! What every concern decides by, beside its own state.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;
use crate::sync::clock::Now;
use crate::sync::in_flight::InFlight;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::ranges::{Range, without};
use crate::sync::plan::job::Job;
use crate::sync::planners::same_instant::group::SameInstantGroup;
use crate::sync::planners::unreadable::Unreadable;
use crate::sync::settings::Settings;
use crate::upstream::DateForm;

/// One instant, and what is known at it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub now: Now,
    pub settings: &'a Settings,
    /// The oldest start that is replicated.
    pub since: Timestamp,
    pub pauses: Pauses,
    pub in_flight: &'a InFlight,
    /// The age of the latest page of the list when it arrived: a cached copy is no fresher for
    /// being requested again at once.
    pub list_age: Duration,
    pub coverage: &'a Coverage,
    pub unreadable: &'a Unreadable,
    /// The same-instant groups, which are read apart from all ranges.
    pub same_instant: &'a BTreeMap<Timestamp, SameInstantGroup>,
    /// How the upstream reads dates; `None` while that is unknown, and no range may be requested.
    pub date_form: Option<DateForm>,
}

/// What is paused, and until when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pauses {
    /// The whole upstream.
    pub upstream: Option<Instant>,
    /// Everything that would have to be stored, while the file can't be written.
    pub store: Option<Instant>,
    pub head: Option<Instant>,
    pub history: Option<Instant>,
    /// True if the last request was not answered: one at a time finds out whether the upstream is
    /// back.
    pub is_out: bool,
}

impl Context<'_> {
    /// The job, unless it is in flight.
    pub fn idle(&self, job: Job) -> Option<Job> {
        (!self.in_flight.is_under_way(&job)).then_some(job)
    }

    /// One poll interval from now.
    pub fn next_poll(&self) -> Instant {
        self.now.instant + self.settings.poll_interval
    }

    /// The end of a pause, if it is still to come.
    pub fn is_paused(&self, until: Option<Instant>) -> Option<Instant> {
        until.filter(|until| *until > self.now.instant)
    }

    /// The parts of a range that no request is reading and that may be read now, newest first.
    pub fn free(&self, range: Range) -> Vec<Range> {
        let now = self.now.instant;
        let groups = self.same_instant.keys();
        let groups = groups.map(|instant| *instant..=*instant);
        let holes = self.unreadable.holes().iter();
        let holes = holes.map(|hole| hole.range.clone());
        let in_flight = self.in_flight.under_way().iter();
        let read = in_flight.filter_map(|(_, job)| match job {
            Job::Range(range) => Some(range.clone()),
            _ => None,
        });
        let mut pieces = vec![range];
        for taken in groups.chain(holes).chain(read) {
            let rest = pieces.iter().flat_map(|piece| without(piece, &taken));
            pieces = rest.collect();
        }
        pieces.retain(|piece| !self.unreadable.rests(piece, now));
        pieces
    }

    /// Whether all of a range may be read now.
    pub fn is_free(&self, range: &Range) -> bool {
        self.free(range.clone()) == [range.clone()]
    }

    /// A request for the newest part of a range that may be read now.
    pub fn read(&self, range: Range) -> Option<Job> {
        self.free(range).into_iter().next().map(Job::Range)
    }
}
