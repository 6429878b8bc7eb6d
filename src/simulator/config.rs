//! The configuration of a world, and the starts of its history.

use std::time::Duration;

use rand::RngExt;

use super::invent::Inventor;
use super::life::Rates;
use super::record::Flavour;
use crate::model::{Timestamp, Unit};

/// How a hosted list reports the number of matching calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    True,
    Missing,
    Null,
    /// At most this number.
    Capped(usize),
}

/// The configuration of a world.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub flavour: Flavour,
    /// The seed of everything random: records, events, and the order of ties.
    pub seed: u64,
    pub organization_id: i64,
    /// The only key that is accepted.
    pub api_key: String,
    /// How many records there are at first, `same_instant` and `without_start` included.
    pub calls: usize,
    /// How many records share one instant in the middle of the history.
    pub same_instant: usize,
    /// The total that a hosted list reports, if not the number of matching calls.
    pub total: Total,
    /// The highest `limit` of a list; a higher one is refused with a 422.
    pub most_rows: i64,
    /// How many records have no `started_at`.
    pub without_start: usize,
    /// The world's present.
    pub now: Timestamp,
    /// How far the history reaches back from `now`.
    pub span: Duration,
    /// The rates of events after `now`.
    pub rates: Rates,
    /// The fraction of a second that durations of ended calls have.
    pub fraction: f64,
    /// The most rows that are served on a page, whatever `limit` asks for.
    pub page_cap: Option<usize>,
    /// The probability, 0 to 1, that a page repeats one of its rows, as a join does.
    pub doubled: f64,
    /// How far east of UTC the database's own zone lies. Some servers compare a zoned date as local
    /// time of that zone; at zero, as documented, zoned and naive dates agree.
    pub zone: Duration,
    /// The unit to which texts truncate instants; filters and the order compare microseconds.
    pub unit: Unit,
    /// How far east of UTC the zone lies in which naive dates are read. Unless it is zero, only
    /// zoned dates are read correctly.
    pub naive_zone: Duration,
}

impl Default for WorldConfig {
    /// A hosted world without events: a thousand calls of the thirty days before
    /// 2026-11-22T06:00:00Z.
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
    /// The starts of the history, ascending, so that ids rise with time and the index grows at its
    /// end. Those that share an instant are in the middle, those of calls without a start are last.
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
