//! A completed request, and how old its answer is.

use std::time::Duration;

use crate::model::Verified;
use crate::sync::in_flight::StartTime;
use crate::sync::plan::job::Job;
use crate::upstream::{DateForm, Reply, Request, UpstreamError};

/// A request that was answered or that failed.
pub struct Completed {
    pub job: Job,
    /// The request as it was sent.
    pub request: Request,
    pub stamp: Verified,
    pub start: StartTime,
    /// True if it was sent before and its connection broke.
    pub repeated: bool,
    /// The form in which its dates were sent.
    pub dates: DateForm,
    pub result: Result<Reply, UpstreamError>,
}

/// How old the answer is that is being applied, and whether a cache gave it.
#[derive(Debug, Default)]
pub struct AnswerAge {
    pub age: Duration,
    /// True if it came from an intermediary's cache, and not from an edge.
    pub is_cached: bool,
    /// The age of the latest page of the list.
    pub list_age: Duration,
}
