//! Same-instant groups, which are read apart from all ranges: see [`group`].

pub mod group;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{NEVER, Timestamp};
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::sync::planners::same_instant::group::SameInstantGroup;

#[derive(Debug, Default)]
pub struct SameInstant {
    pub groups: BTreeMap<Timestamp, SameInstantGroup>,
    /// When the calls without a start are read again below a ranged head; `None`: at once.
    pub without_start_due: Option<Instant>,
}

impl SameInstant {
    /// Continues the group with the most answers: one that keeps starting over can't delay the
    /// others.
    pub fn next(&self, context: &Context<'_>) -> Step {
        let now = context.now.instant;
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| Reverse(group.requests()));
        let mut ready = groups
            .into_iter()
            .filter(|(instant, _)| context.date_form.is_some() || **instant == NEVER)
            .filter(|(_, group)| !group.rests(now));
        let job = ready.find_map(|(instant, _)| context.idle(Job::SameInstant(*instant)));
        let rested = self.groups.values();
        let rested = rested.filter_map(|group| group.rested_at(now)).min();
        match job {
            Some(job) => Step::Send(job),
            None => rested.map_or(Step::Nothing, Step::At),
        }
    }

    /// Starts reading the calls of this instant page by page.
    pub fn read_apart(&mut self, instant: Timestamp, page_limit: usize) {
        self.groups
            .entry(instant)
            .or_insert_with(|| SameInstantGroup::new(instant, page_limit));
    }

    /// Starts reading the calls without a start, which nothing else reads below a ranged head: at
    /// first, after the reading was given up, and again when it is due.
    pub fn read_without_start(&mut self, now: Instant, page_limit: usize, head_limit: usize) {
        if self.without_start_due.is_none_or(|due| due <= now) {
            let group = || SameInstantGroup::new(NEVER, page_limit).narrowed(head_limit);
            self.groups.entry(NEVER).or_insert_with(group);
        }
    }

    /// Stops reading the calls without a start, which the head lists.
    pub fn leave_without_start(&mut self) {
        self.groups.remove(&NEVER);
    }

    /// Sets the page length that the upstream serves.
    pub fn set_page_limit(&mut self, page_limit: usize) {
        for group in self.groups.values_mut() {
            group.set_page_limit(page_limit);
        }
    }

    /// Moves the marks' times back, as the clock here was put back.
    pub fn put_back(&mut self, by: Duration) {
        for group in self.groups.values_mut() {
            group.put_back(by);
        }
    }
}
