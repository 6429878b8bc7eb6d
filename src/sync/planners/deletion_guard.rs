//! Holds deletions that are so many at once that they may be a mistake.
//!
//! Two things are held. A *list* that leaves out most of what is stored is not believed, and
//! nothing of it is applied, until it says the same a minute later and a canary was found
//! meanwhile. *Deletions* that are many, by the number of suspects or by the upstream's own count,
//! wait until everything was read twice, the second time at least a minute later. The operator may
//! release either. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;
use crate::store::RowCounts;
use crate::sync::clock::Now;

/// A list that leaves out many calls is believed if it still does after this long.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// Deletions are many by what was removed and what is suspected within this time, however small the
/// steps in which they are found.
const WHILE: Duration = Duration::from_secs(600);

/// A list that is not believed.
#[derive(Debug)]
struct ListDoubt {
    since: Instant,
    /// Only a request with a higher number can vouch for the upstream.
    seq: u64,
    /// The rows that were requested.
    limit: usize,
    vouched: bool,
}

/// A hold on deletions, until everything was read twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DeletionHold {
    began: Timestamp,
    /// Every window has to be verified since then, for the current pass to end.
    pass_from: Timestamp,
    second: bool,
    passed: bool,
}

#[derive(Debug, Default)]
pub struct DeletionGuard {
    doubt: Option<ListDoubt>,
    hold: Option<DeletionHold>,
    /// True if no other stored call could vouch for a deletion.
    alone: bool,
    /// How many of the stored calls the upstream's count lacks.
    lost: u64,
    /// Calls that were removed recently while nothing was held, by the time of their removal.
    lately: VecDeque<(Timestamp, u64)>,
    /// Stored calls that the upstream's count lacks although complete readings listed them.
    explained: u64,
    released: bool,
    /// The highest request number at the operator's release of a list. The release covers the calls
    /// without a start too, which that list does not reach.
    vouched_below: Option<u64>,
}

/// What changed about the hold on deletions.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It was placed: this many calls seem to be deleted.
    Held(u64),
    Lifted,
}

fn is_many(missing: u64, calls: u64) -> bool {
    missing > 50 && missing > calls / 20
}

impl DeletionGuard {
    pub fn is_held(&self) -> bool {
        self.doubt.is_some() || self.hold.is_some() || self.alone
    }

    /// Notes that every stored call is a suspect. Returns whether that is news.
    pub fn is_alone(&mut self) -> bool {
        !std::mem::replace(&mut self.alone, true)
    }

    pub fn holds_deletions(&self) -> bool {
        self.hold.is_some()
    }

    /// Releases what is held, as the operator vouches for it. Returns whether anything was held.
    pub fn release(&mut self) -> bool {
        self.released = self.is_held();
        self.released
    }

    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Extends a release to the calls without a start, which the released list does not reach,
    /// until a request with a number above `newest_seq` has read them.
    pub fn vouch_below_list(&mut self, newest_seq: u64) {
        self.vouched_below = (self.released && self.doubt.is_some()).then_some(newest_seq);
    }

    /// Notes that the request of this number read all calls without a start. Returns whether that
    /// was too early for a release that covers them.
    pub fn read_below_list(&mut self, seq: u64) -> bool {
        self.vouched_below = self.vouched_below.filter(|after| seq <= *after);
        self.vouched_below.is_some()
    }

    // The list.

    /// Whether a list is believed, regardless of what it leaves out.
    pub fn believes_list(&self, now: Instant) -> bool {
        let outlasted =
            |doubt: &ListDoubt| doubt.vouched && now.duration_since(doubt.since) >= LONG_ENOUGH;
        self.released || self.doubt.as_ref().is_some_and(outlasted)
    }

