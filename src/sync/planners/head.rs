//! When the head is read: once per poll, and sooner after a hint.

use std::time::Duration;

use tokio::time::Instant;

use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::sync::planners::head_page::HeadPage;

/// A hint brings the head forward to this long after the last one, however many hints there are.
pub const HINTED_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Head {
    /// When the last head started that succeeded; `None`: the next one is read at once.
    pub read_at: Option<Instant>,
    /// How the head is requested.
    pub page: HeadPage,
    /// True if a hint named no call in particular.
    pub is_hinted: bool,
    /// True if a head was read since the process started.
    pub was_read: bool,
    /// True if the head reports how many calls there are.
    pub has_total: bool,
    /// When stored calls above a head that begins below unreadable rows are requested again.
    pub above_due: Option<Instant>,
}

impl Head {
    pub fn new(page_limit: usize) -> Head {
        Head {
            read_at: None,
            page: HeadPage::new(page_limit),
            is_hinted: false,
            was_read: false,
            has_total: false,
            above_due: None,
        }
    }

    pub fn next(&self, context: &Context<'_>) -> Step {
        let due = self.due(context, &Job::Head);
        match due <= context.now.instant {
            true => Step::Send(Job::Head),
            false => Step::At(due),
        }
    }

    /// When the newest calls are read next, by this job.
    pub fn due(&self, context: &Context<'_>, job: &Job) -> Instant {
        if context.in_flight.is_under_way(job) {
            // The answer wakes the engine.
            return context.next_poll();
        }
        let poll = context.settings.poll_interval;
        let pause = if self.is_hinted {
            poll.min(HINTED_AFTER)
        } else {
            poll
        };
        let due = self.read_at.map_or(context.now.instant, |at| at + pause);
        context.pauses.head.map_or(due, |until| due.max(until))
    }
}
