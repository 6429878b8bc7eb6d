//! Skipping whole days of a list.

use rusqlite::{Connection, params};

use crate::model::CallFilter;
use crate::store::derived::rollups::NO_DAY;
use crate::store::lists::known_counts::{before, between, bounds};
use crate::store::lists::sql::Reach;

/// Fewer calls are skipped one by one.
const WORTH_IT: u64 = 500;

/// The reach of a list after its first `skip` matches, and how many of them, fewer than a day's,
/// are still to be skipped in it. The filter must be [`by_day`](super::known_counts::by_day) and
/// have more matches.
pub fn skip_days(
    connection: &Connection,
    filter: &CallFilter,
    mut reach: Reach,
    skip: u64,
) -> rusqlite::Result<(Reach, u64)> {
    if skip < WORTH_IT {
        return Ok((reach, skip));
    }
    let mut skip = skip;
    let mut passes = |calls: u64| {
        let passed = skip >= calls;
        skip -= if passed { calls } else { 0 };
        passed
    };
    if reach.nulls {
        let nulls = connection
            .prepare_cached(
                "SELECT coalesce(sum(calls), 0) FROM rollups WHERE day = ?1
                     AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR assistant_id = ?3)",
            )?
            .query_row(params![NO_DAY, filter.status, filter.assistant_id], |row| {
                row.get(0)
            })?;
        if !passes(nulls) {
            return Ok((reach, skip));
        }
        reach.nulls = false;
    }
    let (_, to) = bounds(filter);
    let mut top = to.day();
    if to.as_micros() < before(top + 1) {
        let first = before(top) + 1;
        let calls = between(connection, filter, first, to.as_micros())?;
        // A count is never negative.
        if !passes(u64::try_from(calls).unwrap_or(0)) {
            return Ok((reach, skip));
        }
        reach.to = Some(before(top));
        top -= 1;
    }
    let mut days = connection.prepare_cached(
        "SELECT day, sum(calls) FROM rollups WHERE day <= ?1 AND day > ?2
             AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR assistant_id = ?4)
         GROUP BY day ORDER BY day DESC",
    )?;
    let mut days = days.query(params![top, NO_DAY, filter.status, filter.assistant_id])?;
    while let Some(row) = days.next()? {
        if !passes(row.get(1)?) {
            break;
        }
        // The rollup of the filter's first day may include earlier calls. The list ends in that
        // day, so it is never passed.
        reach.to = Some(before(row.get(0)?));
    }
    Ok((reach, skip))
}
