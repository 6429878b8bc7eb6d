//! Aggregates over many calls: `stats` and `analytics`.
//!
//! Each reads every call in its scope.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::error;
use super::exchange::ApiResponse;
use super::params::{Query, Reader};
use crate::model::Timestamp;
use crate::simulator::object::{Object, list};
use crate::simulator::record::{Flavour, Record};
use crate::simulator::world::World;

/// The periods and their lengths in days.
const PERIODS: [(&str, u64); 4] = [("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90)];

/// How many assistants `analytics` lists.
const TOP: usize = 10;

/// The status that every aggregate counts.
const COMPLETED: &str = "completed";

#[derive(Default)]
struct Day {
    total: i64,
    completed: i64,
    failed: i64,
}

#[derive(Default)]
struct Assistant<'a> {
    name: Option<&'a str>,
    calls: i64,
    duration: f64,
}

/// The sum of durations in seconds, and their number.
#[derive(Default)]
struct Durations {
    sum: f64,
    count: i64,
}

impl Durations {
    fn add(&mut self, seconds: f64) {
        self.sum += seconds;
        self.count += 1;
    }

    fn average(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / self.count as f64
        }
    }
}

impl World {
    /// Aggregates all calls. A duration of zero counts.
    pub(super) fn stats(&self) -> ApiResponse {
        let mut durations = Durations::default();
        let completed = self.order(Some(COMPLETED));
        let places = completed.map(|order| order.places()).unwrap_or_default();
        for record in places.iter().filter_map(|(_, id)| self.get(*id)) {
            if let Some(seconds) = record.duration {
                durations.add(seconds);
            }
        }
        let total = self.len();
        let body = Object::new(self.flavour())
            .raw("total_calls", Some(&total.to_string()))
            .raw("total_duration", Some(&durations.sum.to_string()))
            .float("average_duration", Some(durations.average()));
        ApiResponse::json(200, body.end())
    }

    /// Aggregates the calls that started within the period.
    pub(super) fn analytics(&self, query: &Query) -> ApiResponse {
        let mut reader = Reader::new(query, &self.config);
        let period = reader.choice("period", &PERIODS.map(|(name, _)| name), "7d");
        if !reader.errors.is_empty() {
            return error::unprocessable(self.flavour(), &reader.errors);
        }
        let days = PERIODS.iter().find(|(name, _)| *name == period);
        let span = Duration::from_secs(86_400 * days.map_or(7, |(_, days)| *days));
        let places = match self.order(None) {
            Some(order) => order.range(Some(self.now - span), None),
            None => &[],
        };
        // Newest first, because an assistant's name is that of its newest call.
        let records = places.iter().rev().filter_map(|(_, id)| self.get(*id));
        ApiResponse::json(200, analytics(self.flavour(), records))
    }
}

fn analytics<'a>(flavour: Flavour, records: impl Iterator<Item = &'a Record>) -> String {
    let mut durations = Durations::default();
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    let mut assistants: BTreeMap<i64, Assistant<'_>> = BTreeMap::new();
    let (mut total, mut completed, mut failed, mut ongoing) = (0, 0, 0, 0);
    for record in records {
        let day = days
            .entry(record.started_at.map_or(0, Timestamp::day))
            .or_default();
        let assistant = assistants.entry(record.assistant_id).or_default();
        // Python takes zero for no duration here.
        let seconds = record.duration.filter(|seconds| *seconds != 0.0);
        total += 1;
        day.total += 1;
        match &*record.status {
            COMPLETED => {
                completed += 1;
                day.completed += 1;
                seconds
                    .into_iter()
                    .for_each(|seconds| durations.add(seconds));
            }
            "failed" => {
                failed += 1;
                day.failed += 1;
            }
            "ongoing" => ongoing += 1,
            _ => {}
        }
        assistant.name = assistant.name.or(record.assistant_name.as_deref());
        assistant.calls += 1;
        assistant.duration += seconds.unwrap_or(0.0);
    }
    let rate = match total {
        0 => 0.0,
        _ => f64::from(completed) / f64::from(total) * 100.0,
    };
    let daily = days
        .iter()
        .fold(Object::new(flavour), |daily, (day, figures)| {
            let figures = Object::new(flavour)
                .integer("total", Some(figures.total))
                .integer("completed", Some(figures.completed))
                .integer("failed", Some(figures.failed));
            let start = Timestamp::from_micros(day * 86_400_000_000).to_naive();
            daily.raw(start.get(..10).unwrap_or_default(), Some(&figures.end()))
        });
    let mut top: Vec<(i64, Assistant<'_>)> = assistants.into_iter().collect();
    // The sort is stable: among equal numbers of calls, the lowest id is first.
    top.sort_by_key(|(_, assistant)| Reverse(assistant.calls));
    let top = top.iter().take(TOP).map(|(id, assistant)| {
        Object::new(flavour)
            .integer("assistant_id", Some(*id))
            .text("assistant_name", Some(assistant.name.unwrap_or("Unknown")))
            .integer("calls", Some(assistant.calls))
            .float("duration", Some(assistant.duration))
            .end()
    });
    Object::new(flavour)
        .integer("total_calls", Some(i64::from(total)))
        .integer("completed_calls", Some(i64::from(completed)))
        .integer("failed_calls", Some(failed))
        .integer("ongoing_calls", Some(ongoing))
        .float("total_duration", Some(durations.sum))
        .float("avg_duration", Some(durations.average()))
        .float("success_rate", Some(rate))
        .raw("daily_stats", Some(&daily.end()))
        .raw("top_assistants", Some(&list(top)))
        .end()
}
