//! Aggregates of calls, from the rollups.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::Timestamp;
use crate::store::derived::day_ranges::{DayRange, pieces};
use crate::store::derived::rollups::{DAY, micros};
use crate::store::error::StoreError;
use crate::store::read::reader::Reader;

/// The number of calls, and the durations of those that completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Calls of any status.
    pub calls: u64,
    /// Completed calls whose duration is known.
    pub timed: u64,
    /// Their sum, in microseconds; beyond 64 bits it wraps around.
    pub total_us: i64,
}

/// Aggregates of the calls in a range of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analytics {
    pub calls: u64,
    pub completed: u64,
    pub failed: u64,
    pub ongoing: u64,
    /// Completed calls whose duration is known and not 0: here the upstream counts 0 as unknown.
    pub timed: u64,
    /// The sum of their durations, in microseconds; beyond 64 bits it wraps around.
    pub duration_us: i64,
    /// UTC days that have a call, ascending.
    pub days: Vec<Day>,
    /// Most calls first, then by id. Calls without an assistant are left out.
    pub assistants: Vec<Assistant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i64,
    pub calls: u64,
    pub completed: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assistant {
    pub id: i64,
    /// The name in the call of the range that is first in a list: that of the latest start, then of
    /// the highest id. `None` if that call has no name, even if an earlier one has.
    pub name: Option<String>,
    pub calls: u64,
    /// The summed duration of all its calls, in microseconds; beyond 64 bits it wraps around.
    pub duration_us: i64,
}

impl Reader {
    /// The number of calls, and the durations of those that completed.
    pub fn durations(&self) -> Result<Durations, StoreError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT status, calls, timed, duration_us FROM totals")?;
        let sums = select.query_map([], |row| {
            let completed = row.get_ref(0)?.as_str()? == "completed";
            Ok((completed, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let mut durations = Durations::default();
        for sum in sums {
            let (completed, calls, timed, total): (bool, u64, u64, i64) = sum?;
            durations.calls += calls;
            if completed {
                durations.timed += timed;
                durations.total_us = durations.total_us.wrapping_add(total);
            }
        }
        Ok(durations)
    }

    /// Aggregates of the calls that started within the inclusive bounds.
    pub fn analytics(&self, from: Timestamp, to: Timestamp) -> Result<Analytics, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let mut sums = Sums::default();
        for piece in pieces(from, to) {
            match piece {
                DayRange::Days(first, last) => sums.add_days(&snapshot, first, last)?,
                DayRange::More(from, to) => sums.add_calls(&snapshot, from, to, 1)?,
                DayRange::Less(from, to) => sums.add_calls(&snapshot, from, to, -1)?,
            }
        }
        sums.tell_zero_from_none(&snapshot, from, to)?;
        sums.finish(&snapshot, from, to)
    }
}

/// Sums to which the parts of a range are added, or from which they are subtracted. Sums of
/// durations wrap around.
#[derive(Default)]
struct Sums {
    ongoing: i64,
    timed: i64,
    duration_us: i64,
    /// By day: calls, completed, failed.
    days: BTreeMap<i64, [i64; 3]>,
    /// By assistant: calls, and the sum of their durations in microseconds.
    assistants: HashMap<i64, (i64, i64)>,
}

/// Calls of one day, status and assistant.
struct Group<'a> {
    day: i64,
    status: &'a str,
    assistant_id: i64,
    calls: i64,
    /// Calls whose duration is known and not 0.
    timed: i64,
    duration_us: i64,
}

impl Sums {
    fn add(&mut self, group: &Group<'_>) {
        let (completed, failed) = (group.status == "completed", group.status == "failed");
        if group.status == "ongoing" {
            self.ongoing += group.calls;
        }
        if completed {
            self.timed += group.timed;
            self.duration_us = self.duration_us.wrapping_add(group.duration_us);
        }
        let day = self.days.entry(group.day).or_default();
        day[0] += group.calls;
        day[1] += if completed { group.calls } else { 0 };
        day[2] += if failed { group.calls } else { 0 };
        let assistant = self.assistants.entry(group.assistant_id).or_default();
        assistant.0 += group.calls;
        assistant.1 = assistant.1.wrapping_add(group.duration_us);
    }

