//! The open calls below the head, followed at every poll by lists of one status each.

use crate::store::OpenCalls;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

#[derive(Debug, Default)]
pub struct OpenCallLists {
    /// To be listed since the last head.
    pub groups: Vec<OpenCalls>,
    /// Those that could not be listed: their calls are asked for by id.
    pub unlisted: Vec<OpenCalls>,
}

impl OpenCallLists {
    pub fn next(&self, context: &Context<'_>) -> Step {
        if context.date_form.is_none() {
            return Step::Nothing;
        }
        let mut jobs = self.groups.iter().cloned().map(Job::OpenCalls);
        Step::send(jobs.find_map(|job| context.idle(job)))
    }
}