    /// Notes a list of up to `limit` rows that was not believed. Returns whether that is news.
    pub fn doubt_list(&mut self, begun: Instant, seq: u64, limit: usize) -> bool {
        let news = self.doubt.is_none();
        let doubt = self.doubt.get_or_insert(ListDoubt {
            since: begun,
            seq,
            limit,
            vouched: false,
        });
        doubt.limit = doubt.limit.max(limit);
        news
    }

    /// Whether a list of up to `limit` rows says nothing for or against the one that is not
    /// believed: a shorter one leaves out less, whatever the upstream has.
    pub fn is_too_short(&self, limit: usize, now: Instant) -> bool {
        let is_longer = |doubt: &ListDoubt| limit < doubt.limit;
        self.doubt.as_ref().is_some_and(is_longer) && !self.believes_list(now)
    }

    pub fn list_believed(&mut self) {
        self.doubt = None;
    }

    /// Whether the latest list is not believed.
    pub fn is_list_doubted(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether a canary has to be found before the list can be believed.
    pub fn lacks_witness(&self) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| !doubt.vouched)
    }

    /// Notes that the request of this number found a canary.
    pub fn witness(&mut self, seq: u64) {
        if let Some(doubt) = &mut self.doubt {
            doubt.vouched |= seq > doubt.seq;
        }
    }

    // Deletions.

    /// Takes in the upstream's count of all calls, at the moment of an answer that was applied.
    pub fn counted(&mut self, total: u64, held: u64) {
        self.lost = held.saturating_sub(total);
        self.explained = self.explained.min(self.lost);
    }

    /// Takes in a count of part of history that lacks this many stored calls.
    pub fn lacks(&mut self, missing: u64) {
        self.lost = self.lost.max(missing);
    }

    /// Notes that this many calls were removed by proof.
    pub fn removed(&mut self, calls: u64, now: Timestamp) {
        self.lost = self.lost.saturating_sub(calls);
        // What passed a hold does not count towards the next one.
        if self.hold.is_none() && !self.released {
            self.lately.push_back((now, calls));
        }
    }

    /// Calls removed within the last [`WHILE`], while nothing was held.
    fn removed_lately(&mut self, now: Timestamp) -> u64 {
        self.lately
            .retain(|(at, _)| now.since(*at) < WHILE && *at <= now);
        self.lately.iter().map(|(_, calls)| calls).sum()
    }

    /// Places or lifts the hold on deletions, by what is known now.
    pub fn judge(&mut self, row_counts: RowCounts, now: Timestamp) -> Option<Change> {
        self.alone &= row_counts.suspects > 0;
        let lost = self.lost.saturating_sub(self.explained);
        let missing = row_counts.suspects.max(lost);
        let lately = match missing {
            // Nothing is missing that could be held.
            0 => 0,
            _ => self.removed_lately(now),
        };
        let many = is_many(missing + lately, row_counts.calls + lately);
        let change = match (&self.hold, many) {
            (None, true) => {
                self.hold = Some(DeletionHold {
                    began: now,
                    pass_from: now,
                    second: false,
                    passed: false,
                });
                Some(Change::Held(missing))
            }
            (Some(hold), false) => {
                if hold.passed {
                    self.lately.clear();
                }
                self.hold = None;
                Some(Change::Lifted)
            }
            _ => None,
        };
        // A release is for a list, and then for what that leaves out.
        self.released &= self.is_held() || row_counts.suspects > 0 || self.vouched_below.is_some();
        change
    }

    /// Windows that were verified before this are to be read again.
    pub fn reread_before(&self) -> Option<Timestamp> {
        let hold = self.hold.filter(|hold| !hold.passed);
        hold.map(|hold| hold.pass_from)
    }

    /// Notes that everything was verified since `oldest`, which starts the second pass or ends it.
    pub fn verified_since(&mut self, oldest: Timestamp, suspects: u64, now: Now) {
        let Some(hold) = &mut self.hold else {
            return;
        };
        if hold.passed && suspects == 0 {
            // What passed is removed, and the count still lacks as many.
            (hold.passed, hold.second) = (false, false);
            hold.pass_from = now.wall;
        }
        if hold.passed || oldest < hold.pass_from {
            return;
        }
        if suspects == 0 {
            // Every call was seen, so the count is wrong. If it lacks more later, that takes
            // another pass.
            self.explained = self.lost;
            hold.second = false;
            hold.pass_from = now.wall + LONG_ENOUGH;
        } else if hold.second {
            hold.passed = true;
            // All other calls were seen: a count that lacks more is wrong.
            self.explained = self.lost.saturating_sub(suspects);
        } else {
            hold.second = true;
            hold.pass_from = now.wall.max(hold.began + LONG_ENOUGH);
        }
    }

    /// Whether suspects may be proven by a sample.
    pub fn may_be_proven(&self) -> bool {
        // The operator's release stands for the second pass.
        self.hold
            .is_some_and(|hold| hold.passed || (hold.second && self.released))
    }

    /// Has everything read twice again, as the sample showed that not all suspects are deleted.
    pub fn disproved(&mut self, now: Timestamp) {
        self.released = false;
        self.vouched_below = None;
        if let Some(hold) = &mut self.hold {
            *hold = DeletionHold {
                began: now,
                pass_from: now,
                second: false,
                passed: false,
            };
        }
    }

    /// Moves the hold's times back, as the clock here was put back.
    pub fn put_back(&mut self, by: Duration) {
        if let Some(hold) = &mut self.hold {
            hold.began = hold.began - by;
            hold.pass_from = hold.pass_from - by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_counts(calls: u64, suspects: u64) -> RowCounts {
        RowCounts {
            calls,
            suspects,
            tombstones: 0,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn moment(seconds: i64) -> Now {
        Now {
            instant: Instant::now(),
            wall: at(seconds),
        }
    }

    #[test]
    fn the_brake_is_for_more_than_fifty_and_more_than_a_twentieth() {
        for (calls, suspects, held) in [
            (100, 50, false),
            (100, 51, true),
            (2000, 100, false),
            (2000, 101, true),
        ] {
            let change = DeletionGuard::default().judge(row_counts(calls, suspects), at(0));
            assert_eq!(change.is_some(), held, "{suspects} of {calls}");
        }
    }

    /// A hold would give the operator nothing to look at or release.
    #[test]
    fn where_nothing_is_missing_nothing_is_held_however_many_were_removed() {
        let mut holds = DeletionGuard::default();
        holds.removed(400, at(0));
        assert_eq!(holds.judge(row_counts(600, 0), at(1)), None);
        let change = holds.judge(row_counts(600, 1), at(1));
        assert_eq!(change, Some(Change::Held(1)), "what was removed counts");
    }

    #[test]
    fn what_was_removed_lately_counts_among_the_calls_there_were() {
        let mut holds = DeletionGuard::default();
        holds.removed(50, at(0));
        assert_eq!(
            holds.judge(row_counts(1150, 10), at(1)),
            None,
            "60 of 1,200"
        );
        assert!(holds.judge(row_counts(1150, 11), at(1)).is_some());
    }

    #[test]
    fn what_was_removed_is_held_against_what_follows_for_ten_minutes() {
        for (seconds, held) in [(599, true), (600, false)] {
            let mut holds = DeletionGuard::default();
            holds.removed(60, at(0));
            let change = holds.judge(row_counts(900, 1), at(seconds));
            assert_eq!(change.is_some(), held, "{seconds} s");
        }
    }

    #[test]
    fn what_a_brake_let_through_is_not_held_against_what_follows() {
        let mut holds = DeletionGuard::default();
        assert!(holds.judge(row_counts(1000, 100), at(0)).is_some());
        holds.removed(100, at(1));
        assert_eq!(holds.judge(row_counts(900, 0), at(2)), Some(Change::Lifted));
        assert_eq!(holds.judge(row_counts(900, 1), at(3)), None);
    }

    #[test]
    fn what_a_count_of_a_part_lacks_is_held_until_the_whole_is_counted() {
        let mut holds = DeletionGuard::default();
        holds.lacks(100);
        holds.lacks(60);
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(0)),
            Some(Change::Held(100))
        );
        holds.counted(1000, 1000);
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(1)),
            Some(Change::Lifted)
        );
    }

    #[test]
    fn what_the_count_lacks_is_held_before_any_call_is_under_suspicion() {
        let mut holds = DeletionGuard::default();
        holds.counted(800, 1000);
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(0)),
            Some(Change::Held(200))
        );
        holds.counted(1000, 1000);
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(1)),
            Some(Change::Lifted)
        );
    }

    #[test]
    fn two_passes_a_minute_apart_end_it() {
        let mut holds = DeletionGuard::default();
        holds.judge(row_counts(1000, 300), at(100));
        holds.verified_since(at(99), 300, moment(101));
        assert_eq!(holds.reread_before(), Some(at(100)));
        holds.verified_since(at(100), 300, moment(110));
        assert_eq!(holds.reread_before(), Some(at(160)));
        holds.verified_since(at(159), 300, moment(161));
        assert!(!holds.may_be_proven());
        holds.verified_since(at(160), 300, moment(165));
        assert!(holds.may_be_proven());
        holds.disproved(at(170));
        assert!(!holds.may_be_proven());
        assert_eq!(
            holds.judge(row_counts(1000, 2), at(171)),
            Some(Change::Lifted)
        );
    }

    #[test]
    fn a_count_that_a_pass_contradicts_is_not_held_against_it() {
        let mut holds = DeletionGuard::default();
        holds.counted(800, 1000);
        holds.judge(row_counts(1000, 0), at(0));
        holds.verified_since(at(0), 0, moment(1));
        holds.counted(700, 1000);
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(2)),
            None,
            "it lacks more"
        );
        assert_eq!(holds.reread_before(), Some(at(61)));
        holds.verified_since(at(61), 0, moment(62));
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(62)),
            Some(Change::Lifted)
        );
        holds.counted(700, 1000);
        assert_eq!(holds.judge(row_counts(1000, 0), at(63)), None);
        holds.counted(600, 1000);
        assert_eq!(
            holds.judge(row_counts(1000, 0), at(64)),
            Some(Change::Held(100))
        );
    }

    /// The count lacked what is removed by now, and lacks as many again.
    #[test]
    fn a_count_that_stays_wrong_after_the_deletions_takes_one_more_pass() {
        let mut holds = DeletionGuard::default();
        holds.counted(700, 1000);
        holds.judge(row_counts(1000, 300), at(0));
        holds.verified_since(at(0), 300, moment(1));
        holds.verified_since(at(60), 300, moment(61));
        assert!(holds.may_be_proven());
        holds.removed(300, at(62));
        holds.counted(500, 700);
        assert_eq!(holds.judge(row_counts(700, 0), at(63)), None);
        holds.verified_since(at(60), 0, moment(64));
        assert_eq!(
            holds.judge(row_counts(700, 0), at(64)),
            None,
            "nobody looked since"
        );
        holds.verified_since(at(64), 0, moment(70));
        assert_eq!(
            holds.judge(row_counts(700, 0), at(70)),
            Some(Change::Lifted)
        );
    }

    #[test]
    fn a_count_that_is_wrong_does_not_hold_what_was_proven_for_ever() {
        let mut holds = DeletionGuard::default();
        holds.counted(0, 1000);
        holds.judge(row_counts(1000, 3), at(0));
        holds.verified_since(at(0), 3, moment(1));
        holds.verified_since(at(60), 3, moment(61));
        holds.removed(3, at(62));
        assert_eq!(
            holds.judge(row_counts(997, 0), at(62)),
            Some(Change::Lifted)
        );
    }

    #[test]
    fn a_deletion_of_every_call_is_held_until_it_is_released() {
        let mut holds = DeletionGuard::default();
        assert!(holds.is_alone() && !holds.is_alone(), "said once");
        holds.judge(row_counts(2, 2), at(0));
        assert!(holds.is_held() && holds.release());
        holds.judge(row_counts(0, 0), at(1));
        assert!(!holds.is_held() && !holds.is_released());
    }

    #[test]
    fn the_operator_may_release_what_is_held_and_nothing_else() {
        let mut holds = DeletionGuard::default();
        assert!(!holds.release() && !holds.is_released());
        holds.judge(row_counts(1000, 300), at(0));
        assert!(holds.release() && !holds.may_be_proven());
        holds.verified_since(at(0), 300, moment(1));
        assert!(holds.may_be_proven(), "one pass, and the operator's word");
        holds.judge(row_counts(700, 0), at(1));
        assert!(!holds.is_released(), "it was for those, not for the next");
    }

    #[test]
    fn what_is_released_below_a_list_is_released_until_it_was_read() {
        let mut holds = DeletionGuard::default();
        holds.vouch_below_list(3);
        assert!(!holds.read_below_list(2), "nothing was released");
        holds.doubt_list(Instant::now(), 7, 1000);
        assert!(holds.release());
        holds.vouch_below_list(8);
        holds.list_believed();
        holds.judge(row_counts(8, 0), at(0));
        assert!(holds.is_released() && holds.read_below_list(8));
        assert!(!holds.read_below_list(9));
        holds.judge(row_counts(8, 8), at(1));
        assert!(holds.is_released(), "these were read under the word");
        holds.judge(row_counts(0, 0), at(2));
        assert!(!holds.is_released());
    }

    #[test]
    fn a_doubted_list_needs_a_minute_and_a_witness() {
        let start = Instant::now();
        let mut holds = DeletionGuard::default();
        assert!(holds.doubt_list(start, 7, 500) && !holds.doubt_list(start, 8, 1000));
        assert!(holds.is_too_short(999, start) && !holds.is_too_short(1000, start));
        assert!(holds.lacks_witness());
        holds.witness(7);
        assert!(holds.lacks_witness(), "it was found before the doubt");
        holds.witness(9);
        assert!(!holds.believes_list(start + LONG_ENOUGH / 2));
        assert!(holds.believes_list(start + LONG_ENOUGH));
        holds.list_believed();
        assert!(!holds.is_held() && !holds.believes_list(start + LONG_ENOUGH));
    }

    #[test]
    fn deletions_that_are_found_in_small_steps_are_many_together() {
        let mut holds = DeletionGuard::default();
        let mut calls = 1000;
        for step in 0..2 {
            let now = at(step);
            assert_eq!(holds.judge(row_counts(calls, 25), now), None, "{step}");
            holds.removed(25, now);
            calls -= 25;
            assert_eq!(
                holds.judge(row_counts(calls, 0), now),
                None,
                "nothing to hold"
            );
        }
        let held = holds.judge(row_counts(calls, 9), at(4));
        assert_eq!(held, Some(Change::Held(9)));
        assert_eq!(holds.judge(row_counts(calls, 9), at(5)), None, "it stays");
        // After two passes they are removed, and what went before is forgotten.
        holds.verified_since(at(5), 9, moment(5));
        holds.verified_since(at(70), 9, moment(70));
        assert!(holds.may_be_proven());
        holds.removed(9, at(71));
        assert_eq!(
            holds.judge(row_counts(calls - 9, 0), at(71)),
            Some(Change::Lifted)
        );
        assert_eq!(holds.judge(row_counts(calls - 9, 20), at(72)), None);
    }

    #[test]
    fn deletions_over_hours_are_few_at_any_time() {
        let mut holds = DeletionGuard::default();
        for hour in 0..48 {
            let now = at(hour * 3600);
            assert_eq!(holds.judge(row_counts(1000, 20), now), None, "{hour}");
            holds.removed(20, now);
        }
    }
}
