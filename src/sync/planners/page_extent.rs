//! How far down a page of the list is complete, and how long a page may be.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Timestamp;
use crate::upstream::{ListQuery, Page};

pub enum Reach {
    /// To the end of the requested range.
    Whole,
    /// To just above this instant, which the page's end may have cut in two.
    Above(Timestamp),
    /// Nowhere: it has nothing but calls without a start, or nothing at all.
    Nowhere,
}

/// What is known of how many rows the server puts on a page.
#[derive(Debug)]
pub struct PageSize {
    /// What is requested where nothing else is known.
    most: usize,
    /// The most rows ever seen on a page that was not cut by the requested limit.
    longest: usize,
    /// Rows on a page that the server cut shorter than requested.
    cut_at: Option<usize>,
    /// The longest page that the server serves, where longer ones fail.
    limit: Option<usize>,
    /// The shortest page that took too long or broke off since one as long was served, and how
    /// often.
    strained: Option<(usize, u32)>,
    /// When a longer page is tried next, and how long to wait after that.
    try_longer_at: Option<Instant>,
    pause: Duration,
    /// The length that was last tried.
    tried: usize,
    /// True if the file does not have the limit yet.
    is_news: bool,
}

/// Fewer failures for a page's length than this may be transient.
const STRAINS: u32 = 2;

/// A page that is shorter than the usual one by this factor does not fail for its length.
const SHORT: usize = 16;

/// Nor does a page of fewer rows than this, whatever the usual length is.
const SHORTEST: usize = 4;

/// A longer page is tried after this long, and then ever more rarely.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);

impl PageSize {
    /// `learned` is the longest page served that the file knows of.
    pub fn new(most: usize, learned: Option<usize>, now: Instant) -> PageSize {
        let limit = learned.filter(|limit| (1..most).contains(limit));
        PageSize {
            most,
            longest: 0,
            cut_at: None,
            limit,
            strained: None,
            try_longer_at: limit.map(|_| now + FIRST_PAUSE),
            pause: FIRST_PAUSE,
            tried: 0,
            is_news: false,
        }
    }

