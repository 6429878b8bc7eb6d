//! What the coverage says of an answer about many calls: whether everything it can include was
//! read, and how old its oldest verification is.
//!
//! Pure.

use std::ops::RangeInclusive;

use actix_web::http::header::{HeaderName, HeaderValue};

use crate::model::latest_age;
use crate::model::{CallFilter, Timestamp, UNKNOWN_AGE};
use crate::sync::{Coverage, NEVER};

pub const COVERAGE: HeaderName = HeaderName::from_static("burki-edge-coverage");

/// A set of starts of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// True if it includes calls without a start.
    pub unstarted: bool,
    /// `None` if it includes no call with a start. Never a reversed range.
    pub started: Option<RangeInclusive<Timestamp>>,
}

/// The part of the coverage that an answer rests on. The age is computed at each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerScope {
    /// All that the query can match.
    pub query: Reach,
    /// The part of it that the answer shows.
    pub shown: Reach,
    /// The earliest time at which any of the rows shown was last seen.
    pub seen: Option<Timestamp>,
    /// The same of the suspects, which no window verifies.
    pub suspected: Option<Timestamp>,
    /// True if the query asks for names and no stored call has one, because a self-hosted
    /// upstream's calls lack them.
    pub is_nameless: bool,
}

impl Reach {
    /// The starts that a filter matches.
    pub fn of(filter: &CallFilter) -> Reach {
        let from = filter.date_from.unwrap_or(Timestamp::MIN);
        let to = filter.date_to.unwrap_or(Timestamp::MAX);
        Reach {
            unstarted: !filter.is_dated(),
            started: (from <= to).then_some(from..=to),
        }
    }

    pub fn contains(&self, start: Option<Timestamp>) -> bool {
        match (start, &self.started) {
            (None, _) => self.unstarted,
            (Some(start), Some(range)) => range.contains(&start),
            (Some(_), None) => false,
        }
    }

    fn is_empty(&self) -> bool {
        !self.unstarted && self.started.is_none()
    }

    /// True if windows, or holes between them, cover all of it.
    fn is_known(&self, coverage: &Coverage) -> bool {
        let unstarted = NEVER..=NEVER;
        if self.unstarted && coverage.known(None).is_none() && !coverage.is_in_a_hole(&unstarted) {
            return false;
        }
        let Some(range) = &self.started else {
            return true;
        };
        // Everything below this is covered.
        let mut above = *range.start();
        for window in coverage.windows() {
            if window.end() < above {
                continue;
            }
            if above < window.from {
                let last = last_before(window.from).min(*range.end());
                if !coverage.is_in_a_hole(&(above..=last)) {
                    return false;
                }
                if last == *range.end() {
                    return true;
                }
            }
            if *range.end() <= window.end() {
                return true;
            }
            above = next(window.end());
        }
        !coverage.windows().is_empty() && coverage.is_in_a_hole(&(above..=*range.end()))
    }

    /// True if it includes rows that the upstream counts but can't send.
    fn has_holes(&self, coverage: &Coverage) -> bool {
        coverage.holes().iter().any(|hole| {
            let touches = |range: &RangeInclusive<Timestamp>| {
                hole.start() <= range.end() && range.start() <= hole.end()
            };
            self.started.as_ref().is_some_and(touches) || self.unstarted && hole.contains(&NEVER)
        })
    }

    /// The times of verification of the windows that cover part of it.
    fn verified(&self, coverage: &Coverage) -> impl Iterator<Item = Timestamp> {
        let windows = coverage.windows().iter().filter(|window| {
            let range = self.started.as_ref();
            let started =
                range.is_some_and(|r| window.from <= *r.end() && *r.start() <= window.end());
            started && window.from != NEVER || self.unstarted && window.from == NEVER
        });
        windows.map(|window| window.verified.at)
    }
}

impl AnswerScope {
    /// The scope of an answer about all that its query can match.
    pub fn whole(query: Reach) -> AnswerScope {
        AnswerScope {
            shown: query.clone(),
            query,
            seen: None,
            suspected: None,
            is_nameless: false,
        }
    }

    /// Adds the suspects that the answer shows.
    pub fn suspect(&mut self, unverified: &[(Option<Timestamp>, Timestamp)]) {
        let shown = unverified
            .iter()
            .filter(|(start, _)| self.shown.contains(*start));
        self.suspected = shown.map(|(_, seen)| *seen).chain(self.suspected).min();
    }

