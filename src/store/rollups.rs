//! Calls counted by day, status and assistant: the deltas of one transaction.

use std::collections::HashMap;

use rusqlite::Transaction;

use crate::model::{Call, Timestamp};

/// The length of a `day`, in microseconds.
pub const DAY: i64 = 86_400_000_000;

/// The `day` of calls that never started.
pub const NO_DAY: i64 = -1_000_000;

/// What a call is counted under.
pub struct Counted {
    day: i64,
    status: String,
    assistant_id: i64,
    duration: Option<i64>,
}

impl Counted {
    pub fn new(
        started_at: Option<Timestamp>,
        status: &str,
        assistant_id: Option<i64>,
        duration: Option<i64>,
    ) -> Counted {
        Counted {
            day: started_at.map_or(NO_DAY, Timestamp::day),
            status: status.to_owned(),
            assistant_id: assistant_id.unwrap_or(0),
            duration,
        }
    }
}

impl From<&Call> for Counted {
    fn from(call: &Call) -> Counted {
        Counted::new(
            call.started_at,
            &call.status,
            call.assistant_id,
            call.duration,
        )
    }
}

#[derive(Default)]
struct Delta {
    calls: i64,
    timed: i64,
    duration: i64,
}

/// What a transaction adds and takes away, summed before it is written.
#[derive(Default)]
pub struct Deltas(HashMap<(i64, String, i64), Delta>);

impl Deltas {
    pub fn add(&mut self, call: Counted) {
        self.count(call, 1);
    }

    pub fn subtract(&mut self, call: Counted) {
        self.count(call, -1);
    }

    fn count(&mut self, call: Counted, sign: i64) {
        let delta = self
            .0
            .entry((call.day, call.status, call.assistant_id))
            .or_default();
        delta.calls += sign;
        if let Some(duration) = call.duration {
            delta.timed += sign;
            // A duration from a hostile answer may be any integer; a sum must not panic over it.
            delta.duration = delta.duration.wrapping_add(sign.wrapping_mul(duration));
        }
    }

    pub fn write(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut add = transaction.prepare_cached(
            "INSERT INTO rollups (day, status, assistant_id, calls, timed, duration)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
                 timed = timed + excluded.timed, duration = duration + excluded.duration",
        )?;
        let mut clear = transaction.prepare_cached(
            "DELETE FROM rollups WHERE day = ?1 AND status = ?2 AND assistant_id = ?3 AND calls = 0",
        )?;
        for ((day, status, assistant_id), delta) in self.0 {
            if delta.calls == 0 && delta.timed == 0 && delta.duration == 0 {
                continue;
            }
            add.execute((
                day,
                &status,
                assistant_id,
                delta.calls,
                delta.timed,
                delta.duration,
            ))?;
            if delta.calls < 0 {
                clear.execute((day, &status, assistant_id))?;
            }
        }
        Ok(())
    }
}
