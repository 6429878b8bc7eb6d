//! A request that came to its end, and how old its answer is.

use std::time::Duration;

use crate::model::Verified;
use crate::sync::in_flight::StartTime;
use crate::sync::plan::job::Job;
use crate::upstream::{DateForm, Reply, Request, UpstreamError};

/// A request that came to its end.
pub struct Completed {
    pub job: Job,
    /// As it was sent.
    pub asked: Request,
    pub request: Verified,
    pub start: StartTime,
    /// It was sent before, and the connection broke.
    pub repeated: bool,
    /// The form that its bounds were asked for in.
    pub dates: DateForm,
    pub result: Result<Reply, UpstreamError>,
}

/// How old the answer is that is taken in, and whose copy it may be.
#[derive(Debug, Default)]
pub struct AnswerAge {
    pub age: Duration,
    /// An intermediary had it, which is no edge.
    pub is_kept: bool,
    /// The age of the latest page of the list.
    pub list_age: Duration,
}
