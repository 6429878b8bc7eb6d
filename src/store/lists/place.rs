//! A call's place in the order of lists.

use std::cmp::Reverse;

use crate::model::Timestamp;

/// The place of a call with this start and id. A list can continue after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub started_at: Option<Timestamp>,
    pub id: i64,
}

impl Place {
    /// The sort key of a list's order.
    pub fn rank(&self) -> impl Ord + use<> {
        let start = self.started_at;
        (start.is_some(), Reverse(start), Reverse(self.id))
    }
}
