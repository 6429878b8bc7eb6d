//! The order in which the upstream lists calls, stored so that a page costs its own length.
//!
//! It is a sorted vector and not a tree: `skip` is then an index, a range's total is a subtraction,
//! and the usual insertion, of the newest call, moves nothing but the rows without a start. An
//! insertion deep in the history of a million calls moves at most 16 MB, in about a millisecond.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::model::{Timestamp, Unit};

/// A call's place: its start in microseconds, or [`NO_START`] if it has none, and its id.
pub(super) type Place = (i64, i64);

/// Sorts after every start and so comes first in descending order, as PostgreSQL sorts nulls.
const NO_START: i64 = i64::MAX;

/// The place of a call whose text has this start, truncated to `unit`. What was truncated is not
/// zero, except for one call in ten.
pub(super) fn place(started_at: Option<Timestamp>, id: i64, unit: Unit) -> Place {
    let cut_off = match id % 10 {
        0 => 0,
        _ => id.wrapping_mul(7919).rem_euclid(unit.as_micros()),
    };
    let start = started_at.map(|start| start.as_micros() + cut_off);
    (start.unwrap_or(NO_START), id)
}

/// Places in ascending order.
#[derive(Clone, Debug, Default)]
pub(super) struct Order(Vec<Place>);

impl Order {
    pub(super) fn insert(&mut self, place: Place) {
        if let Err(index) = self.0.binary_search(&place) {
            self.0.insert(index, place);
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        if let Ok(index) = self.0.binary_search(&place) {
            self.0.remove(index);
        }
    }

    pub(super) fn retain(&mut self, stays: impl Fn(i64) -> bool) {
        self.0.retain(|(_, id)| stays(*id));
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.0
    }

    /// The places within both bounds, inclusive. A row without a start is within none.
    pub(super) fn range(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> &[Place] {
        if from.is_none() && to.is_none() {
            return &self.0;
        }
        let from = from.map_or(i64::MIN, Timestamp::as_micros);
        let to = to.map_or(NO_START - 1, Timestamp::as_micros);
        let start = self.0.partition_point(|(at, _)| *at < from);
        let end = self.0.partition_point(|(at, _)| *at <= to);
        self.0.get(start..end).unwrap_or_default()
    }
}

/// The ids of one page of `places` (ascending): newest first, and those of one instant in random
/// order, even if the page's edge divides them.
pub(super) fn page(places: &[Place], skip: usize, limit: usize, rng: &mut StdRng) -> Vec<i64> {
    let mut end = places.len().saturating_sub(skip);
    let first = end.saturating_sub(limit);
    let mut ids = Vec::with_capacity(end - first);
    while end > first {
        let at = places[end - 1].0;
        let start = places.partition_point(|(other, _)| *other < at);
        let stop = places.partition_point(|(other, _)| *other <= at);
        let wanted = end - start.max(first);
        let mut tied: Vec<i64> = places[start..stop].iter().map(|(_, id)| *id).collect();
        let (drawn, _) = tied.partial_shuffle(rng, wanted);
        ids.extend_from_slice(drawn);
        end = start;
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn at(micros: i64) -> Option<Timestamp> {
        Some(Timestamp::from_micros(micros))
    }

    #[test]
    fn pages_are_newest_first_with_the_rows_without_start_before_all() {
        let mut order = Order::default();
        for (start, id) in [(at(10), 1), (None, 2), (at(30), 3), (at(20), 4)] {
            order.insert(place(start, id, Unit::MICROSECOND));
        }
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(page(order.places(), 0, 9, &mut rng), [2, 3, 4, 1]);
        assert_eq!(page(order.places(), 1, 2, &mut rng), [3, 4]);
        assert_eq!(page(order.places(), 9, 2, &mut rng), [0; 0]);
        assert_eq!(order.range(at(10), at(20)).len(), 2);
        assert_eq!(order.range(at(11), None).len(), 2);
        assert_eq!(order.range(at(20), at(10)).len(), 0);
        order.remove(place(None, 2, Unit::MICROSECOND));
        assert_eq!(order.places().len(), 3);
    }

    #[test]
    fn what_is_cut_off_of_a_start_is_nothing_for_one_call_in_ten() {
        for id in 1..200 {
            let (micros, _) = place(at(5_000_000), id, Unit::SECOND);
            assert!((5_000_000..6_000_000).contains(&micros), "{id}: {micros}");
            assert_eq!(micros == 5_000_000, id % 10 == 0, "{id}");
        }
    }

    #[test]
    fn an_edge_through_a_tie_serves_any_of_its_rows() {
        let places: Vec<Place> = (0..50).map(|id| (7, id)).collect();
        let mut rng = StdRng::seed_from_u64(1);
        let first = page(&places, 0, 10, &mut rng);
        let again = page(&places, 0, 10, &mut rng);
        assert_eq!(first.len(), 10);
        assert_ne!(first, again);
    }
}
