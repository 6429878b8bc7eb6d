//! Rollups: calls counted by day, status and assistant, and by duration. The changes of one
//! transaction.

use std::collections::HashMap;

use rusqlite::Transaction;

use crate::model::Timestamp;
use crate::store::derived::facts::Facts;

/// The length of a `day`, in microseconds.
pub const DAY: i64 = 86_400_000_000;

/// The `day` of calls without a start.
pub const NO_DAY: i64 = -1_000_000;

#[derive(Clone, Copy, Default)]
struct Delta {
    calls: i64,
    timed: i64,
    instant: i64,
    duration_us: i64,
}

/// Seconds as whole microseconds, which add up exactly and can be subtracted again. A hostile
/// answer may have any number as a duration: one that does not fit becomes the nearest that does.
pub fn micros(seconds: f64) -> i64 {
    // The cast saturates.
    (seconds * 1e6).round() as i64
}

impl Delta {
    fn is_nothing(self) -> bool {
        self.calls == 0 && self.timed == 0 && self.instant == 0 && self.duration_us == 0
    }
}

/// The changes of one transaction, summed up before they are written.
#[derive(Default)]
pub struct Deltas {
    days: HashMap<(i64, String, i64), Delta>,
    /// By the bits of the duration in seconds.
    durations: HashMap<u64, i64>,
}

impl Deltas {
    /// `sign` is 1 for a call that is added, -1 for one that is removed.
    pub fn count(&mut self, call: &Facts<'_>, sign: i64) {
        let day = call.started_at.map_or(NO_DAY, Timestamp::day);
        let key = (day, call.status.to_owned(), call.assistant_id.unwrap_or(0));
        let delta = self.days.entry(key).or_default();
        delta.calls += sign;
        if let Some(duration) = call.duration {
            delta.timed += sign;
            delta.instant += if duration == 0.0 { sign } else { 0 };
            // The sum wraps around on overflow, and is exact again as soon as the true one fits.
            let duration_us = sign.wrapping_mul(micros(duration));
            delta.duration_us = delta.duration_us.wrapping_add(duration_us);
            *self.durations.entry(duration.to_bits()).or_default() += sign;
        }
    }

    pub fn write(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut totals: HashMap<(String, i64), Delta> = HashMap::new();
        let mut add = transaction.prepare_cached(
            "INSERT INTO rollups (day, status, assistant_id, calls, timed, instant, duration_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
                 timed = timed + excluded.timed, instant = instant + excluded.instant,
                 duration_us = wrap(duration_us, excluded.duration_us)",
        )?;
        let mut clear = transaction.prepare_cached(
            "DELETE FROM rollups WHERE day = ?1 AND status = ?2 AND assistant_id = ?3 AND calls = 0",
        )?;
        for ((day, status, assistant_id), delta) in self.days {
            if delta.is_nothing() {
                continue;
            }
            add.execute((
                day,
                &status,
                assistant_id,
                delta.calls,
                delta.timed,
                delta.instant,
                delta.duration_us,
            ))?;
            if delta.calls < 0 {
                clear.execute((day, &status, assistant_id))?;
            }
            let total = totals.entry((status, assistant_id)).or_default();
            total.calls += delta.calls;
            total.timed += delta.timed;
            total.duration_us = total.duration_us.wrapping_add(delta.duration_us);
        }
        write_totals(transaction, totals)?;
        write_durations(transaction, self.durations)
    }
}

fn write_totals(
    transaction: &Transaction<'_>,
    totals: HashMap<(String, i64), Delta>,
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO totals (status, assistant_id, calls, timed, duration_us)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
             timed = timed + excluded.timed, duration_us = wrap(duration_us, excluded.duration_us)",
    )?;
    let mut clear = transaction.prepare_cached(
        "DELETE FROM totals WHERE status = ?1 AND assistant_id = ?2 AND calls = 0",
    )?;
    for ((status, assistant_id), delta) in totals {
        if delta.is_nothing() {
            continue;
        }
        add.execute((
            &status,
            assistant_id,
            delta.calls,
            delta.timed,
            delta.duration_us,
        ))?;
        if delta.calls < 0 {
            clear.execute((&status, assistant_id))?;
        }
    }
    Ok(())
}

fn write_durations(
    transaction: &Transaction<'_>,
    durations: HashMap<u64, i64>,
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(
        "INSERT INTO durations (duration, calls) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET calls = calls + excluded.calls",
    )?;
    let mut clear =
        transaction.prepare_cached("DELETE FROM durations WHERE duration = ?1 AND calls = 0")?;
    for (bits, calls) in durations {
        let duration = f64::from_bits(bits);
        if calls != 0 {
            add.execute((duration, calls))?;
        }
        if calls < 0 {
            clear.execute([duration])?;
        }
    }
    Ok(())
}
