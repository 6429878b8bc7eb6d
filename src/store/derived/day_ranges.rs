//! Ranges of time as whole days, which the rollups count, and partial days, which an index counts.
//! An index is read for at most half a day at either end.

use rusqlite::Connection;

use crate::model::Timestamp;
use crate::store::derived::rollups::DAY;

/// A part of a range, with inclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRange {
    /// Whole days since 1970-01-01.
    Days(i64, i64),
    /// Microseconds to add to the whole days.
    More(i64, i64),
    /// Microseconds to subtract from the whole days.
    Less(i64, i64),
}

/// The parts whose sum is the range between the inclusive bounds.
pub fn pieces(from: Timestamp, to: Timestamp) -> Vec<DayRange> {
    // No call starts outside these, and within them no arithmetic on days overflows.
    let from = from.max(Timestamp::MIN).as_micros();
    let to = to.min(Timestamp::MAX).as_micros();
    if from > to {
        return Vec::new();
    }
    let (mut first, mut last) = (from.div_euclid(DAY), to.div_euclid(DAY));
    if first == last && to - from < DAY / 2 {
        return vec![DayRange::More(from, to)];
    }
    let one = first == last;
    let mut pieces = Vec::new();
    let (midnight, next) = (first * DAY, (first + 1) * DAY);
    if from > midnight {
        if one || from - midnight <= DAY / 2 {
            pieces.push(DayRange::Less(midnight, from - 1));
        } else {
            pieces.push(DayRange::More(from, next - 1));
            first += 1;
        }
    }
    let (midnight, end) = (last * DAY, (last + 1) * DAY - 1);
    if to < end {
        if one || end - to <= DAY / 2 {
            pieces.push(DayRange::Less(to + 1, end));
        } else {
            pieces.push(DayRange::More(midnight, to));
            last -= 1;
        }
    }
    if first <= last {
        pieces.push(DayRange::Days(first, last));
    }
    pieces
}

/// The number of calls that started within the inclusive bounds.
pub fn count(connection: &Connection, from: Timestamp, to: Timestamp) -> rusqlite::Result<u64> {
    let mut days = connection.prepare_cached(
        "SELECT coalesce(sum(calls), 0) FROM rollups WHERE day BETWEEN ?1 AND ?2",
    )?;
    let mut calls = connection.prepare_cached(
        "SELECT count(*) FROM calls INDEXED BY calls_by_start WHERE started_at BETWEEN ?1 AND ?2",
    )?;
    sum(from, to, |piece| match piece {
        DayRange::Days(first, last) => days.query_row((first, last), |row| row.get(0)),
        DayRange::More(from, to) | DayRange::Less(from, to) => {
            calls.query_row((from, to), |row| row.get(0))
        }
    })
}

/// The sum of what `count` returns for the parts, those of [`DayRange::Less`] subtracted.
pub fn sum(
    from: Timestamp,
    to: Timestamp,
    mut count: impl FnMut(DayRange) -> rusqlite::Result<i64>,
) -> rusqlite::Result<u64> {
    let mut sum = 0;
    for piece in pieces(from, to) {
        let calls = count(piece)?;
        sum += if matches!(piece, DayRange::Less(..)) {
            -calls
        } else {
            calls
        };
    }
    // In one state of the file the sum is never negative.
    Ok(u64::try_from(sum).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_stretch_and_jut_out_by_half_a_day_at_most() {
        let hours = |hours: i64| Timestamp::from_micros(hours * DAY / 24);
        for from in -50..50 {
            for to in -50..50 {
                let to_at = Timestamp::from_micros(hours(to).as_micros() - 1);
                let length: i64 = pieces(hours(from), to_at)
                    .into_iter()
                    .map(|piece| match piece {
                        DayRange::Days(first, last) => (last - first + 1) * DAY,
                        DayRange::More(from, to) | DayRange::Less(from, to) => {
                            assert!((1..=DAY / 2).contains(&(to - from + 1)));
                            let sign = if matches!(piece, DayRange::More(..)) {
                                1
                            } else {
                                -1
                            };
                            sign * (to - from + 1)
                        }
                    })
                    .sum();
                assert_eq!(length, (to - from).max(0) * DAY / 24);
            }
        }
        let whole = pieces(
            Timestamp::from_micros(i64::MIN),
            Timestamp::from_micros(i64::MAX),
        );
        assert!(matches!(whole[..], [DayRange::Days(..)]));
    }
}
