//! How the head is requested where it can't be read as it is.
//!
//! One row that the upstream can't read makes every page with it fail, and is no outage. The page
//! is requested again at once, and then a quarter as long, until it ends above that row; a row that
//! fails by itself is skipped, and the page begins below it. What was cut off is left to history,
//! and what was skipped is tried again at every poll. Once a shorter page was read, it grows again
//! at once, up to what can be read. Pure.

use crate::model::Timestamp;
use crate::upstream::ListQuery;

/// After this many failures in a row the head waits as long as after any other failure: it is the
/// list that fails, not its rows.
const AT_ONCE: u32 = 24;

/// By how much each failure shortens the page.
const NARROWING: usize = 4;

/// A page that is shorter than the longest by this factor does not fail for its length.
const SHORT: usize = 8;

/// Heads that are read before a longer one is tried.
const READ_BEFORE_WIDENING: u32 = 10;

/// This many rows are skipped one by one; after that the steps grow by half each time.
const SINGLE_STEPS: usize = 16;

/// More rows than this are never unreadable: the steps start again.
const MOST_STEPPED: usize = 1000;

/// When the page is requested again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// At once, in another way than before.
    AtOnce,
    /// After a pause: the failure has nothing to do with how the page was requested.
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The page as it can be read.
    Page,
    /// The top row alone, which could not be read when it was last tried.
    Top,
}

/// Whether the page is read below the calls without a start, which come first, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    Nothing,
    /// They would fill the page.
    Many,
    /// One of them may be the row that fails.
    Suspected,
    /// One of them failed, or shorter pages had nothing else.
    Failing,
    /// As for [`Below::Failing`], but the page is read from the top for once.
    Trying,
}

#[derive(Debug)]
pub struct HeadPage {
    /// The page's length where every row can be read.
    longest: usize,
    limit: usize,
    skip: usize,
    below: Below,
    /// The longest page that was read since one failed, while longer ones are tried.
    read: Option<usize>,
    growing: bool,
    turn: Turn,
    failures: u32,
    successes: u32,
}

impl HeadPage {
    pub fn new(longest: usize) -> HeadPage {
        HeadPage {
            longest,
            limit: longest,
            skip: 0,
            below: Below::Nothing,
            read: None,
            growing: false,
            turn: Turn::Page,
            failures: 0,
            successes: 0,
        }
    }

    pub fn limit(&self) -> usize {
        match self.turn {
            Turn::Page => self.limit,
            Turn::Top => 1,
        }
    }

    /// How many unreadable rows at the top are skipped.
    pub fn skip(&self) -> usize {
        match self.turn {
            Turn::Page => self.skip,
            Turn::Top => 0,
        }
    }

    /// The head's request.
    pub fn query(&self) -> ListQuery {
        ListQuery {
            from: self.is_ranged().then_some(Timestamp::MIN),
            to: None,
            status: None,
            skip: self.skip(),
            limit: self.limit(),
        }
    }

    pub fn is_ranged(&self) -> bool {
        matches!(self.below, Below::Many | Below::Suspected | Below::Failing)
    }

    /// Reads the page below the calls without a start from now on, since they fill it.
    pub fn range(&mut self) {
        self.below = match self.below {
            Below::Many => Below::Many,
            // The top row alone is no full page either.
            _ if self.limit() < self.longest => Below::Failing,
            _ => Below::Many,
        };
    }

    /// Reads the page from the top again if it has full length, since the calls without a start
    /// were all read, and are few.
    pub fn unrange(&mut self) {
        if self.limit >= self.longest {
            self.below = Below::Nothing;
        }
    }

    /// Sets the page length that the upstream serves.
    pub fn set_longest(&mut self, longest: usize) {
        let was_longest = self.limit == self.longest;
        self.longest = longest;
        self.limit = match was_longest {
            true => longest,
            false => self.limit.min(longest),
        };
    }

    /// Tries a longer page once; if it fails, this length is requested again at once.
    pub fn try_longer(&mut self, limit: usize) {
        self.read = Some(self.limit);
        self.limit = limit;
    }

