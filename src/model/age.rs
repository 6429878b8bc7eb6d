//! Ages as they are reported: in whole seconds, and never younger than the truth.

use std::time::Duration;

use super::Timestamp;

/// An unknown age, and the cap for every greater one (RFC 9111, section 1.2.2), in seconds.
pub const UNKNOWN_AGE: u64 = 1 << 31;

/// How far a time server may have set the clock back before an instant counts as one that the clock
/// has not reached.
const SET_BACK: Duration = Duration::from_secs(1);

/// Seconds since `at`, rounded up, at most [`UNKNOWN_AGE`]. An instant that the clock has not
/// reached came from a wrong clock, so its age is unknown.
pub fn age(now: Timestamp, at: Timestamp) -> u64 {
    if at > now + SET_BACK {
        return UNKNOWN_AGE;
    }
    whole_seconds(now.since(at)).min(UNKNOWN_AGE)
}

/// The age of the latest of these instants that the clock has reached.
pub fn latest_age(now: Timestamp, verified: impl IntoIterator<Item = Timestamp>) -> u64 {
    let ages = verified.into_iter().map(|at| age(now, at));
    ages.min().unwrap_or(UNKNOWN_AGE)
}

/// Seconds, rounded up: a reported age must not be too young, and a bound must hold.
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_not_too_few() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
        assert_eq!(whole_seconds(Duration::from_nanos(30_000_000_001)), 31);
    }

    #[test]
    fn an_age_is_rounded_up_and_that_of_an_instant_ahead_is_unknown() {
        let at = Timestamp::from_micros;
        let now = at(100_000_000);
        assert_eq!(age(now, now), 0);
        assert_eq!(age(now, at(99_999_999)), 1);
        assert_eq!(age(now, at(40_000_000)), 60);
        assert_eq!(
            age(now, at(101_000_000)),
            0,
            "the clock was put right a little"
        );
        assert_eq!(age(now, at(101_000_001)), UNKNOWN_AGE);
        assert_eq!(age(now, Timestamp::MIN), UNKNOWN_AGE);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_age_is_since_the_latest_instant_that_the_clock_has_reached() {
        let now = at(100);
        assert_eq!(latest_age(now, [at(40), at(60)]), 40);
        assert_eq!(latest_age(now, [at(40), at(102)]), 60);
        assert_eq!(
            latest_age(now, [at(101)]),
            0,
            "the clock was put right a little"
        );
    }

    #[test]
    fn an_age_that_nobody_can_know_is_the_largest_there_is() {
        assert_eq!(latest_age(at(100), [at(102)]), UNKNOWN_AGE);
        assert_eq!(latest_age(at(100), [Timestamp::MAX, at(3600)]), UNKNOWN_AGE);
        assert_eq!(latest_age(at(100), [Timestamp::MIN]), UNKNOWN_AGE);
        assert_eq!(latest_age(at(100), []), UNKNOWN_AGE);
    }
}