    /// The rows to request.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(self.most)
    }

    /// The rows that fit a page: a server may cut it shorter than requested.
    pub fn room(&self) -> usize {
        self.cut_at.unwrap_or(usize::MAX).min(self.limit())
    }

    /// Notes that the server refuses pages of `asked` rows, and how many it serves, if it said so.
    pub fn refused(&mut self, asked: usize, serves: Option<usize>, now: Instant) {
        let limit = serves.unwrap_or(asked / 2).clamp(1, asked.max(2) - 1);
        // A limit that transient failures taught may be below what the server serves.
        let says_more = serves.is_some() && limit > self.limit();
        if limit < self.limit() || says_more {
            self.learn(Some(limit), now);
        }
    }

    /// Notes that a page of `asked` rows took too long or broke off, which above the limit is no
    /// news.
    pub fn strained(&mut self, asked: usize) {
        if asked > self.limit() {
            return;
        }
        let (least, strains) = self.strained.unwrap_or((asked, 0));
        self.strained = Some((least.min(asked), strains + 1));
    }

    /// Takes in a page of `rows` rows, requested with `asked`. Returns whether it taught another
    /// length; if not, a longer page that waits to be tried goes on waiting.
    pub fn served(&mut self, asked: usize, rows: usize, now: Instant) -> bool {
        let before = self.limit;
        if self.strained.is_some_and(|(least, _)| rows >= least) {
            self.strained = None;
        }
        // A list with fewer rows than were tried has no page that is too long. Once it grows past
        // the limit, its newest calls must not wait for the next try.
        let served = if asked == self.tried { asked } else { rows };
        if served > self.limit() {
            let limit = Some(served).filter(|rows| *rows < self.most);
            self.learn(limit, now);
        }
        let is_full = rows == asked && rows > 0;
        if let Some((least, strains)) = self.strained
            && is_full
            && strains >= STRAINS
            && rows < least
            && rows < self.limit()
            && rows >= (self.most / SHORT).max(SHORTEST)
        {
            self.strained = None;
            self.learn(Some(rows), now);
        }
        self.limit != before
    }

    /// The length of a page longer than the limit, if one is due to be tried.
    pub fn longer(&mut self, now: Instant) -> Option<usize> {
        let limit = self.limit?;
        self.try_longer_at.filter(|at| *at <= now)?;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.try_longer_at = Some(now + self.pause);
        self.tried = (limit * 2).min(self.most);
        Some(self.tried)
    }

    /// The limit, if the file is to store it: `Some(None)` where there is none any more.
    pub fn news(&mut self) -> Option<Option<usize>> {
        std::mem::take(&mut self.is_news).then_some(self.limit)
    }

    fn learn(&mut self, limit: Option<usize>, now: Instant) {
        self.tried = 0;
        self.pause = FIRST_PAUSE;
        self.try_longer_at = limit.map(|_| now + self.pause);
        self.limit = limit;
        self.is_news = true;
    }

    /// How far down the page is complete. A full page never counts as the last one, whatever its
    /// total says: the two are not counted at the same time. Where there is no total, a page as
    /// long as the longest one may have been cut by a limit of the server's own; reading on below
    /// it shows that, for one request.
    pub fn reach(&mut self, query: &ListQuery, page: &Page) -> Reach {
        let rows = page.rows;
        let is_longest = rows > 0 && rows >= self.longest;
        let told = |rows: usize| (query.skip + rows) as u64;
        let cut = rows >= query.limit
            || match page.total {
                Some(total) if total > told(rows) => true,
                // Whether the total counts a doubled row twice is unknown.
                Some(total) if total > told(page.calls.len()) => is_longest,
                Some(_) => false,
                None => is_longest,
            };
        if cut && rows < query.limit {
            self.cut_at = Some(rows);
        } else if self.cut_at.is_some_and(|cut_at| rows >= cut_at) {
            self.cut_at = None;
        }
        // A doubled row may be one too many.
        self.longest = self.longest.max(page.calls.len());
        match (cut, page.calls.last().and_then(|call| call.started_at)) {
            (false, _) => Reach::Whole,
            (true, Some(oldest)) => Reach::Above(oldest),
            (true, None) => Reach::Nowhere,
        }
    }

    /// Notes that a page of this many rows was cut, by the upstream's own count.
    pub fn was_cut_at(&mut self, rows: usize) {
        self.longest = self.longest.min(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Call;

    fn page(rows: i64, total: Option<u64>) -> Page {
        let call = |id| {
            let text = format!(
                r#"{{"id":{id},"call_sid":"CA{id}","status":"x","started_at":"2026-01-01T00:00:00"}}"#
            );
            Call::from_json(&text).unwrap()
        };
        Page {
            calls: (0..rows).map(call).collect(),
            rows: usize::try_from(rows).unwrap(),
            doubled: Vec::new(),
            total,
        }
    }

    fn query(limit: usize) -> ListQuery {
        ListQuery {
            limit,
            ..ListQuery::default()
        }
    }

    fn is_whole(size: &mut PageSize, rows: i64, total: Option<u64>) -> bool {
        matches!(size.reach(&query(10), &page(rows, total)), Reach::Whole)
    }

    #[test]
    fn a_total_tells_a_cut_page_from_the_last_one() {
        let mut size = PageSize::new(1000, None, Instant::now());
        assert!(is_whole(&mut size, 5, Some(5)));
        assert!(!is_whole(&mut size, 5, Some(6)));
        assert!(!is_whole(&mut size, 10, Some(10)));
    }

    #[test]
    fn without_a_total_a_page_is_the_last_one_if_longer_ones_were_seen() {
        let mut size = PageSize::new(1000, None, Instant::now());
        assert!(!is_whole(&mut size, 7, None));
        assert!(is_whole(&mut size, 6, None));
        assert!(!is_whole(&mut size, 7, None));
        assert!(is_whole(&mut size, 0, None));
        size.was_cut_at(5);
        assert!(!is_whole(&mut size, 6, None));
    }

    #[test]
    fn what_the_server_says_it_serves_is_asked_for_from_then_on() {
        let now = Instant::now();
        let mut size = PageSize::new(1000, None, now);
        size.refused(1000, Some(100), now);
        assert_eq!((size.limit(), size.news()), (100, Some(Some(100))));
        assert_eq!(size.news(), None, "once");
        size.refused(1000, Some(100), now);
        assert_eq!(size.news(), None, "an answer to an earlier request");
        size.refused(100, None, now);
        assert_eq!(size.limit(), 50, "it did not say");
        size.refused(50, Some(70), now);
        assert_eq!(size.limit(), 49, "what it says can't be");
        size.refused(98, Some(75), now);
        assert_eq!(size.limit(), 75, "it says that it serves more");
        size.refused(150, None, now);
        assert_eq!(
            size.limit(),
            75,
            "that is half of what it refuses, and no news"
        );
    }

    #[test]
    fn a_row_that_comes_twice_makes_no_page_longer_than_the_server_serves() {
        let mut size = PageSize::new(1000, None, Instant::now());
        assert!(!is_whole(&mut size, 5, None), "the longest so far");
        let doubled = Page {
            rows: 6,
            ..page(5, None)
        };
        assert!(!matches!(size.reach(&query(10), &doubled), Reach::Whole));
        assert!(!is_whole(&mut size, 5, None), "it may be cut on");
        assert!(is_whole(&mut size, 4, None));
        // A total above the calls on the page may mean one that did not fit.
        for (total, whole) in [(5, true), (6, false), (7, false)] {
            let doubled = Page {
                rows: 6,
                ..page(5, Some(total))
            };
            let reach = size.reach(&query(10), &doubled);
            assert_eq!(matches!(reach, Reach::Whole), whole, "{total}");
        }
        let doubled = Page {
            rows: 4,
            ..page(3, Some(4))
        };
        let reach = size.reach(&query(10), &doubled);
        assert!(matches!(reach, Reach::Whole), "longer ones came");
    }

    #[test]
    fn a_length_is_learned_where_longer_pages_fail_and_this_one_is_full() {
        let now = Instant::now();
        let mut size = PageSize::new(1000, None, now);
        size.strained(1000);
        size.served(250, 250, now);
        assert_eq!(size.limit(), 1000, "one failure is the moment's");
        size.strained(1000);
        size.served(250, 200, now);
        assert_eq!(size.limit(), 1000, "a page that is not full shows nothing");
        size.served(500, 500, now);
        assert_eq!(size.limit(), 500);
        for _ in 0..3 {
            size.strained(1000);
        }
        size.served(250, 250, now);
        assert_eq!(size.limit(), 500, "that longer ones fail is known");
        for _ in 0..3 {
            size.strained(500);
        }
        size.served(20, 20, now);
        assert_eq!(
            size.limit(),
            500,
            "so short a page fails for another reason"
        );
        size.strained(900);
        size.served(1000, 950, now);
        assert_eq!(size.limit(), 950, "longer ones are served");
    }

    #[test]
    fn a_page_as_long_as_the_limit_is_no_news_and_puts_no_longer_one_off() {
        let now = Instant::now();
        let mut size = PageSize::new(1000, None, now);
        for _ in 0..2 {
            size.strained(700);
        }
        size.refused(1000, Some(100), now);
        assert_eq!(size.news(), Some(Some(100)));
        assert_eq!(size.longer(now), None, "not at once");
        size.served(100, 100, now + FIRST_PAUSE);
        assert_eq!(size.news(), None);
        assert_eq!(size.longer(now + FIRST_PAUSE), Some(200));
    }

    /// Otherwise the head of a growing list would be short until the next try, a day later.
    #[test]
    fn a_longer_page_that_is_served_is_the_limit_though_the_list_is_shorter() {
        let now = Instant::now();
        let mut size = PageSize::new(1000, Some(300), now);
        let learned = size.served(600, 50, now);
        assert!(!learned, "one that was under way may break off");
        assert_eq!(size.limit(), 300);
        let now = now + FIRST_PAUSE;
        assert_eq!(size.longer(now), Some(600));
        assert!(size.served(600, 50, now));
        assert_eq!(size.limit(), 600);
        let now = now + FIRST_PAUSE;
        assert_eq!(size.longer(now), Some(1000));
        size.served(1000, 50, now);
        assert_eq!((size.limit(), size.news()), (1000, Some(None)));
    }

    #[test]
    fn a_page_has_room_for_as_many_rows_as_the_server_lets_it_have() {
        let mut size = PageSize::new(10, None, Instant::now());
        assert_eq!(size.room(), 10);
        for (rows, total, room) in [(4, 9, 4), (3, 3, 4), (5, 9, 5), (5, 5, 10), (10, 20, 10)] {
            is_whole(&mut size, rows, Some(total));
            assert_eq!(size.room(), room, "{rows} of {total}");
        }
    }

    #[test]
    fn a_total_above_the_rows_shows_a_cut_page() {
        let mut size = PageSize::new(1000, None, Instant::now());
        assert!(is_whole(&mut size, 8, Some(8)));
        assert!(!is_whole(&mut size, 5, Some(6)));
        assert!(is_whole(&mut size, 5, Some(5)));
    }

    #[test]
    fn a_longer_page_is_tried_ever_more_rarely() {
        let mut now = Instant::now();
        let mut size = PageSize::new(1000, Some(100), now);
        assert_eq!((size.limit(), size.longer(now)), (100, None));
        let mut tries = 0;
        for _ in 0..7 * 24 * 60 {
            now += Duration::from_secs(60);
            tries += u32::from(size.longer(now) == Some(200));
        }
        assert!((10..25).contains(&tries), "{tries} in a week");
        size.served(200, 200, now);
        assert_eq!(size.limit(), 200);
        size.served(1000, 1000, now);
        assert_eq!((size.limit(), size.news()), (1000, Some(None)));
    }
}
