//! How many calls match a filter, as far as the rollups count them.

use rusqlite::{Connection, params};

use crate::model::{CallFilter, Timestamp};
use crate::store::derived::day_ranges::{self, DayRange};
use crate::store::derived::rollups::DAY;

/// True if the rollups by day count all that the filter asks for. Under assistant 0 they also count
/// calls without an assistant, which a filter for assistant 0 does not mean.
pub fn by_day(filter: &CallFilter) -> bool {
    filter.assistant_id != Some(0)
        && filter.customer_phone.is_none()
        && filter.call_sid.is_none()
        && filter.assistant_name.is_none()
        && filter.min_duration.is_none()
        && filter.max_duration.is_none()
}

pub fn all(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(sum(calls), 0) FROM totals")?
        .query_row([], |row| row.get(0))
}

pub fn of_status(connection: &Connection, status: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(sum(calls), 0) FROM totals WHERE status = ?1")?
        .query_row([status], |row| row.get(0))
}

/// For assistant 0, an upper bound: see [`by_day`].
pub fn of_assistant(connection: &Connection, id: i64) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(sum(calls), 0) FROM totals WHERE assistant_id = ?1")?
        .query_row([id], |row| row.get(0))
}

pub fn of_durations(connection: &Connection, bounds: [f64; 2]) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT coalesce(sum(calls), 0) FROM durations WHERE duration BETWEEN ?1 AND ?2",
        )?
        .query_row(bounds, |row| row.get(0))
}

/// The calls of the days that a dated filter touches, whatever else it asks for.
pub fn touched_days(connection: &Connection, filter: &CallFilter) -> rusqlite::Result<u64> {
    let (from, to) = bounds(filter);
    connection
        .prepare_cached("SELECT coalesce(sum(calls), 0) FROM rollups WHERE day BETWEEN ?1 AND ?2")?
        .query_row((from.day(), to.day()), |row| row.get(0))
}

/// The number of calls that match a filter that is [`by_day`].
pub fn of_days(connection: &Connection, filter: &CallFilter) -> rusqlite::Result<u64> {
    if !filter.is_dated() {
        return connection
            .prepare_cached(
                "SELECT coalesce(sum(calls), 0) FROM totals
                 WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR assistant_id = ?2)",
            )?
            .query_row(params![filter.status, filter.assistant_id], |row| {
                row.get(0)
            });
    }
    let (from, to) = bounds(filter);
    let mut in_days = connection.prepare_cached(
        "SELECT coalesce(sum(calls), 0) FROM rollups WHERE day BETWEEN ?1 AND ?2
             AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR assistant_id = ?4)",
    )?;
    day_ranges::sum(from, to, |piece| match piece {
        DayRange::Days(first, last) => in_days.query_row(
            params![first, last, filter.status, filter.assistant_id],
            |row| row.get(0),
        ),
        DayRange::More(from, to) | DayRange::Less(from, to) => {
            between(connection, filter, from, to)
        }
    })
}

/// The number of calls between inclusive bounds that match all but the filter's dates.
pub fn between(
    connection: &Connection,
    filter: &CallFilter,
    from: i64,
    to: i64,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM calls INDEXED BY calls_by_start
             WHERE started_at BETWEEN ?1 AND ?2
                 AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR assistant_id = ?4)",
        )?
        .query_row(
            params![from, to, filter.status, filter.assistant_id],
            |row| row.get(0),
        )
}

/// The filter's dates, within the limits of a call's start.
pub fn bounds(filter: &CallFilter) -> (Timestamp, Timestamp) {
    (
        filter
            .date_from
            .unwrap_or(Timestamp::MIN)
            .max(Timestamp::MIN),
        filter.date_to.unwrap_or(Timestamp::MAX).min(Timestamp::MAX),
    )
}

/// The last microsecond before a day, from which a list continues that has passed the day.
pub fn before(day: i64) -> i64 {
    day * DAY - 1
}
