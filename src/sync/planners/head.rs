//! When the newest page of the list is read: once a poll, and sooner after a hint.

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
    /// When the last head was begun that succeeded; `None` reads it at once.
    pub read_at: Option<Instant>,
    /// How the head is asked for.
    pub page: HeadPage,
    /// A hint named no call in particular.
    pub is_hinted: bool,
    /// It was read since the process started.
    pub was_read: bool,
    /// It says how many calls there are.
    pub has_total: bool,
    /// When the calls above a head that begins below unreadable rows are asked for by id again.
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

    /// When the newest is read next, by this job.
    pub fn due(&self, context: &Context<'_>, job: &Job) -> Instant {
        if context.in_flight.is_under_way(job) {
            // Its end wakes the engine.
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