    /// Takes in a failure of the page's rows, or of their number.
    pub fn failed_by_rows(&mut self) -> Again {
        if self.turn == Turn::Top {
            self.turn = Turn::Page;
            return Again::AtOnce;
        }
        if self.shrink_back() {
            return Again::AtOnce;
        }
        if self.failures == 0 {
            // One failure may be transient.
        } else if self.limit > 1 {
            self.limit = (self.limit / NARROWING).max(1);
        } else if !self.is_ranged() && self.skip == 0 {
            self.below = Below::Suspected;
        } else {
            if self.below == Below::Suspected {
                self.below = Below::Nothing;
            }
            self.skip += match self.skip < SINGLE_STEPS {
                true => 1,
                false => self.skip / 2,
            };
            if self.skip > MOST_STEPPED {
                self.skip = 0;
                self.limit = self.longest;
            }
        }
        self.note_failure()
    }

    /// Takes in a page that took too long or broke off.
    pub fn failed_by_length(&mut self) -> Again {
        if self.turn == Turn::Top {
            self.turn = Turn::Page;
            return Again::AtOnce;
        }
        if self.shrink_back() {
            return Again::AtOnce;
        }
        if self.limit <= self.longest / SHORT {
            return Again::Later;
        }
        self.limit = (self.limit / NARROWING).max(1);
        self.note_failure()
    }

