//! How far down a page of the list tells everything.

use crate::model::Timestamp;
use crate::upstream::{ListQuery, Page};

pub enum Reach {
    /// To the end of what was asked for.
    Whole,
    /// To just above this instant: the page may have cut it in two.
    Above(Timestamp),
    /// Nowhere: it holds nothing but calls without a start, or nothing at all.
    Nowhere,
}

/// What is known of how many rows the server puts on a page, whatever it is asked for.
#[derive(Debug, Default)]
pub struct PageSize {
    /// The most rows ever seen on one.
    longest: usize,
}

impl PageSize {
    /// A full page never counts as the last one, whatever its total says: the two are not counted
    /// at the same time. Where there is no total, a page as long as the longest one may have been
    /// cut by a limit of the server's own; reading on below it tells, for one request.
    pub fn reach(&mut self, query: &ListQuery, page: &Page) -> Reach {
        let rows = page.calls.len();
        let cut = rows >= query.limit
            || match page.total {
                Some(total) => total > (query.skip + rows) as u64,
                None => rows > 0 && rows >= self.longest,
            };
        self.longest = self.longest.max(rows);
        match (cut, page.calls.last().and_then(|call| call.started_at)) {
            (false, _) => Reach::Whole,
            (true, Some(oldest)) => Reach::Above(oldest),
            (true, None) => Reach::Nowhere,
        }
    }

    /// A page of that many rows was cut, by the upstream's own count.
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
        let mut size = PageSize::default();
        assert!(is_whole(&mut size, 5, Some(5)));
        assert!(!is_whole(&mut size, 5, Some(6)));
        assert!(!is_whole(&mut size, 10, Some(10)));
    }

    #[test]
    fn without_a_total_a_page_is_the_last_one_if_longer_ones_were_seen() {
        let mut size = PageSize::default();
        assert!(!is_whole(&mut size, 7, None));
        assert!(is_whole(&mut size, 6, None));
        assert!(!is_whole(&mut size, 7, None));
        assert!(is_whole(&mut size, 0, None));
        size.was_cut_at(5);
        assert!(!is_whole(&mut size, 6, None));
    }
}
