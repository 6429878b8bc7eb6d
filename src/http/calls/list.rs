//! A page of the list: the stored texts, one after the other.

use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::http::caching::response_cache::CachedResponse;
use crate::http::calls::question::CollectionQuery;
use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::reading::completeness::{AnswerScope, Reach};
use crate::model::{CallFilter, Timestamp, text_hash};
use crate::store::StoredCall;
use crate::sync::PendingWrites;

const USUAL_LIMIT: i64 = 100;
const LARGEST_LIMIT: i64 = 1000;

/// The parameters of a page.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    filter: CallFilter,
    page: Page,
}

/// The part of a list that is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub skip: u64,
    pub limit: usize,
}

/// Reads the parameters of a list.
///
/// `pending` must have been loaded before the file is read, so that no waiting change is missed.
pub fn understand(query: &str, pending: Arc<PendingWrites>) -> Result<CollectionQuery, ApiError> {
    let asked = Asked::of(query)?;
    Ok(Box::new(move |reader| {
        // Read before the rows: the calls that no window verifies.
        let unverified = reader.unverified()?;
        let mut listed = reader.list(&asked.filter, asked.page.skip, asked.page.limit)?;
        if !pending.is_empty() {
            listed
                .rows
                .iter_mut()
                .for_each(|row| lay_over(&pending, row));
        }
        let mut extent = extent(&asked, &listed.rows);
        extent.suspect(&unverified);
        extent.is_nameless = asked.filter.assistant_name.is_some() && !reader.knows_names()?;
        let hashes = listed.rows.iter().map(|row| row.body_hash);
        Ok(CachedResponse::new(
            asked.page.body(&listed.rows, listed.total).into(),
            asked.page.hash(hashes, listed.total),
            extent,
        ))
    }))
}

/// Shows a call as it will be once its waiting changes are made.
fn lay_over(pending: &PendingWrites, row: &mut StoredCall) {
    if let Some(body) = pending.overlay(row.id, &row.body) {
        row.body_hash = text_hash(&body);
        row.body = body;
    }
}

impl Asked {
    /// In the order in which the upstream declares them.
    fn of(query: &str) -> Result<Asked, ApiError> {
        let mut query = Query::of(query);
        let page = Page::read(&mut query);
        let mut filter = narrowed(&mut query);
        filter.min_duration = query.integer("min_duration");
        filter.max_duration = query.integer("max_duration");
        query.finish()?;
        Ok(Asked { filter, page })
    }
}

impl Page {
    /// The page of a query that was validated.
    pub fn of(query: &str) -> Page {
        Page::read(&mut Query::of(query))
    }

    fn read(query: &mut Query<'_>) -> Page {
        let skip = query.natural("skip").unwrap_or(0);
        let limit = query.within("limit", 1, LARGEST_LIMIT);
        Page {
            skip,
            // It is not negative: `within` refuses what is below the least.
            limit: limit.unwrap_or(USUAL_LIMIT).unsigned_abs() as usize,
        }
    }

