//! A date in a query, in any form that pydantic accepts for `Optional[datetime]`.
//!
//! It is parsed by the library on which pydantic itself is built, at the version of pydantic 2.11:
//! no code of ours would treat a Unix time with a fraction in the same way.

use speedate::{Date, DateTime, MicrosecondsPrecisionOverflowBehavior, TimeConfig};
use strum::EnumMessage;

use crate::model::Timestamp;

/// Why a text is no date, with pydantic's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidDate {
    /// Neither a date-time nor a date.
    Form(&'static str),
    /// Well formed, but Python has no such year.
    Year(&'static str),
}

const YEAR_ZERO: &str = "year 0 is out of range";

/// As pydantic configures it.
const TIME: TimeConfig = TimeConfig {
    microseconds_precision_overflow_behavior: MicrosecondsPrecisionOverflowBehavior::Truncate,
    unix_timestamp_offset: Some(0),
};

/// The instant; a date without a zone is in UTC. A date that its offset moves out of the years 1 to
/// 9999 becomes their end.
pub fn date(text: &str) -> Result<Timestamp, InvalidDate> {
    let bytes = text.as_bytes();
    let (year, seconds, micros) = match DateTime::parse_bytes_with_config(bytes, &TIME) {
        Ok(read) => (read.date.year, read.timestamp_tz(), read.time.microsecond),
        // The second parser's error is the one in the message, too.
        Err(_) => match Date::parse_bytes(bytes) {
            Ok(read) => (read.year, read.timestamp(), 0),
            Err(why) => {
                let why = why.get_documentation().unwrap_or_default();
                return Err(InvalidDate::Form(why));
            }
        },
    };
    if year == 0 {
        return Err(InvalidDate::Year(YEAR_ZERO));
    }
    let instant = Timestamp::from_micros(seconds * 1_000_000 + i64::from(micros));
    Ok(instant.clamp(Timestamp::MIN, Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    const SHORT: InvalidDate = InvalidDate::Form("input is too short");
    const EXTRA: InvalidDate =
        InvalidDate::Form("unexpected extra characters at the end of the input");
    const DASH: InvalidDate = InvalidDate::Form("invalid date separator, expected `-`");
    const IN_YEAR: InvalidDate = InvalidDate::Form("invalid character in year");
    const IN_MONTH: InvalidDate = InvalidDate::Form("invalid character in month");
    const IN_DAY: InvalidDate = InvalidDate::Form("invalid character in day");
    const MONTH: InvalidDate = InvalidDate::Form("month value is outside expected range of 1-12");
    const DAY: InvalidDate = InvalidDate::Form("day value is outside expected range");
    const LATE: InvalidDate =
        InvalidDate::Form("dates after 9999 are not supported as unix timestamps");
    const EARLY: InvalidDate =
        InvalidDate::Form("dates before 0000 are not supported as unix timestamps");
    const YEAR_0: InvalidDate = InvalidDate::Year(YEAR_ZERO);

    /// Microseconds since 1970: what pydantic 2.11.10 made of each, as Python's
    /// `TypeAdapter(Optional[datetime])` returned it.
    const READ: &[(&str, i64)] = &[
        ("2026-11-20", 1_795_132_800_000_000),
        ("2026-11-20T07:05", 1_795_158_300_000_000),
        ("2026-11-20 07:05:06", 1_795_158_306_000_000),
        ("2026-11-20t07:05:06", 1_795_158_306_000_000),
        ("2026-11-20_07:05:06", 1_795_158_306_000_000),
        ("2026-11-20T07:05:06.5Z", 1_795_158_306_500_000),
        ("2026-11-20T07:05:06.5z", 1_795_158_306_500_000),
        ("2026-11-20T07:05:06,5", 1_795_158_306_500_000),
        ("2026-11-20T07:05:06.1234567", 1_795_158_306_123_456),
        (
            "2026-11-20T07:05:06.123456999999999999999",
            1_795_158_306_123_456,
        ),
        ("20261120", 20_261_120_000_000),
        ("2026-11-20T23:59:59", 1_795_219_199_000_000),
        ("2026-11-20T00:00:00+05:30", 1_795_113_000_000_000),
        ("2026-11-20T00:00-0800", 1_795_161_600_000_000),
        ("2026-11-20T00:00:00+23:59", 1_795_046_460_000_000),
        ("2026-11-20T00:00:00-23:59", 1_795_219_140_000_000),
        ("2026-11-20T00:00:00\u{2212}00:30", 1_795_134_600_000_000),
        ("0001-01-01", -62_135_596_800_000_000),
        ("0001-01-01T00:00:00", -62_135_596_800_000_000),
        ("0001-01-01T00:00:00+05:00", -62_135_596_800_000_000),
        ("0001-01-01T00:00:00-05:00", -62_135_578_800_000_000),
        ("9999-12-31", 253_402_214_400_000_000),
        ("9999-12-31T23:59:59.999999", 253_402_300_799_999_999),
        ("9999-12-31T23:59:59.9999999", 253_402_300_799_999_999),
        ("9999-12-31T23:59:59-05:00", 253_402_300_799_999_999),
        ("9999-12-31T23:59:59+05:00", 253_402_282_799_000_000),
        ("2024-02-29", 1_709_164_800_000_000),
        ("2000-02-29", 951_782_400_000_000),
        ("1", 1_000_000),
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("+1", 1_000_000),
        ("00", 0),
        ("007", 7_000_000),
        ("1795132800", 1_795_132_800_000_000),
        ("+1795132800", 1_795_132_800_000_000),
        ("-1795132800", -1_795_132_800_000_000),
        ("1795132800.", 1_795_132_800_000_000),
        ("1795132800.25", 1_795_132_800_250_000),
        ("1795132800.1234567", 1_795_132_800_123_457),
        ("1795132800.9999999", 1_795_132_801_000_000),
        ("-1795132800.25", -1_795_132_800_250_000),
        ("1795132800000", 1_795_132_800_000_000),
        ("1795132800123", 1_795_132_800_123_000),
        ("1795132800123.456", 1_795_132_800_123_456),
        ("1795132800123.4567", 1_795_132_800_123_457),
        ("-1795132800000", -1_795_132_800_000_000),
        ("-1795132800123", -1_795_132_800_123_000),
        ("-1795132800123.5", -1_795_132_800_123_500),
        ("20000000000", 20_000_000_000_000_000),
        ("20000000000.5", 20_000_000_000_500),
        ("20000000001", 20_000_000_001_000),
        ("-20000000000", -20_000_000_000_000_000),
        ("-20000000001", -20_000_000_001_000),
        ("19999999999", 19_999_999_999_000_000),
        ("253402300799", 253_402_300_799_000),
        ("253402300799999", 253_402_300_799_999_000),
        ("253402300799999.9", 253_402_301_798_908),
        ("253402300799999.9999", 253_402_300_800_000),
        ("-11676096000", -11_676_096_000_000_000),
        ("-62135596800000", -62_135_596_800_000_000),
        ("-62135596799999", -62_135_596_799_999_000),
        ("99999999999999", 99_999_999_999_999_000),
        ("0.5", 500_000),
        ("-0.5", -500_000),
        ("-0.000001", -1),
        ("0.0000001", 0),
        ("-1.5", -1_500_000),
        ("2026-11-20T00:00:00.000000+00:00", 1_795_132_800_000_000),
        ("2026-11-20T00:00:00.0000000001Z", 1_795_132_800_000_000),
        ("2026-11-20T00:00:00+0000", 1_795_132_800_000_000),
        ("2026-11-20T00:00:00-00:00", 1_795_132_800_000_000),
        ("2026-11-20T12:34:56.789-03:30", 1_795_190_696_789_000),
        ("2026-11-20T12:34:56,789123+14:00", 1_795_127_696_789_123),
        ("2026-11-20T12:34Z", 1_795_178_040_000_000),
        ("2026-11-20T12:34+01:00", 1_795_174_440_000_000),
        ("2026", 2_026_000_000),
        ("1969-12-31T23:59:59.999999", -1),
        ("1970-01-01T00:00:00+23:59", -86_340_000_000),
        ("1600-01-01T00:00:00", -11_676_096_000_000_000),
        ("1.", 1_000_000),
        ("-1.", -1_000_000),
        ("1.0", 1_000_000),
        ("0.0", 0),
        ("-0.0", 0),
        ("-0.9999999", -1_000_000),
        ("1.0000005", 1_000_001),
        ("1795132800000.0005", 1_795_132_800_000_000),
        ("-5000000000000.5", -5_000_000_000_000_500),
        ("5000000000000.0005", 5_000_000_000_000_001),
        ("0000000000000000000001", 1_000_000),
        ("00000000000000000000000000000000000001", 1_000_000),
        (
            "1795132800.2500000000000000000000000000000",
            1_795_132_800_250_000,
        ),
    ];

    /// What it refused.
    const REFUSED: &[(&str, InvalidDate)] = &[
        ("2026-11-20T07:05:06.", EXTRA),
        ("2026-11-20T07:05:06.Z", EXTRA),
        ("2026-11-20T07:05.5", EXTRA),
        ("2026-11-20T07", EXTRA),
        ("2026-11-20T07:", EXTRA),
        ("2026-11-20T07:5", EXTRA),
        ("2026-11-20T7:05", EXTRA),
        ("2026-11-20T0705", EXTRA),
        ("2026-11-20T070506", EXTRA),
        ("20261120T070506", DASH),
        ("2026-11-20T", EXTRA),
        ("2026-11-20Z", EXTRA),
        ("2026-11-20+02:00", EXTRA),
        ("2026-11-20T24:00", EXTRA),
        ("2026-11-20T24:00:00", EXTRA),
        ("2026-11-20T23:60", EXTRA),
        ("2026-11-20T23:59:60", EXTRA),
        ("2026-11-20T23:59:61", EXTRA),
        ("2026-11-20T25:00:00", EXTRA),
        ("2026-11-20T00:00:00 05:30", EXTRA),
        ("2026-11-20T00:00+08", EXTRA),
        ("2026-11-20T00:00+8", EXTRA),
        ("2026-11-20T00:00+08:0", EXTRA),
        ("2026-11-20T00:00+08:00:00", EXTRA),
        ("2026-11-20T00:00:00+24:00", EXTRA),
        ("2026-11-20T00:00:00-24:00", EXTRA),
        ("2026-11-20T00:00:00+23:60", EXTRA),
        ("2026-11-20T00:00:00+99:99", EXTRA),
        ("2026-11-20T00:00:00Zx", EXTRA),
        ("2026-11-20T00:00:00ZZ", EXTRA),
        ("2026-11-20T00:00:00 Z", EXTRA),
        ("2026-11-20T00:00:00+", EXTRA),
        ("2026-11-20T00:00:00x", EXTRA),
        ("2026-11-20T00:00:00-", EXTRA),
        (" 2026-11-20", IN_YEAR),
        ("2026-11-20 ", EXTRA),
        (" 2026-11-20T00:00:00 ", IN_YEAR),
        ("2026-11-20T00:00:00Z ", EXTRA),
        ("", SHORT),
        ("0000-01-01", YEAR_0),
        ("0000-01-01T00:00:00", YEAR_0),
        ("0000-12-31T23:59:59-01:00", YEAR_0),
        ("10000-01-01", DASH),
        ("+2026-11-20", IN_YEAR),
        ("-2026-11-20", IN_YEAR),
        ("2026-00-10", MONTH),
        ("2026-13-01", MONTH),
        ("2026-02-30", DAY),
        ("2026-02-29", DAY),
        ("1900-02-29", DAY),
        ("2026-01-00", DAY),
        ("2026-01-32", DAY),
        ("2026/11/20", DASH),
        ("2026-11/20", DASH),
        ("2026-1-20", SHORT),
        ("2026-11-2", SHORT),
        ("26-11-20", SHORT),
        ("abcd-11-20", IN_YEAR),
        ("2026-ab-20", IN_MONTH),
        ("2026-11-ab", IN_DAY),
        ("2026-11-20\u{e9}", EXTRA),
        ("2026-11-20T\u{660}\u{667}:05", EXTRA),
        ("\u{662}\u{660}\u{662}\u{666}-11-20", IN_YEAR),
        ("\u{ff12}\u{ff10}\u{ff12}\u{ff16}-11-20", IN_YEAR),
        ("\u{661}\u{667}\u{669}\u{665}", SHORT),
        ("garbage", SHORT),
        ("g", SHORT),
        ("today", SHORT),
        ("now", SHORT),
        ("null", SHORT),
        ("None", SHORT),
        ("true", SHORT),
        (" 1795132800", IN_YEAR),
        ("1795132800 ", DASH),
        ("253402300800000", LATE),
        ("-62135596800001", YEAR_0),
        ("-62167219200000", YEAR_0),
        ("-62167219200001", EARLY),
        ("-99999999999999", EARLY),
        ("999999999999999", LATE),
        ("9223372036854775807", LATE),
        ("9223372036854775808", DASH),
        ("-9223372036854775808", IN_YEAR),
        ("-9223372036854775809", IN_YEAR),
        ("99999999999999999999", DASH),
        ("-99999999999999999999", IN_YEAR),
        ("1e9", SHORT),
        ("1E9", SHORT),
        ("1.5e9", SHORT),
        ("1_000", SHORT),
        ("1,5", SHORT),
        (".5", SHORT),
        ("-.5", SHORT),
        ("--1", SHORT),
        ("-", SHORT),
        ("+", SHORT),
        (".", SHORT),
        ("inf", SHORT),
        ("-inf", SHORT),
        ("nan", SHORT),
        ("NaN", SHORT),
        ("infinity", SHORT),
        ("Infinity", SHORT),
        ("0x10", SHORT),
        ("2026-11-20T-1:00", EXTRA),
        ("2026-11-20  12:34", EXTRA),
        ("2026-11-20-12:34", EXTRA),
        ("2026-11-20T12:34:5", EXTRA),
        ("2026-11-20T12:34:", EXTRA),
        ("2026-11-20T12-34", EXTRA),
        ("2026-11-20T1a:00", EXTRA),
        ("2026-11-20T12:3a", EXTRA),
        ("2026-11-20T12:34:5a", EXTRA),
        ("2026-11-20T12:34:56.7a", EXTRA),
        ("2026-11-20T12:34:56+0a:00", EXTRA),
        ("2026-11-20T12:34:56+01:0a", EXTRA),
        ("2026-11-20T12:34:56+01-00", EXTRA),
        ("12:34", SHORT),
        ("12:34:56", SHORT),
        ("2026-W47-5", IN_MONTH),
        ("2026-324", SHORT),
        ("2026-11", SHORT),
        ("2026-11-20T00:00:00Z+01:00", EXTRA),
        ("\u{a0}2026-11-20", IN_YEAR),
        ("2026-11-20\u{0}", EXTRA),
        ("2026-11-20T00:00:00\u{0}", EXTRA),
        ("-0001-01-01", IN_YEAR),
        ("1795132800.25.5", DASH),
        ("1795132800.2a", DASH),
        ("1795132800Z", DASH),
    ];

    #[test]
    fn a_date_is_read_as_pydantic_reads_it() {
        for (text, micros) in READ {
            assert_eq!(date(text), Ok(Timestamp::from_micros(*micros)), "{text:?}");
        }
    }

    #[test]
    fn what_pydantic_refuses_is_refused_in_its_words() {
        for (text, why) in REFUSED {
            assert_eq!(date(text), Err(*why), "{text:?}");
        }
    }
}