    fn add_days(&mut self, connection: &Connection, first: i64, last: i64) -> rusqlite::Result<()> {
        let mut select = connection.prepare_cached(
            "SELECT day, status, assistant_id, calls, timed - instant, duration_us FROM rollups
             WHERE day BETWEEN ?1 AND ?2",
        )?;
        let mut rows = select.query((first, last))?;
        while let Some(row) = rows.next()? {
            self.add(&Group {
                day: row.get(0)?,
                status: row.get_ref(1)?.as_str()?,
                assistant_id: row.get(2)?,
                calls: row.get(3)?,
                timed: row.get(4)?,
                duration_us: row.get(5)?,
            });
        }
        Ok(())
    }

    fn add_calls(
        &mut self,
        connection: &Connection,
        from: i64,
        to: i64,
        sign: i64,
    ) -> rusqlite::Result<()> {
        let mut select = connection.prepare_cached(
            "SELECT started_at, status, assistant_id, duration FROM calls INDEXED BY calls_by_start
             WHERE started_at BETWEEN ?1 AND ?2",
        )?;
        let mut rows = select.query((from, to))?;
        while let Some(row) = rows.next()? {
            let duration = row.get::<_, Option<f64>>(3)?.unwrap_or(0.0);
            self.add(&Group {
                day: row.get::<_, i64>(0)?.div_euclid(DAY),
                status: row.get_ref(1)?.as_str()?,
                assistant_id: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
                calls: sign,
                timed: if duration == 0.0 { 0 } else { sign },
                duration_us: micros(duration).wrapping_mul(sign),
            });
        }
        Ok(())
    }

    /// Replaces the sum of assistant 0, which also counts calls without an assistant. An upstream
    /// could have an assistant 0; its few calls are counted by their index.
    fn tell_zero_from_none(
        &mut self,
        connection: &Connection,
        from: Timestamp,
        to: Timestamp,
    ) -> rusqlite::Result<()> {
        if self.assistants.remove(&0).is_none() {
            return Ok(());
        }
        let mut select = connection.prepare_cached(
            "SELECT duration FROM calls INDEXED BY calls_by_assistant
             WHERE assistant_id = 0 AND started_at BETWEEN ?1 AND ?2",
        )?;
        let mut rows = select.query((from.as_micros(), to.as_micros()))?;
        while let Some(row) = rows.next()? {
            let zero = self.assistants.entry(0).or_default();
            zero.0 += 1;
            let duration = row.get::<_, Option<f64>>(0)?.unwrap_or(0.0);
            zero.1 = zero.1.wrapping_add(micros(duration));
        }
        Ok(())
    }

    fn finish(
        self,
        connection: &Connection,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Analytics, StoreError> {
        // In one state of the file no count is negative.
        let count = |calls: i64| u64::try_from(calls).unwrap_or(0);
        let mut analytics = Analytics {
            ongoing: count(self.ongoing),
            timed: count(self.timed),
            duration_us: self.duration_us,
            ..Analytics::default()
        };
        for (day, [calls, completed, failed]) in self.days {
            if calls == 0 {
                continue;
            }
            let day = Day {
                day,
                calls: count(calls),
                completed: count(completed),
                failed: count(failed),
            };
            analytics.calls += day.calls;
            analytics.completed += day.completed;
            analytics.failed += day.failed;
            analytics.days.push(day);
        }
        let mut latest = connection.prepare_cached(
            "SELECT assistant_name FROM calls INDEXED BY calls_by_assistant
             WHERE assistant_id = ?1 AND started_at BETWEEN ?2 AND ?3
             ORDER BY started_at DESC, id DESC LIMIT 1",
        )?;
        for (id, (calls, duration_us)) in self.assistants {
            if calls == 0 {
                continue;
            }
            let bounds = (id, from.as_micros(), to.as_micros());
            let name = |row: &Row<'_>| row.get(0);
            analytics.assistants.push(Assistant {
                id,
                name: latest.query_row(bounds, name).optional()?.flatten(),
                calls: count(calls),
                duration_us,
            });
        }
        analytics
            .assistants
            .sort_by_key(|assistant| (std::cmp::Reverse(assistant.calls), assistant.id));
        Ok(analytics)
    }
}
