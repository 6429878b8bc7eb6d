//! What an answer of the upstream says of the replica, and what became of it.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::model::{Call, CallKey, Timestamp, Verified, Window};

/// What one answer says of the replica.
#[derive(Debug)]
pub struct Observation {
    /// The request that was answered.
    pub request: Verified,
    /// The lowest number among the requests that are still under way, this one included.
    pub oldest_in_flight: u64,
    /// The highest number given to any request.
    pub newest_seq: u64,
    pub calls: Vec<Call>,
    /// The calls were asked for by name: that they are unchanged is worth a write.
    pub singly: bool,
    /// The upstream has no such call.
    pub absent: Option<CallKey>,
    /// Suspects that the upstream denied by a 404, each with the request that was so answered,
    /// whose deletion this answer proves. One that was seen since is left.
    pub denied: Vec<(i64, Verified)>,
    /// What the answer, alone or with those before it, lists completely.
    pub complete: Option<Complete>,
    /// All windows as they are with this answer, oldest first; `None` leaves them.
    pub windows: Option<Vec<Window>>,
}

/// A list of all calls within bounds. Who is held and not listed is a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// All that started within.
    pub started: Option<RangeInclusive<Timestamp>>,
    /// All that have no start.
    pub without_start: bool,
    pub listed: HashSet<i64>,
    pub belief: Trust,
}

/// How many held calls a complete list may leave out and still be taken at its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// However many held calls it leaves out.
    Whole,
    /// Not if it leaves out over 50 and over 5 % of all held calls, nor if it leaves out every
    /// call held within its bounds and those are three or more.
    UnlessMany,
    /// Not if it leaves out more than this many, nor if it leaves out all that is held within its
    /// bounds.
    UpTo(usize),
}

/// What became of the calls of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub new: usize,
    /// Their JSON says something else than before.
    pub changed: usize,
    /// The same JSON in another spelling; the newer text is kept.
    pub respelled: usize,
    pub unchanged: usize,
    /// A request that started later already told of them.
    pub stale: usize,
    /// Suspects that are proven to be gone, and are tombstones now.
    pub removed: usize,
    /// So many held calls are left out of a complete list that it is not believed: nothing of the
    /// answer was written.
    pub unbelieved: usize,
}
