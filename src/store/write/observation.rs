//! An observation: what one answer of the upstream says about the replica, and its result.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::model::{Call, CallKey, Timestamp, Verified, Window};

/// What one answer says about the replica.
#[derive(Debug)]
pub struct Observation {
    /// The request that was answered.
    pub request: Verified,
    /// The lowest number among the requests in flight, this one included.
    pub oldest_in_flight: u64,
    /// The highest number of any request so far.
    pub newest_seq: u64,
    pub calls: Vec<Call>,
    /// True if the calls were requested by id or SID: even an unchanged one is worth a write then.
    pub singly: bool,
    /// The key of a call that the upstream does not have.
    pub absent: Option<CallKey>,
    /// Suspects that the upstream denied by a 404, each with the request that got it; this answer
    /// completes the proof of their deletion. A suspect that was seen since is left alone.
    pub denied: Vec<(i64, Verified)>,
    /// What the answer lists completely, alone or together with earlier ones.
    pub complete: Option<Complete>,
    /// All windows including this answer's, oldest first; `None` leaves them unchanged.
    pub windows: Option<Vec<Window>>,
}

impl Observation {
    /// An empty observation by a request beside which no other is in flight.
    pub fn of(request: Verified) -> Observation {
        Observation {
            request,
            oldest_in_flight: request.seq,
            newest_seq: request.seq,
            calls: Vec::new(),
            singly: false,
            absent: None,
            denied: Vec::new(),
            complete: None,
            windows: None,
        }
    }
}

/// A list of all calls within bounds. A stored call that it leaves out becomes a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// The starts of which all calls are listed.
    pub started: Option<RangeInclusive<Timestamp>>,
    /// True if all calls without a start are listed.
    pub without_start: bool,
    pub listed: HashSet<i64>,
    pub belief: Trust,
}

/// How many stored calls are too many for a complete list to leave out and still be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// No number is too many.
    Whole,
    /// Over 50 and over 5 % of all stored calls, or every call stored within its bounds if those
    /// are three or more.
    UnlessMany,
    /// More than this many, or every call stored within its bounds.
    UpTo(usize),
}

/// The result of merging an answer's calls, in numbers of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub new: usize,
    /// Their JSON has another content than before.
    pub changed: usize,
    /// Their JSON is the same in another spelling; the newer text is stored.
    pub respelled: usize,
    pub unchanged: usize,
    /// A request that started later has reported them already.
    pub stale: usize,
    /// Suspects whose deletion is proven and that became tombstones.
    pub removed: usize,
    /// Stored calls that a complete list leaves out and that are too many: nothing of the answer
    /// was written.
    pub unbelieved: usize,
}
