//! What each event does to the world.

use std::time::Duration;

use rand::RngExt;

use super::invent::{Ending, OPEN};
use super::json::string;
use super::life::{Event, Rates, is_open};
use super::record::Flavour;
use super::world::World;
use crate::model::Timestamp;

impl World {
    /// Lets the time from the last `advance` to `now` pass, and returns how many events there were.
    /// A `now` in the past does nothing.
    pub fn advance(&mut self, now: Timestamp) -> usize {
        let mut events = 0;
        while let Some((at, event)) = self.life.due(now) {
            self.now = self.now.max(at);
            self.happen(at, event);
            self.life.plan_next(at, event);
            events += 1;
        }
        self.now = self.now.max(now);
        events
    }

    /// Changes the rates from now on. `Rates::STILL` freezes the world; any other rates plan the
    /// end and the billing of calls that are open or not billed.
    pub fn set_rates(&mut self, rates: Rates) {
        self.life.rates = rates;
        self.replan();
    }

    /// Refuses a list with a `limit` above `most_rows` from now on.
    pub fn set_most_rows(&mut self, most_rows: i64) {
        self.config.most_rows = most_rows;
    }

    /// Sets the upstream's own clock, by which the starts and ends of calls are dated from now on:
    /// `micros` ahead of the time, behind if negative. Nothing else uses it, but what follows from
    /// those dates changes with them: a duration is the difference of the two, zero if a clock that
    /// was set back ends a call before its start, and annotations and deletions draw from the
    /// list's order.
    pub fn set_clock_skew(&mut self, micros: i64) {
        self.life.skew = micros;
    }

    /// Plans all events of the existing records again.
    pub(super) fn replan(&mut self) {
        self.life.queue.clear();
        if self.life.rates.is_still() {
            return;
        }
        let now = self.now;
        for event in [Event::Begin, Event::Annotate, Event::Delete] {
            self.life.plan_next(now, event);
        }
        let hosted = self.flavour() == Flavour::Hosted;
        let pending: Vec<(i64, bool)> = self
            .records()
            .filter(|record| is_open(&record.status) || (hosted && record.costs.is_none()))
            .map(|record| (record.id, is_open(&record.status)))
            .collect();
        for (id, open) in pending {
            if open {
                self.plan_end(id, now);
            } else {
                self.plan_bill(id, now);
            }
        }
    }

    pub(super) fn plan_end(&mut self, id: i64, now: Timestamp) {
        let Ending { failed, after } = self.life.inventor.ending();
        self.life.plan(now + after, Event::End { id, failed });
    }

    /// Ends an open call now, and plans what follows from it.
    pub(super) fn hang_up(&mut self, id: i64) {
        let now = self.now;
        if !self.life.rates.is_still() {
            self.end(id, now, false);
        } else if self.get(id).is_some_and(|record| is_open(&record.status)) {
            let at = self.life.dated(now);
            self.end_call(id, at, "completed");
        }
    }

    /// Starts an outbound call now, and returns its id.
    pub(super) fn dial(&mut self, from: &str, to: &str, agenda: Option<&str>) -> i64 {
        let now = self.now;
        let id = self.start_call(Some(self.life.dated(now)));
        let agenda = agenda.map_or_else(|| "null".to_owned(), string);
        let meta = format!(r#"{{"outbound":true,"agenda":{agenda}}}"#);
        self.update(id, |record| {
            record.to_phone_number = from.into();
            record.customer_phone_number = to.into();
            record.call_meta = Some(meta.into());
            record.status = OPEN[0].into();
        });
        if !self.life.rates.is_still() {
            self.plan_end(id, now);
        }
        id
    }

    fn plan_bill(&mut self, id: i64, now: Timestamp) {
        let wait = Duration::from_millis(self.life.inventor.rng.random_range(5_000..60_000));
        self.life.plan(now + wait, Event::Bill { id });
    }

    fn happen(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Begin => self.begin(at),
            Event::End { id, failed } => self.end(id, at, failed),
            Event::Bill { id } => {
                let Some(duration) = self.get(id).map(|record| record.duration) else {
                    return;
                };
                let seconds = duration.map_or(0, |seconds| seconds as u64);
                let costs = self.life.inventor.costs(seconds);
                self.update(id, |record| record.costs = Some(Box::new(costs)));
            }
            Event::Annotate => {
                if let Some(id) = self.any_id() {
                    let annotation = self.life.inventor.annotation();
                    self.merge_metadata(id, &annotation);
                }
            }
            Event::Delete => {
                let count = match self.life.inventor.one_in(20) {
                    true => self.life.inventor.rng.random_range(2..=10),
                    false => 1,
                };
                if let Some(first) = self.any_id() {
                    for id in self.ids_from(first, count) {
                        self.delete(id);
                    }
                }
            }
        }
    }

    fn begin(&mut self, at: Timestamp) {
        if self.life.inventor.one_in(100) {
            let id = self.start_call(None);
            self.plan_end(id, at);
        } else if self.life.inventor.one_in(50) {
            let late = Duration::from_secs(self.life.inventor.rng.random_range(300..3600));
            let Ending { failed, after } = self.life.inventor.ending();
            let id = self.start_call(Some(self.life.dated(at - late)));
            self.end(id, at - late + after.min(late), failed);
        } else {
            let id = self.start_call(Some(self.life.dated(at)));
            self.plan_end(id, at);
        }
    }

    pub(super) fn end(&mut self, id: i64, at: Timestamp, failed: bool) {
        // A test may have ended or deleted the call meanwhile.
        if !self.get(id).is_some_and(|record| is_open(&record.status)) {
            return;
        }
        let status = self.life.inventor.ended(failed);
        self.end_call(id, self.life.dated(at), &status);
        if self.flavour() == Flavour::Hosted {
            self.plan_bill(id, self.now);
        }
    }

    /// The id of a record drawn evenly from all.
    fn any_id(&mut self) -> Option<i64> {
        if self.is_empty() {
            return None;
        }
        let rank = self.life.inventor.rng.random_range(0..self.len());
        self.id_at(rank)
    }
}
