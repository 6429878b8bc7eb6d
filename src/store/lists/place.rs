//! A call's place in a list.

use std::cmp::Reverse;

use crate::model::Timestamp;

/// Where a list goes on: after the call of this start and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub started_at: Option<Timestamp>,
    pub id: i64,
}

impl Place {
    /// Sorts as a list does.
    pub fn rank(&self) -> impl Ord + use<> {
        let start = self.started_at;
        (start.is_some(), Reverse(start), Reverse(self.id))
    }
}
