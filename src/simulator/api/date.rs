//! The dates a filter takes: the forms pydantic reads, and its words for those it refuses.

use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use crate::model::Timestamp;

/// Figures above this many seconds are taken for milliseconds, as pydantic does.
const MILLISECONDS_ABOVE: u64 = 20_000_000_000;

/// Date only, `T` or space, minutes precision and up, `Z` or an offset, or a Unix time in seconds
/// or milliseconds. What names no zone is UTC; whether it does is the second of the pair.
pub(super) fn parse(text: &str) -> Result<(Timestamp, bool), &'static str> {
    if let Some(instant) = unix(text) {
        // A Unix time is read as a date in UTC, not as a naive one.
        return Ok((instant?, true));
    }
    let date = day(text)?;
    let Some(rest) = text.get(10..) else {
        // The date's ten bytes are ASCII.
        return Err("unexpected extra characters at the end of the input");
    };
    let (time, east) = if rest.is_empty() {
        (NaiveTime::MIN, None)
    } else {
        time_of_day(rest).ok_or("unexpected extra characters at the end of the input")?
    };
    let local = NaiveDateTime::new(date, time).and_utc().timestamp_micros();
    let instant = Timestamp::from_micros(local - east.unwrap_or(0) * 60_000_000);
    let instant = instant.clamp(Timestamp::MIN, Timestamp::MAX);
    Ok((instant, east.is_some()))
}

/// Digits, with a sign and a fraction if need be.
fn unix(text: &str) -> Option<Result<Timestamp, &'static str>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    // Beyond 64 bits it is out of range as well.
    let figure: u64 = whole.parse().unwrap_or(u64::MAX);
    let micros: u64 = format!("{fraction:0<6.6}").parse().unwrap_or(0);
    let span = if figure > MILLISECONDS_ABOVE {
        Duration::from_millis(figure) + Duration::from_micros(micros / 1000)
    } else {
        Duration::from_secs(figure) + Duration::from_micros(micros)
    };
    let epoch = Timestamp::from_micros(0);
    let instant = if negative { epoch - span } else { epoch + span };
    if (Timestamp::MIN..=Timestamp::MAX).contains(&instant) {
        Some(Ok(instant))
    } else {
        Some(Err("dates after 9999 are not supported as unix timestamps"))
    }
}

/// The first ten bytes as a date.
fn day(text: &str) -> Result<NaiveDate, &'static str> {
    let [y1, y2, y3, y4, dash1, m1, m2, dash2, d1, d2, ..] = *text.as_bytes() else {
        return Err("input is too short");
    };
    let year = number(&[y1, y2, y3, y4]).ok_or("invalid character in year")?;
    if dash1 != b'-' {
        return Err("invalid date separator, expected `-`");
    }
    let month = number(&[m1, m2]).ok_or("invalid character in month")?;
    if dash2 != b'-' {
        return Err("invalid date separator, expected `-`");
    }
    let day = number(&[d1, d2]).ok_or("invalid character in day")?;
    if !(1..=12).contains(&month) {
        return Err("month value is outside expected range of 1-12");
    }
    if year == 0 {
        return Err("year 0 is out of range");
    }
    // Four digits fit an i32.
    NaiveDate::from_ymd_opt(year as i32, month, day).ok_or("day value is outside expected range")
}

/// What follows the date: the time and, where a zone is named, minutes east of Greenwich.
fn time_of_day(rest: &str) -> Option<(NaiveTime, Option<i64>)> {
    let rest = rest.strip_prefix(['T', 't', ' ', '_'])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = match clock.split_once(['.', ',']) {
        Some((clock, digits)) => (clock, Some(digits)),
        None => (clock, None),
    };
    let (hour, minute, second) = match *clock.as_bytes() {
        [h1, h2, b':', m1, m2] if fraction.is_none() => ([h1, h2], [m1, m2], [b'0', b'0']),
        [h1, h2, b':', m1, m2, b':', s1, s2] => ([h1, h2], [m1, m2], [s1, s2]),
        _ => return None,
    };
    let micros = match fraction {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{digits:0<6.6}").parse().ok()?
        }
        Some(_) => return None,
    };
    let (hour, minute, second) = (number(&hour)?, number(&minute)?, number(&second)?);
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?;
    let east = match zone {
        "" => None,
        zone => Some(offset(zone)?),
    };
    Some((time, east))
}

fn offset(zone: &str) -> Option<i64> {
    let (sign, hours, minutes) = match *zone.as_bytes() {
        [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [h1, h2], [m1, m2]),
        _ => return None,
    };
    let (hours, minutes) = (number(&hours)?, number(&minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let east = i64::from(hours * 60 + minutes);
    match sign {
        b'+' => Some(east),
        b'-' => Some(-east),
        _ => None,
    }
}

/// Up to four ASCII digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u32::from(byte - b'0'))
    })
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
                "99999999999999999999",
                "dates after 9999 are not supported as unix timestamps",
            ),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
