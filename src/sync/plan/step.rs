//! What one concern of the plan wants now.

use tokio::time::Instant;

use crate::sync::plan::job::Job;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A request.
    Send(Job),
    /// The proxied client request that has waited longest goes ahead.
    Permit,
    /// Nothing before this instant, unless something happens.
    At(Instant),
    /// Nothing that comes after this concern may be sent before this instant.
    Stop(Instant),
    /// Nothing, until something happens.
    Nothing,
}

impl Step {
    /// Sends the job, if there is one.
    pub fn send(job: Option<Job>) -> Step {
        job.map_or(Step::Nothing, Step::Send)
    }

    /// Sends the job, or lets nothing after it be sent before `until`.
    pub fn send_or_stop(job: Option<Job>, until: Instant) -> Step {
        job.map_or(Step::Stop(until), Step::Send)
    }
}