    /// Whole seconds since the oldest part of the answer was known to be true. `coverage` must have
    /// been loaded before the answer was read, or before the file was found unchanged since.
    pub fn age(&self, coverage: &Coverage, now: Timestamp) -> u64 {
        if self.shown.is_empty() {
            // An answer that no call can match is always true.
            return 0;
        }
        // Where no window covers it, a row's own time counts.
        let own = self.seen.filter(|_| !self.shown.is_known(coverage));
        let told = self.shown.verified(coverage).chain(own);
        told.chain(self.suspected)
            .map(|at| latest_age(now, [at]))
            .max()
            .unwrap_or(UNKNOWN_AGE)
    }

    /// True if the answer shows only part of it.
    pub fn is_cut(&self) -> bool {
        self.shown != self.query
    }

    pub fn is_complete(&self, coverage: &Coverage) -> bool {
        !self.is_nameless && self.query.is_known(coverage)
    }
}

/// The header of an answer of the upstream's own.
pub fn whole() -> HeaderValue {
    HeaderValue::from_static("complete")
}

/// The header: `complete`, or from when on everything is covered.
pub fn header(extent: &AnswerScope, coverage: &Coverage) -> HeaderValue {
    if extent.is_complete(coverage) {
        return match extent.query.has_holes(coverage) {
            // Everything that the upstream can send is here.
            true => HeaderValue::from_static("complete; unreadable"),
            false => whole(),
        };
    }
    let partial = HeaderValue::from_static("partial");
    match known_from(coverage).filter(|_| !extent.is_nameless) {
        // Visible ASCII is always a valid header value.
        Some(from) => HeaderValue::try_from(format!("partial; from=\"{from}\"")).unwrap_or(partial),
        None => partial,
    }
}

/// The start of the newest range without a gap; `None` if not even the newest calls are covered.
fn known_from(coverage: &Coverage) -> Option<Timestamp> {
    let mut from = coverage.head()?.from;
    for window in coverage.windows().iter().rev().skip(1) {
        if window.from == NEVER || next(window.to) < from {
            break;
        }
        from = window.from;
    }
    Some(from)
}

fn last_before(instant: Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() - 1)
}

