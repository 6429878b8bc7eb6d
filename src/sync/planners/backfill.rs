//! Reads the gaps in the coverage, from the newest down.

use crate::model::NEVER;
use crate::sync::knowledge::ranges::Range;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

#[derive(Debug, Default)]
pub struct Backfill {
    /// How many calls the upstream has, where it reports that: the measure of progress.
    pub total: Option<u64>,
    /// What lies below the page that is being written. It is requested before the page is
    /// committed; if it can't be sent then, it is a gap like any other.
    pub continuation: Option<Range>,
}

impl Backfill {
    /// Continues below the page that is being written, unless a client waits.
    pub fn continuation(&self, no_client_waits: bool) -> Step {
        let range = self.continuation.clone().filter(|_| no_client_waits);
        Step::send(range.map(Job::Range))
    }

    /// Instants to be read by themselves, then the newest gap, then the total, which is a count and so
    /// needs `may_count`.
    pub fn next(&self, context: &Context<'_>, may_count: bool) -> Step {
        let gaps = context.coverage.gaps(context.since);
        let lacks_total = may_count && self.total.is_none() && !gaps.is_empty();
        let unread = || {
            // Calls without a start match no range; they are read as one instant.
            let gaps = gaps.into_iter().filter(|gap| *gap.end() != NEVER);
            let mut ranges = context.unreadable.instants().chain(gaps);
            ranges.find_map(|range| context.read(range))
        };
        let total = || lacks_total.then_some(Job::Total);
        let job = (context.date_form.and_then(|_| unread()))
            .or_else(|| total().and_then(|job| context.idle(job)));
        let rested = context.unreadable.rested_at(context.now.instant);
        match job {
            Some(job) => Step::Send(job),
            None => rested.map_or(Step::Nothing, Step::At),
        }
    }
}
