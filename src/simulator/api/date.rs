//! The dates that a filter takes, read by the parser on which pydantic is built.

use speedate::{Date, DateTime, MicrosecondsPrecisionOverflowBehavior, TimeConfig};
use strum::EnumMessage;

use crate::model::Timestamp;

/// The configuration that pydantic uses.
const TIME: TimeConfig = TimeConfig {
    microseconds_precision_overflow_behavior: MicrosecondsPrecisionOverflowBehavior::Truncate,
    unix_timestamp_offset: Some(0),
};

/// Reads a date, alone or with a time after `T`, `t`, `_` or a space, to the minute or finer, with
/// `Z` or an offset; or a Unix time in seconds or milliseconds. Without a zone it is UTC; the
/// second of the pair is true if there is one. A Unix time is a date in UTC, not a naive one.
pub(super) fn parse(text: &str) -> Result<(Timestamp, bool), &'static str> {
    let bytes = text.as_bytes();
    let (year, seconds, micros, zoned) = match DateTime::parse_bytes_with_config(bytes, &TIME) {
        Ok(read) => (
            read.date.year,
            read.timestamp_tz(),
            read.time.microsecond,
            read.time.tz_offset.is_some(),
        ),
        // The message of this parser is reported, not that of the first.
        Err(_) => match Date::parse_bytes(bytes) {
            Ok(read) => (read.year, read.timestamp(), 0, false),
            Err(why) => return Err(why.get_documentation().unwrap_or_default()),
        },
    };
    if year == 0 {
        return Err("year 0 is out of range");
    }
    let instant = Timestamp::from_micros(seconds * 1_000_000 + i64::from(micros));
    Ok((instant.clamp(Timestamp::MIN, Timestamp::MAX), zoned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_form_names_its_instant() {
        for (text, instant) in [
            ("2026-11-20", "2026-11-20T00:00:00"),
            ("2026-11-20T07:05", "2026-11-20T07:05:00"),
            ("2026-11-20 07:05:06", "2026-11-20T07:05:06"),
            ("2026-11-20T07:05:06.5Z", "2026-11-20T07:05:06.500000"),
            ("2026-11-20t07:05:06.1234567z", "2026-11-20T07:05:06.123456"),
            ("2026-11-20T00:00:00+05:30", "2026-11-19T18:30:00"),
            ("2026-11-20T00:00-0800", "2026-11-20T08:00:00"),
            ("1795132800", "2026-11-20T00:00:00"),
            ("1795132800000", "2026-11-20T00:00:00"),
            ("1795132800.25", "2026-11-20T00:00:00.250000"),
            ("0", "1970-01-01T00:00:00"),
        ] {
            let (parsed, _) = parse(text).unwrap();
            assert_eq!(parsed.to_naive(), instant, "{text}");
        }
    }

    #[test]
    fn a_date_is_zoned_where_it_names_a_zone_or_is_a_unix_time() {
        for text in ["2026-11-20", "2026-11-20T07:05", "2026-11-20 07:05:06.5"] {
            assert!(!parse(text).unwrap().1, "{text}");
        }
        for text in ["2026-11-20T07:05Z", "2026-11-20T07:05+00:00", "1795132800"] {
            assert!(parse(text).unwrap().1, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused_in_pydantics_words() {
        let extra = "unexpected extra characters at the end of the input";
        for (text, why) in [
            ("garbage", "input is too short"),
            ("2026-02-30", "day value is outside expected range"),
            (
                "2026-13-01",
                "month value is outside expected range of 1-12",
            ),
            ("2026/11/20", "invalid date separator, expected `-`"),
            ("abcd-11-20", "invalid character in year"),
            ("2026-11-20T00:00:00 05:30", extra),
            ("2026-11-20T25:00:00", extra),
            ("2026-11-20T", extra),
            ("2026-11-20é", extra),
            (
                "999999999999999",
                "dates after 9999 are not supported as unix timestamps",
            ),
            (
                "99999999999999999999",
                "invalid date separator, expected `-`",
            ),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
