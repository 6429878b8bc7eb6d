//! The open calls below the head, listed at every poll, one status at a time.

use crate::store::OpenCalls;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

#[derive(Debug, Default)]
pub struct OpenCallLists {
    /// The groups to list since the last head.
    pub groups: Vec<OpenCalls>,
    /// The groups whose list failed: their calls are requested by id.
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
