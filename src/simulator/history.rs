//! A history that is too long for memory: the calls of an organization without events, invented one
//! stretch of time after another, newest first, as a fill reads them.

use std::time::Duration;

use rand::RngExt;

use super::config::WorldConfig;
use super::invent::Inventor;
use super::record::{Flavour, Record};
use crate::model::Timestamp;

/// The calls of a world with this configuration, drawn alike but spread evenly over its span. Each
/// has a start, and none share an instant on purpose. Only one stretch is in memory.
pub struct History {
    inventor: Inventor,
    flavour: Flavour,
    now: Timestamp,
    /// Length of the history in seconds.
    span: u64,
    calls: usize,
    /// How many calls each stretch has, except the last.
    page: usize,
    /// How many stretches were returned.
    told: usize,
    /// All ids still to come are below it.
    above: i64,
}

/// All calls of a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Inclusive.
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
    /// By ascending start, and so by ascending id.
    pub records: Vec<Record>,
}

impl History {
    /// `page` is the number of calls in a stretch, one or more.
    pub fn new(config: &WorldConfig, page: usize) -> History {
        let most = i64::try_from(config.calls).unwrap_or(i64::MAX);
        History {
            inventor: Inventor::new(config.seed, config.calls),
            flavour: config.flavour,
            now: config.now,
            span: config.span.as_secs(),
            calls: config.calls,
            page: page.max(1),
            told: 0,
            // Four is the widest gap between two ids.
            above: most.saturating_mul(4).saturating_add(1000),
        }
    }

    /// How far before now the first `stretches` end, in whole seconds, so that no second is in two.
    fn back(&self, stretches: usize) -> Duration {
        let all = self.calls.div_ceil(self.page).max(1);
        let seconds = u128::from(self.span) * stretches as u128 / all as u128;
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    fn start(&mut self, from: Timestamp, seconds: u64) -> Timestamp {
        let after = self.inventor.rng.random_range(0..seconds);
        from + Duration::from_secs(after) + self.inventor.fraction()
    }
}

impl Iterator for History {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        let left = self.calls.checked_sub(self.told * self.page)?;
        let count = left.min(self.page);
        if count == 0 {
            return None;
        }
        let to = self.now - self.back(self.told);
        self.told += 1;
        let from = self.now - self.back(self.told);
        let seconds = to.since(from).as_secs().max(1);
        let mut starts: Vec<Timestamp> = (0..count).map(|_| self.start(from, seconds)).collect();
        starts.sort_unstable();
        let gaps: Vec<i64> = (0..count).map(|_| self.inventor.id_after(0)).collect();
        self.above -= gaps.iter().sum::<i64>();
        let mut id = self.above;
        let records = starts.into_iter().zip(gaps).map(|(start, gap)| {
            let record = self.inventor.past(id, Some(start), self.now, self.flavour);
            id += gap;
            record
        });
        Some(Stretch {
            from,
            to,
            records: records.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(calls: usize, page: usize) -> Vec<Stretch> {
        let config = WorldConfig {
            calls,
            ..WorldConfig::default()
        };
        History::new(&config, page).collect()
    }

    #[test]
    fn a_history_goes_back_stretch_by_stretch_and_has_every_call() {
        let stretches = history(1050, 100);
        let sizes: Vec<usize> = stretches.iter().map(|one| one.records.len()).collect();
        assert_eq!(sizes, [vec![100; 10], vec![50]].concat());
        assert!(stretches.windows(2).all(|two| two[0].from == two[1].to));
        let config = WorldConfig::default();
        assert_eq!(stretches[0].to, config.now);
        assert_eq!(stretches[10].from, config.now - config.span);
        for stretch in &stretches {
            let started = |record: &Record| record.started_at.unwrap();
            let ordered = stretch
                .records
                .is_sorted_by(|one, next| one.id < next.id && started(one) <= started(next));
            assert!(ordered);
            let within = stretch.from..stretch.to;
            assert!(
                stretch
                    .records
                    .iter()
                    .all(|one| within.contains(&started(one)))
            );
        }
        let lowest = |stretch: &Stretch| stretch.records[0].id;
        let highest = |stretch: &Stretch| stretch.records[stretch.records.len() - 1].id;
        assert!(
            stretches
                .windows(2)
                .all(|two| lowest(&two[0]) > highest(&two[1]))
        );
        assert!(lowest(&stretches[10]) >= 1000);
    }

    #[test]
    fn a_history_is_the_same_each_time_and_only_its_end_still_goes_on() {
        let stretches = history(20_000, 1000);
        assert_eq!(stretches, history(20_000, 1000));
        let open = |stretch: &Stretch| {
            let open = stretch.records.iter().filter(|one| one.ended_at.is_none());
            open.count()
        };
        assert!(stretches[1..].iter().all(|stretch| open(stretch) == 0));
    }

    #[test]
    fn an_empty_history_has_no_stretch() {
        assert!(history(0, 100).is_empty());
    }
}