    /// Takes in a page that was read. Returns whether a longer one is to be tried at once.
    pub fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.below = match self.below {
            Below::Suspected => Below::Failing,
            Below::Trying => Below::Nothing,
            below => below,
        };
        if self.turn == Turn::Top {
            // The row can be read again, or newer rows are above it.
            self.turn = Turn::Page;
            self.skip = 0;
            self.limit = 1;
            self.growing = true;
        } else if !self.growing {
            self.look_at_the_top();
        }
        if self.limit >= self.longest {
            let has_grown = self.read.take().is_some();
            self.growing = false;
            self.successes += 1;
            if has_grown || self.successes >= READ_BEFORE_WIDENING {
                self.successes = 0;
                if self.below == Below::Failing && self.skip == 0 {
                    self.below = Below::Trying;
                }
            }
            self.look_at_the_top();
            return false;
        }
        // A longer page was tried and read: the rest may be readable too.
        self.growing |= self.read.is_some_and(|read| read < self.limit);
        if !self.growing {
            self.successes += 1;
            if self.successes >= READ_BEFORE_WIDENING {
                self.successes = 0;
                self.turn = Turn::Page;
                self.try_longer((self.limit * 2).min(self.longest));
            }
            return false;
        }
        self.try_longer((self.limit * 2).min(self.longest));
        true
    }

    /// Has skipped rows tried first at the next poll.
    fn look_at_the_top(&mut self) {
        if self.skip > 0 {
            self.turn = Turn::Top;
        }
    }

    /// Returns to what could be read, where a longer page was only tried. Returns whether it was.
    fn shrink_back(&mut self) -> bool {
        if self.below == Below::Trying {
            self.below = Below::Failing;
            return true;
        }
        let Some(read) = self.read.take().filter(|read| *read < self.limit) else {
            return false;
        };
        self.limit = read;
        self.growing = false;
        self.successes = 0;
        true
    }

    fn note_failure(&mut self) -> Again {
        self.growing = true;
        self.successes = 0;
        self.failures += 1;
        match self.failures > AT_ONCE {
            true => Again::Later,
            false => Again::AtOnce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One poll of a list of `rows`, of which some can't be read. Returns the rows of the last page
    /// that was read, and how many requests that took.
    fn poll(newest: &mut HeadPage, rows: &[bool]) -> (Vec<usize>, usize) {
        let mut read = Vec::new();
        for requests in 1..200 {
            let page: Vec<usize> = (newest.skip()..rows.len()).take(newest.limit()).collect();
            let more = match page.iter().all(|row| rows[*row]) {
                true => {
                    read = page;
                    newest.succeeded()
                }
                false => newest.failed_by_rows() == Again::AtOnce,
            };
            if !more {
                return (read, requests);
            }
        }
        panic!("it goes on for ever: {newest:?}");
    }

    fn rows(unreadable: &[usize]) -> Vec<bool> {
        (0..5000).map(|row| !unreadable.contains(&row)).collect()
    }

    #[test]
    fn a_page_ends_above_a_row_that_can_not_be_read() {
        for row in [1, 2, 7, 300, 999] {
            let mut newest = HeadPage::new(1000);
            let (read, requests) = poll(&mut newest, &rows(&[row]));
            assert!(read.len() * 2 > row.min(500), "{row}: {} read", read.len());
            assert!(read.iter().all(|read| *read < row), "{row}");
            assert!(requests <= 20, "{row}: {requests} requests");
            assert!(poll(&mut newest, &rows(&[row])).1 <= 2, "found once");
        }
    }

    #[test]
    fn rows_at_the_top_are_stepped_over_and_tried_at_each_poll() {
        for unreadable in [1, 2, 18] {
            let bad: Vec<usize> = (0..unreadable).collect();
            let mut newest = HeadPage::new(1000);
            let mut polls = 0;
            while newest.skip < unreadable {
                poll(&mut newest, &rows(&bad));
                polls += 1;
                assert!(polls < 10, "{newest:?}");
            }
            assert!(!newest.is_ranged(), "a row with a start");
            let (read, requests) = poll(&mut newest, &rows(&bad));
            assert!(read.len() >= 900 && read[0] >= unreadable, "{newest:?}");
            assert!(requests <= 3, "{requests} requests");
            // The row can be read again.
            poll(&mut newest, &rows(&[]));
            let (read, _) = poll(&mut newest, &rows(&[]));
            assert_eq!(read, (0..1000).collect::<Vec<_>>());
        }
    }

    /// One poll of a list whose first two rows have no start, of which one can't be read.
    fn poll_undated(newest: &mut HeadPage, bad: Option<usize>) -> usize {
        for requests in 1..200 {
            let first = if newest.is_ranged() { 2 } else { 0 } + newest.skip();
            let page = first..first + newest.limit();
            let more = match bad.is_some_and(|bad| page.contains(&bad)) {
                true => newest.failed_by_rows() == Again::AtOnce,
                false => {
                    if page.end <= 2 {
                        newest.range();
                    }
                    newest.succeeded()
                }
            };
            if !more {
                return requests;
            }
        }
        panic!("it goes on for ever: {newest:?}");
    }

    #[test]
    fn an_unreadable_row_without_a_start_is_retried_every_ten_polls() {
        for bad in [0, 1] {
            let mut newest = HeadPage::new(1000);
            for _ in 0..3 {
                poll_undated(&mut newest, Some(bad));
            }
            let mut requests = 0;
            for _ in 0..100 {
                requests += poll_undated(&mut newest, Some(bad));
                assert!(newest.is_ranged() || newest.below == Below::Trying);
                assert_eq!((newest.limit(), newest.skip()), (1000, 0));
            }
            assert!(requests <= 112, "{bad}: {requests} requests");
            for _ in 0..=READ_BEFORE_WIDENING {
                poll_undated(&mut newest, None);
            }
            assert_eq!((newest.below, newest.limit()), (Below::Nothing, 1000));
        }
    }

    #[test]
    fn a_page_is_asked_for_once_more_and_then_a_quarter_as_long() {
        let mut newest = HeadPage::new(1000);
        let mut limits = Vec::new();
        for _ in 0..6 {
            newest.failed_by_rows();
            limits.push(newest.limit());
        }
        assert_eq!(limits, [1000, 250, 62, 15, 3, 1]);
    }

    #[test]
    fn a_top_row_without_a_start_above_one_that_was_stepped_over_is_not_many() {
        let mut newest = HeadPage::new(1000);
        while newest.skip == 0 || newest.limit < 1000 {
            poll(&mut newest, &rows(&[0]));
        }
        assert_eq!((newest.limit(), newest.turn), (1, Turn::Top));
        newest.range();
        for _ in 0..=READ_BEFORE_WIDENING {
            poll(&mut newest, &rows(&[]));
        }
        assert_eq!((newest.below, newest.limit()), (Below::Nothing, 1000));
    }

    #[test]
    fn a_page_below_many_that_grew_short_is_not_read_from_the_top_for_that() {
        let mut newest = HeadPage::new(1000);
        newest.range();
        newest.failed_by_length();
        newest.range();
        for _ in 0..30 {
            while newest.succeeded() {}
            assert!(newest.is_ranged(), "{newest:?}");
        }
        assert_eq!(newest.limit(), 1000);
    }

    #[test]
    fn the_page_is_as_long_as_the_server_serves_and_a_shorter_one_stays() {
        let mut newest = HeadPage::new(1000);
        newest.set_longest(100);
        assert_eq!(newest.limit(), 100);
        newest.set_longest(1000);
        assert_eq!(newest.limit(), 1000);
        newest.failed_by_length();
        newest.set_longest(900);
        assert_eq!(newest.limit(), 250);
        newest.set_longest(100);
        assert_eq!(newest.limit(), 100);
        // A longer page was refused: its length must not stay where no shorter page can be read.
        newest.try_longer(200);
        newest.set_longest(100);
        assert_eq!(newest.limit(), 100);
    }

    #[test]
    fn a_full_page_is_read_from_the_top_once_few_calls_lack_a_start() {
        let mut newest = HeadPage::new(1000);
        newest.range();
        newest.unrange();
        assert!(!newest.is_ranged());
        newest.failed_by_length();
        newest.range();
        newest.unrange();
        assert!(newest.is_ranged(), "a short one may hold nothing else");
    }

    #[test]
    fn a_list_that_fails_altogether_waits_after_a_moment() {
        let mut newest = HeadPage::new(1000);
        let at_once = std::iter::repeat_with(|| newest.failed_by_rows());
        let tries = at_once.take_while(|again| *again == Again::AtOnce).count();
        assert_eq!(tries, AT_ONCE as usize);
        for _ in 0..100 {
            assert_eq!(newest.failed_by_rows(), Again::Later);
        }
        while newest.failed_by_rows() != Again::AtOnce && newest.limit() != 1000 {}
        assert!(newest.skip() <= MOST_STEPPED);
    }

    #[test]
    fn a_slow_page_is_shortened_but_not_for_ever() {
        let mut newest = HeadPage::new(1000);
        assert_eq!(newest.failed_by_length(), Again::AtOnce);
        assert_eq!(newest.limit(), 250);
        assert_eq!(newest.failed_by_length(), Again::AtOnce);
        assert_eq!(newest.failed_by_length(), Again::Later, "the line is down");
        assert!(newest.succeeded(), "and grows again at once");
        assert_eq!(newest.limit(), 124);
    }

    #[test]
    fn many_rows_at_the_top_are_stepped_over_in_ever_longer_steps() {
        let mut newest = HeadPage::new(4);
        let mut skips: Vec<usize> = Vec::new();
        for _ in 0..40 {
            newest.failed_by_rows();
            skips.push(newest.skip());
        }
        skips.dedup();
        let singly = 0..=SINGLE_STEPS;
        let expected: Vec<_> = singly
            .chain([24, 36, 54, 81, 121, 181, 271, 406, 609, 913, 0])
            .collect();
        assert!(skips.starts_with(&expected), "{skips:?}");
    }

    /// Also where a row further below keeps the page short.
    #[test]
    fn a_row_that_was_stepped_over_is_tried_at_each_poll_whatever_is_below() {
        for polls in 10..40 {
            let mut newest = HeadPage::new(1000);
            let mut read = Vec::new();
            for _ in 0..polls {
                (read, _) = poll(&mut newest, &rows(&[0, 300]));
            }
            assert!((1..300).contains(&read.len()) && read[0] == 1, "{read:?}");
            let found = (0..2).any(|_| poll(&mut newest, &rows(&[300])).0.first() == Some(&0));
            assert!(found, "mended after {polls} polls: {newest:?}");
        }
    }

    #[test]
    fn the_longer_page_that_is_tried_is_twice_as_long() {
        let mut newest = HeadPage::new(1000);
        newest.failed_by_length();
        newest.failed_by_length();
        let shortest = newest.limit();
        assert!(newest.succeeded());
        assert_eq!(newest.limit(), 2 * shortest);
        newest.failed_by_length();
        assert_eq!(newest.limit(), shortest);
        for _ in 0..READ_BEFORE_WIDENING {
            assert_eq!(newest.limit(), shortest);
            assert!(!newest.succeeded());
        }
        assert_eq!(newest.limit(), 2 * shortest);
    }

    #[test]
    fn a_longer_page_is_tried_now_and_then() {
        let mut newest = HeadPage::new(1000);
        poll(&mut newest, &rows(&[300]));
        let shorter = newest.limit();
        assert!(shorter <= 300);
        for _ in 0..=READ_BEFORE_WIDENING {
            let (read, requests) = poll(&mut newest, &rows(&[]));
            // The page grows at once: the first longer one that is read is followed by all others.
            assert!(
                read.len() == shorter || read.len() == 1000,
                "{}",
                read.len()
            );
            assert!(requests < 10);
        }
        assert_eq!(newest.limit(), 1000);
    }
}
