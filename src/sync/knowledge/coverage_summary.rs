//! Summarizes coverage for a downstream edge: a bounded list of ranges, none reported fresher than
//! it is.
//!
//! Pure. Windows are merged within cells that reach back twice as far each, so that a long history
//! is few ranges and its newest part is reported exactly. A cell is as old as its oldest window. A
//! gap between two windows stays a gap.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{CoverageRange, Timestamp, Verified, Window, age};
use crate::sync::knowledge::coverage::{Coverage, NEVER, next};

/// How far back the first cell reaches, in seconds.
const FIRST_CELL: u64 = 60;

/// Suspects at more instants than this make the ranges around them old; fewer get their own.
const MOST_INSTANTS: usize = 20;

/// At most this many ranges are reported; of a file full of gaps, the oldest are left out.
const MOST_PIECES: usize = 100;

/// A suspect, which no window vouches for: where it starts, and when it was last seen.
pub type Unverified = (Option<Timestamp>, Timestamp);

impl Coverage {
    /// The summary for another edge, oldest first. Load `self` before reading suspects and calls.
    pub fn told(&self, unverified: &[Unverified], now: Timestamp) -> Vec<CoverageRange> {
        let mut cells: Vec<(Option<u32>, Window)> = Vec::new();
        for window in self.windows() {
            let cell = cell(window, now);
            match cells.last_mut() {
                Some((last, older))
                    if cell.is_some() && *last == cell && next(older.to) == window.from =>
                {
                    older.to = window.to;
                    older.verified.at = older.verified.at.min(window.verified.at);
                }
                _ => cells.push((cell, *window)),
            }
        }
        let mut told =
            Coverage::from_windows(cells.into_iter().map(|(_, window)| window).collect(), now);
        told.except(unverified);
        let windows = told.windows();
        let left_out = windows.len().saturating_sub(MOST_PIECES);
        windows[left_out..]
            .iter()
            .map(|window| piece(window, now))
            .collect()
    }

    /// Makes the ranges of suspects as old as the suspects.
    fn except(&mut self, unverified: &[Unverified]) {
        let mut instants: Vec<(Timestamp, Timestamp)> = unverified
            .iter()
            .map(|(start, seen)| (start.unwrap_or(NEVER), *seen))
            .collect();
        instants.sort_unstable();
        // Of several at one instant, the one seen longest ago comes first.
        instants.dedup_by_key(|(start, _)| *start);
        let apart = instants.len() <= MOST_INSTANTS;
        for (start, seen) in instants {
            let Some(window) = self.window(start) else {
                continue;
            };
            let at = window.verified.at.min(seen);
            let verified = Verified {
                at,
                ..window.verified
            };
            self.insert(match apart && start != NEVER {
                true => Window {
                    from: start,
                    to: start,
                    open_ended: false,
                    verified,
                    ..window
                },
                false => Window { verified, ..window },
            });
        }
    }

    /// Takes over another edge's coverage as of when `request` started. Other ranges stay as they
    /// were.
    pub fn take_over(&mut self, pieces: &[CoverageRange], request: Verified) {
        for piece in pieces {
            let range = range(piece);
            self.insert(Window {
                from: *range.start(),
                to: *range.end(),
                verified: Verified {
                    at: request.at - Duration::from_secs(piece.age_s),
                    seq: request.seq,
                },
                rows: 0,
                open_ended: piece.open_ended,
            });
        }
    }
}

/// The range of a piece, without the open end of the newest one.
pub fn range(piece: &CoverageRange) -> RangeInclusive<Timestamp> {
    match (piece.from, piece.to) {
        (None, None) => NEVER..=NEVER,
        (from, to) => from.unwrap_or(Timestamp::MIN)..=to.unwrap_or(Timestamp::MAX),
    }
}

fn piece(window: &Window, now: Timestamp) -> CoverageRange {
    let never = window.from == NEVER;
    CoverageRange {
        from: (window.from > Timestamp::MIN).then_some(window.from),
        to: (!never).then_some(window.to),
        age_s: age(now, window.verified.at),
        open_ended: window.open_ended,
    }
}

