//! Instants as the upstream's PostgreSQL stores them: whole microseconds, UTC.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// An instant in microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The unit in which a server writes instants: a decimal fraction of a second, from 1 µs to 1 s.
/// The server may store finer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit(i64);

impl Unit {
    pub const MICROSECOND: Unit = Unit(1);
    pub const SECOND: Unit = Unit(1_000_000);

    /// The unit in microseconds, a power of ten.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

/// The error for a text that is not an instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a date-time of the form 2026-11-17T09:16:30[.500000][Z|+02:00], year 1 to 9999")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The earliest instant the upstream can hold, 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800_000_000);
    /// The latest instant the upstream can hold, 9999-12-31T23:59:59.999999Z.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

    /// Creates an instant from microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The system's clock. Only `app` and `cli` read it; everything else is given the time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the clock"
    )]
    pub fn now() -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }

    /// Parses the date-time of a call record, with `Z`, with an offset, or naive, which means UTC.
    /// Digits beyond the microsecond, which the upstream never sends, are cut off.
    ///
    /// ```
    /// use burki_edge::model::Timestamp;
    ///
    /// let hosted = Timestamp::parse("2026-11-17T09:16:30.500000Z")?;
    /// let self_hosted = Timestamp::parse("2026-11-17T09:16:30.500000")?;
    /// assert_eq!(hosted, self_hosted);
    /// # Ok::<(), burki_edge::model::InvalidTimestamp>(())
    /// ```
    pub fn parse(text: &str) -> Result<Timestamp, InvalidTimestamp> {
        let micros = match DateTime::parse_from_rfc3339(text) {
            Ok(zoned) => zoned.timestamp_micros(),
            Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
                .map_err(|_| InvalidTimestamp)?
                .and_utc()
                .timestamp_micros(),
        };
        let instant = Timestamp(micros);
        if (Timestamp::MIN..=Timestamp::MAX).contains(&instant) {
            Ok(instant)
        } else {
            Err(InvalidTimestamp)
        }
    }

    /// The form that every upstream reads as UTC: naive, with six digits only if there is a
    /// fraction, as the self-hosted server writes it. Exact for `MIN..=MAX`.
    pub fn to_naive(self) -> String {
        let form = if self.0.rem_euclid(1_000_000) == 0 {
            "%Y-%m-%dT%H:%M:%S"
        } else {
            "%Y-%m-%dT%H:%M:%S%.6f"
        };
        self.to_chrono().format(form).to_string()
    }

    /// The coarsest unit of which the instant is a whole multiple.
    ///
    /// ```
    /// use burki_edge::model::{Timestamp, Unit};
    ///
    /// assert_eq!(Timestamp::parse("2026-11-17T09:16:30Z")?.unit(), Unit::SECOND);
    /// assert_eq!(Timestamp::parse("2026-11-17T09:16:30.221Z")?.unit().as_micros(), 1000);
    /// # Ok::<(), burki_edge::model::InvalidTimestamp>(())
    /// ```
    pub fn unit(self) -> Unit {
        let mut unit = Unit::SECOND;
        while self.0.rem_euclid(unit.0) != 0 {
            unit = Unit(unit.0 / 10);
        }
        unit
    }

    /// The latest multiple of `unit` that is not after this instant.
    pub fn floor(self, unit: Unit) -> Timestamp {
        Timestamp(self.0.div_euclid(unit.0) * unit.0)
    }

    /// Days since 1970-01-01 in UTC: the day under which a call is counted.
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000_000)
    }

    /// Time since `earlier`; zero if the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn to_chrono(self) -> DateTime<Utc> {
        let clamped = self.clamp(Timestamp::MIN, Timestamp::MAX);
        DateTime::from_timestamp_micros(clamped.0).unwrap_or_default()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, span: Duration) -> Timestamp {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, span: Duration) -> Timestamp {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(micros))
    }
}

/// RFC 3339 with `Z`: the form of the edge's own JSON.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &self
                .to_chrono()
                .to_rfc3339_opts(SecondsFormat::AutoSi, true),
        )
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_flavours_of_a_date_are_the_same_instant() {
        let naive = Timestamp::parse("2026-11-17T09:16:30.500000").unwrap();
        assert_eq!(Timestamp::parse("2026-11-17T09:16:30.500000Z"), Ok(naive));
        assert_eq!(Timestamp::parse("2026-11-17T11:16:30.5+02:00"), Ok(naive));
        assert_eq!(naive.to_naive(), "2026-11-17T09:16:30.500000");
        assert_eq!(naive.to_string(), "2026-11-17T09:16:30.500Z");
    }

    #[test]
    fn a_whole_second_is_asked_for_without_a_fraction() {
        let whole = Timestamp::parse("2026-08-15T07:16:08").unwrap();
        assert_eq!(whole.to_naive(), "2026-08-15T07:16:08");
    }

    #[test]
    fn the_ends_of_time_survive_a_round_trip() {
        for end in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(-1)] {
            assert_eq!(Timestamp::parse(&end.to_naive()), Ok(end));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026-11-17",
            "2026-02-30T00:00:00",
            "+10000-01-01T00:00:00Z",
            "0000-12-31T00:00:00",
        ] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTimestamp), "{text:?}");
        }
    }

    #[test]
    fn days_before_the_epoch_count_downwards() {
        assert_eq!(Timestamp::from_micros(-1).day(), -1);
        assert_eq!(Timestamp::from_micros(86_400_000_000).day(), 1);
    }
}