    /// The body of the page, made of the calls' own texts.
    pub fn body(&self, items: &[impl AsRef<str>], total: u64) -> String {
        let size: usize = items.iter().map(|item| item.as_ref().len() + 1).sum();
        let mut text = String::with_capacity(size + 96);
        text.push_str(r#"{"items":["#);
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(item.as_ref());
        }
        let Page { skip, limit } = self;
        // Writing to a string can't fail.
        let _ = write!(text, r#"],"total":{total},"skip":{skip},"limit":{limit}}}"#);
        text
    }
}

impl Page {
    /// The hash of all that its body is made of; the texts have their own hashes.
    pub fn hash(&self, texts: impl Iterator<Item = i64>, total: u64) -> i64 {
        let mut hasher = Sha256::new();
        for text in texts {
            hasher.update(text.to_be_bytes());
        }
        for figure in [total, self.skip, self.limit as u64] {
            hasher.update(figure.to_be_bytes());
        }
        first(&hasher.finalize())
    }
}

/// The filters that lists and exports share, from `status` to `date_to`.
pub fn narrowed(query: &mut Query<'_>) -> CallFilter {
    CallFilter {
        status: query.text("status"),
        assistant_id: assistant(query),
        customer_phone: query.part("customer_phone"),
        call_sid: query.part("call_sid"),
        assistant_name: query.part("assistant_name"),
        date_from: query.date("date_from"),
        date_to: query.date("date_to"),
        ..CallFilter::default()
    }
}

/// True if a self-hosted server's list applies every filter of this query. It ignores the SID and
/// the assistant's name, so its answer to these would pass for the filtered list.
pub fn is_understood(query: &str) -> bool {
    let filter = narrowed(&mut Query::of(query));
    filter.call_sid.is_none() && filter.assistant_name.is_none()
}

/// 0 counts as none.
pub fn assistant(query: &mut Query<'_>) -> Option<i64> {
    query.integer("assistant_id").filter(|id| *id != 0)
}

/// The first 64 bits of a hash.
pub fn first(digest: &[u8]) -> i64 {
    let mut first = [0; 8];
    for (place, byte) in first.iter_mut().zip(digest) {
        *place = *byte;
    }
    i64::from_be_bytes(first)
}

/// The scope of a page: the starts between its newest and its oldest row. The first page also shows
/// that nothing is newer, and one that is not full that nothing is older.
fn extent(asked: &Asked, rows: &[StoredCall]) -> AnswerScope {
    let mut extent = AnswerScope::whole(Reach::of(&asked.filter));
    extent.seen = rows.iter().map(|row| row.seen_at).min();
    let suspects = rows.iter().filter(|row| row.suspect);
    extent.suspected = suspects.map(|row| row.seen_at).min();
    if rows.len() < asked.page.limit {
        return extent;
    }
    let unstarted = rows.iter().any(|row| row.started_at.is_none());
    let oldest = rows.iter().filter_map(|row| row.started_at).min();
    let newest = rows.iter().filter_map(|row| row.started_at).max();
    let is_first = asked.page.skip == 0;
    // Calls without a start come first in the list, and then the newest.
    let top = match is_first || unstarted {
        true => extent.query.started.as_ref().map(|range| *range.end()),
        false => newest,
    };
    extent.shown = Reach {
        unstarted: unstarted || is_first && extent.query.unstarted,
        started: oldest.zip(top.max(newest)).map(range),
    };
    extent
}

fn range((from, to): (Timestamp, Timestamp)) -> std::ops::RangeInclusive<Timestamp> {
    from..=to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Listed;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn row(start: Option<i64>) -> StoredCall {
        StoredCall {
            id: 1,
            body: r#"{"id":1}"#.to_owned(),
            body_hash: 1,
            started_at: start.map(at),
            seen_at: at(1000),
            suspect: false,
        }
    }

    fn shown(asked: &str, rows: &[Option<i64>]) -> (bool, Option<(Timestamp, Timestamp)>) {
        let rows: Vec<StoredCall> = rows.iter().copied().map(row).collect();
        let shown = extent(&Asked::of(asked).unwrap(), &rows).shown;
        let range = shown.started.map(|range| range.into_inner());
        (shown.unstarted, range)
    }

    #[test]
    fn a_page_covers_what_lies_between_its_rows_and_beyond_its_ends() {
        let (least, most) = (Timestamp::MIN, Timestamp::MAX);
        let rows = [Some(20), Some(10)];
        assert_eq!(shown("limit=2", &rows), (true, Some((at(10), most))));
        let second = shown("limit=2&skip=2", &rows);
        assert_eq!(second, (false, Some((at(10), at(20)))));
        assert_eq!(shown("limit=3&skip=2", &rows), (true, Some((least, most))));
        let dated = shown("limit=2&date_to=30", &rows);
        assert_eq!(dated, (false, Some((at(10), at(30)))));
        let mixed = shown("limit=2&skip=1", &[None, Some(10)]);
        assert_eq!(mixed, (true, Some((at(10), most))));
        assert_eq!(shown("limit=1", &[None]), (true, None));
    }

    #[test]
    fn a_body_is_the_texts_as_they_are() {
        let asked = Asked::of("skip=3&limit=2").unwrap();
        let listed = Listed {
            rows: vec![row(None), row(Some(5))],
            total: 5,
        };
        assert_eq!(
            asked.page.body(&listed.rows, listed.total),
            r#"{"items":[{"id":1},{"id":1}],"total":5,"skip":3,"limit":2}"#
        );
        let other = Listed {
            total: 6,
            rows: vec![row(None), row(Some(5))],
        };
        let hash = |listed: &Listed| {
            let hashes = listed.rows.iter().map(|row| row.body_hash);
            asked.page.hash(hashes, listed.total)
        };
        assert_ne!(hash(&listed), hash(&other));
    }

    #[test]
    fn a_list_is_narrowed_as_the_upstream_does_it() {
        let asked = Asked::of(
            "status=&assistant_id=0&customer_phone=%2B49&min_duration=1_0.0&call_sid=&limit=7\
             &date_from=1795132800&unknown=1",
        );
        let expected = CallFilter {
            customer_phone: Some(crate::model::Part::new("+49")),
            date_from: Some(at(1_795_132_800)),
            min_duration: Some(10),
            ..CallFilter::default()
        };
        let asked = asked.unwrap();
        assert_eq!(asked.filter, expected);
        assert_eq!((asked.page.skip, asked.page.limit), (0, 7));
    }
}