/// The cell of a window, by the age of its start; the newest, and what has no start, have none.
fn cell(window: &Window, now: Timestamp) -> Option<u32> {
    if window.open_ended || window.from == NEVER {
        return None;
    }
    let age = now.since(window.from).as_secs() / FIRST_CELL;
    Some((age + 1).ilog2())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

    fn back(seconds: u64) -> Timestamp {
        NOW - Duration::from_secs(seconds)
    }

    fn window(from: Timestamp, to: Timestamp, age: u64, seq: u64) -> Window {
        Window {
            from,
            to,
            verified: Verified { at: back(age), seq },
            rows: 1,
            open_ended: false,
        }
    }

    fn full(length: u64) -> Coverage {
        let mut coverage = Coverage::default();
        let head = Window {
            open_ended: true,
            ..window(back(100), back(1), 5, 1)
        };
        coverage.insert(head);
        coverage.insert(window(NEVER, NEVER, 5, 1));
        let mut above = back(100);
        for place in 1..2000 {
            let to = Timestamp::from_micros(above.as_micros() - 1);
            let from = to - Duration::from_secs(length);
            coverage.insert(window(from, to, 10 + place, 1));
            above = from;
        }
        let end = Timestamp::from_micros(above.as_micros() - 1);
        coverage.insert(window(Timestamp::MIN, end, 5000, 1));
        coverage
    }

    #[test]
    fn a_long_history_is_few_pieces_without_a_gap_and_the_newest_is_exact() {
        for length in [60, 3600, 86_400] {
            let coverage = full(length);
            assert!(coverage.is_complete(Timestamp::MIN));
            let told = coverage.told(&[], NOW);
            assert!(told.len() <= 32, "{}", told.len());
            assert_eq!(
                told.last().map(|piece| (piece.age_s, piece.open_ended)),
                Some((5, true))
            );
            let mut there = Coverage::default();
            there.take_over(&told, Verified { at: NOW, seq: 9 });
            assert!(there.is_complete(Timestamp::MIN));
        }
    }

    #[test]
    fn a_suspect_is_told_as_old_as_it_is_and_its_neighbours_are_not() {
        let coverage = full(3600);
        let start = back(7777);
        let told = coverage.told(&[(Some(start), back(900_000)), (None, back(70))], NOW);
        let mut there = Coverage::default();
        there.take_over(&told, Verified { at: NOW, seq: 9 });
        let age_of = |start| NOW.since(there.known(start).unwrap().at).as_secs();
        assert_eq!(age_of(Some(start)), 900_000);
        assert!(age_of(Some(next(start))) < 100);
        assert_eq!(age_of(None), 70);
        assert!(there.is_complete(Timestamp::MIN));
        let many: Vec<_> = (0..500)
            .map(|n| (Some(back(200 + n)), back(80_000)))
            .collect();
        assert!(coverage.told(&many, NOW).len() <= 32);
    }

    #[test]
    fn a_list_of_one_page_is_two_pieces() {
        let mut coverage = Coverage::default();
        coverage.insert(window(NEVER, NEVER, 5, 1));
        let head = window(Timestamp::MIN, back(10), 5, 1);
        coverage.insert(Window {
            open_ended: true,
            ..head
        });
        let told = coverage.told(&[], NOW);
        assert_eq!(told.len(), 2);
        let mut there = Coverage::default();
        there.take_over(&told, Verified { at: NOW, seq: 9 });
        assert!(there.is_complete(Timestamp::MIN));
    }

    proptest! {
        /// Everything covered is reported, nothing as fresher than it is, and no gap as covered.
        #[test]
        fn nothing_is_told_younger_than_true(
            reads in prop::collection::vec((0..4000_u64, 0..900_u64, 1..5000_u64), 0..30),
            unverified in prop::collection::vec((0..4000_u64, 0..90_000_u64), 0..30),
        ) {
            let mut coverage = Coverage::default();
            for (seq, (from, length, age)) in reads.into_iter().enumerate() {
                let to = back(from.saturating_sub(length));
                coverage.insert(window(back(from), to, age, seq as u64));
            }
            let unverified: Vec<_> = unverified
                .into_iter()
                .map(|(start, age)| (Some(back(start)), back(age)))
                .collect();
            let told = coverage.told(&unverified, NOW);
            let mut there = Coverage::default();
            there.take_over(&told, Verified { at: NOW, seq: 1000 });
            for start in 0..4000 {
                let start = Some(back(start));
                let here = coverage.known(start).map(|verified| verified.at);
                let said = there.known(start).map(|verified| verified.at);
                prop_assert_eq!(here.is_some(), said.is_some());
                prop_assert!(said <= here);
                let seen = unverified.iter().filter(|(at, _)| *at == start);
                for (_, seen) in seen {
                    prop_assert!(said.is_none_or(|said| said <= *seen));
                }
            }
        }
    }
}
