//! What a world is made from, and when its history happened.

use std::time::Duration;

use rand::RngExt;

use super::invent::Inventor;
use super::life::Rates;
use super::record::Flavour;
use crate::model::{Timestamp, Unit};

/// What a hosted list says of how many calls match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    True,
    Missing,
    Null,
    /// No more than this.
    Capped(usize),
}

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub flavour: Flavour,
    /// Everything random follows from it: records, life, and the order of ties.
    pub seed: u64,
    pub organization_id: i64,
    /// The one key that is let in.
    pub api_key: String,
    /// How many records there are to begin with, the next two counts included.
    pub calls: usize,
    /// How many of them share one instant, in the middle of the history.
    pub same_instant: usize,
    /// What a hosted list says its total is, where that is not how many calls match.
    pub total: Total,
    /// A list that is asked for with a higher `limit` is refused with a 422.
    pub most_rows: i64,
    /// How many have no `started_at`.
    pub without_start: usize,
    /// The world's present.
    pub now: Timestamp,
    /// How far back the history reaches from `now`.
    pub span: Duration,
    /// How life goes on from `now`.
    pub rates: Rates,
    /// What durations of ended calls have beyond whole seconds.
    pub fraction: f64,
    /// Serve at most that many rows a page, whatever `limit` asks for.
    pub page_cap: Option<usize>,
    /// How likely a page tells one of its rows twice, as a join does: 0 to 1.
    pub doubled: f64,
    /// How far east of UTC the database's own zone lies. Some servers compare a zoned date as
    /// that zone's local time; where it is zero, as documented, zoned and naive dates agree.
    pub zone: Duration,
    /// Texts write instants cut off at this; filters and the order compare microseconds.
    pub unit: Unit,
    /// How far east of UTC the zone lies that naive dates are taken for local time of. Where it
    /// is not zero, only zoned dates are read as they are meant.
    pub naive_zone: Duration,
}

impl Default for WorldConfig {
    /// A thousand calls of the thirty days before 2026-11-22T06:00:00Z, hosted, and still.
    fn default() -> WorldConfig {
        WorldConfig {
            flavour: Flavour::Hosted,
            seed: 1,
            organization_id: 7,
            api_key: "burki_0123456789abcdefghijklmnopqrstuv".to_owned(),
            calls: 1000,
            same_instant: 5,
            total: Total::True,
            most_rows: 1000,
            without_start: 3,
            now: Timestamp::from_micros(1_795_327_200_000_000),
            span: Duration::from_secs(30 * 86_400),
            rates: Rates::STILL,
            page_cap: None,
            doubled: 0.0,
            fraction: 0.0,
            zone: Duration::ZERO,
            unit: Unit::MICROSECOND,
            naive_zone: Duration::ZERO,
        }
    }
}

impl WorldConfig {
    /// The starts of the history: ascending, so that ids rise with time and the index grows at its
    /// end, with the rows that share an instant in the middle and those without a start last.
    pub(super) fn starts(&self, inventor: &mut Inventor) -> Vec<Option<Timestamp>> {
        let without = self.without_start.min(self.calls);
        let tied = self.same_instant.min(self.calls - without);
        let span = u64::try_from(self.span.as_micros()).unwrap_or(u64::MAX);
        let mut starts: Vec<Timestamp> = (without + tied..self.calls)
            .map(|_| {
                let back = inventor.rng.random_range(0..=span) / 1_000_000 * 1_000_000;
                (self.now - Duration::from_micros(back) - Duration::from_secs(1))
                    + inventor.fraction()
            })
            .collect();
        let middle = self.now - Duration::from_secs(self.span.as_secs() / 2);
        let instant =
            middle - Duration::from_micros(middle.as_micros().rem_euclid(1_000_000) as u64);
        starts.extend(std::iter::repeat_n(instant, tied));
        starts.sort_unstable();
        let starts = starts.into_iter().map(Some);
        starts.chain(std::iter::repeat_n(None, without)).collect()
    }
}