fn next(instant: Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() + 1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::model::Verified;
    use crate::model::Window;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn window(from: Timestamp, to: Timestamp, verified: i64) -> Window {
        Window {
            from,
            to,
            verified: Verified {
                at: at(verified),
                seq: 1,
            },
            rows: 0,
            open_ended: false,
        }
    }

    fn before(seconds: i64) -> Timestamp {
        Timestamp::from_micros(at(seconds).as_micros() - 1)
    }

    /// Verified at 970 to 990, but 100 to 200 at 500. Nothing below 100 is covered, nor between 200
    /// and 300.
    fn coverage() -> Coverage {
        let head = Window {
            open_ended: true,
            ..window(at(400), at(900), 990)
        };
        let windows = vec![
            window(NEVER, NEVER, 980),
            window(at(100), at(200), 500),
            window(at(300), before(400), 970),
            head,
        ];
        Coverage::from_windows(windows, at(1000))
    }

    fn filter(from: Option<i64>, to: Option<i64>) -> CallFilter {
        CallFilter {
            date_from: from.map(at),
            date_to: to.map(at),
            ..CallFilter::default()
        }
    }

    fn told(filter: &CallFilter, coverage: &Coverage) -> (String, u64) {
        let extent = AnswerScope::whole(Reach::of(filter));
        let header = header(&extent, coverage);
        (
            header.to_str().unwrap().to_owned(),
            extent.age(coverage, at(1000)),
        )
    }

    const PARTIAL: &str = r#"partial; from="1970-01-01T00:05:00Z""#;

    #[rstest]
    #[case(None, None, PARTIAL, 500)]
    #[case(Some(300), None, "complete", 30)]
    #[case(Some(400), Some(500), "complete", 10)]
    #[case(Some(5000), None, "complete", 10)]
    #[case(Some(299), None, PARTIAL, 30)]
    #[case(Some(120), Some(150), "complete", 500)]
    #[case(Some(100), Some(200), "complete", 500)]
    #[case(Some(200), Some(200), "complete", 500)]
    #[case(Some(100), Some(201), PARTIAL, 500)]
    #[case(None, Some(350), PARTIAL, 500)]
    #[case(Some(220), Some(280), PARTIAL, UNKNOWN_AGE)]
    #[case(Some(300), Some(299), "complete", 0)]
    fn a_query_is_complete_where_windows_speak_of_all_it_can_match(
        #[case] from: Option<i64>,
        #[case] to: Option<i64>,
        #[case] header: &str,
        #[case] age: u64,
    ) {
        let filter = filter(from, to);
        assert_eq!(told(&filter, &coverage()), (header.to_owned(), age));
    }

    const UNREADABLE: &str = "complete; unreadable";

    /// In a hole, of which the upstream can send nothing, nothing more can be known.
    #[rstest]
    #[case::across_the_hole(Some(120), Some(350), UNREADABLE)]
    #[case::to_somewhere_in_it(Some(120), Some(280), UNREADABLE)]
    #[case::within_it(Some(220), Some(280), UNREADABLE)]
    #[case::from_below_what_is_known(Some(50), Some(150), PARTIAL)]
    #[case::above_it(Some(310), Some(350), "complete")]
    #[case::below_it(Some(100), Some(200), "complete")]
    #[case::all_of_time(None, None, PARTIAL)]
    fn what_lies_in_a_hole_is_known_to_be_unreadable(
        #[case] from: Option<i64>,
        #[case] to: Option<i64>,
        #[case] header: &str,
    ) {
        let mut coverage = coverage();
        coverage.set_holes(vec![NEVER..=NEVER, next(at(200))..=before(300)]);
        assert_eq!(told(&filter(from, to), &coverage).0, header);
    }

    #[test]
    fn a_hole_above_or_below_all_windows_counts_as_one_between_them_does() {
        let windows = vec![window(at(100), at(200), 500)];
        let mut coverage = Coverage::from_windows(windows, at(1000));
        coverage.set_holes(vec![at(50)..=before(100), next(at(200))..=at(500)]);
        let told = |from, to| told(&filter(Some(from), Some(to)), &coverage).0;
        assert_eq!(told(150, 400), UNREADABLE);
        assert_eq!(told(60, 150), UNREADABLE);
        assert_eq!(told(150, 501), "partial");
        assert_eq!(told(40, 150), "partial");
        assert_eq!(told(60, 501), "partial");
    }

    #[test]
    fn a_hole_alone_makes_nothing_known() {
        let mut coverage = Coverage::default();
        coverage.set_holes(vec![at(100)..=at(200)]);
        assert_eq!(told(&filter(Some(120), Some(150)), &coverage).0, "partial");
    }

    #[test]
    fn calls_without_a_start_may_be_the_unreadable_ones() {
        let head = Window {
            open_ended: true,
            ..window(Timestamp::MIN, at(900), 990)
        };
        let mut coverage = Coverage::from_windows(vec![head], at(1000));
        coverage.set_holes(vec![NEVER..=NEVER]);
        assert_eq!(told(&filter(None, None), &coverage).0, UNREADABLE);
        assert_eq!(told(&filter(Some(0), None), &coverage).0, "complete");
    }

    #[test]
    fn a_page_of_more_is_cut_and_the_whole_is_not() {
        let mut extent = AnswerScope::whole(Reach::of(&filter(None, None)));
        assert!(!extent.is_cut());
        extent.shown.started = Some(at(400)..=at(900));
        assert!(extent.is_cut());
    }

    #[test]
    fn an_undated_query_asks_for_all_of_time_and_for_calls_without_a_start() {
        let head = Window {
            open_ended: true,
            ..window(Timestamp::MIN, at(900), 990)
        };
        let started = Coverage::from_windows(vec![head], at(1000));
        let since_ever = r#"partial; from="0001-01-01T00:00:00Z""#;
        assert_eq!(told(&filter(None, None), &started).0, since_ever);
        assert_eq!(told(&filter(None, Some(5)), &started).0, "complete");
        let all = Coverage::from_windows(vec![window(NEVER, NEVER, 900), head], at(1000));
        let complete = ("complete".to_owned(), 100);
        assert_eq!(told(&filter(None, None), &all), complete);
    }

    #[test]
    fn where_the_newest_is_not_known_no_instant_is_named() {
        let windows = vec![window(at(100), at(200), 500)];
        let coverage = Coverage::from_windows(windows, at(1000));
        assert_eq!(told(&filter(None, None), &coverage).0, "partial");
        assert_eq!(told(&filter(Some(100), Some(200)), &coverage).0, "complete");
        assert_eq!(
            told(&filter(None, None), &Coverage::default()).1,
            UNKNOWN_AGE
        );
    }

    #[test]
    fn rows_beside_the_windows_and_suspects_count_with_their_own_time() {
        let query = Reach::of(&filter(Some(250), Some(450)));
        let mut extent = AnswerScope::whole(query);
        extent.seen = Some(at(700));
        assert_eq!(extent.age(&coverage(), at(1000)), 300);
        extent.suspect(&[
            (Some(at(600)), at(1)),
            (None, at(2)),
            (Some(at(420)), at(650)),
        ]);
        assert_eq!(extent.age(&coverage(), at(1000)), 350);
        // Where windows cover every row, only their times count.
        extent.shown.started = Some(at(400)..=at(450));
        extent.suspected = None;
        assert_eq!(extent.age(&coverage(), at(1000)), 10);
    }
}
