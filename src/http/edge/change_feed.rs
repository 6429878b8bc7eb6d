//! `/edge/changes`: the change feed, for other replicas.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::http::error::ApiError;
use crate::http::params::Query;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::{CoverageRange, Timestamp, UNKNOWN_AGE, age, whole_seconds};
use crate::store::{Change, Changed, Changes, Confirmation, StoreError};
use crate::sync::Coverage;

const USUAL_LIMIT: i64 = 100;
const LARGEST_LIMIT: i64 = 1000;

/// A page ends with the item that reaches this many bytes, whatever its limit.
const LARGEST_PAGE: usize = 8 << 20;

/// The changes read at once: this many texts are in memory beside the page.
const READ_AT_ONCE: usize = 64;

/// What a page reports beside the changes.
#[derive(Default)]
struct Known {
    organization_id: Option<i64>,
    complete: bool,
    coverage: Vec<CoverageRange>,
    bound: Option<Duration>,
}

/// Whole seconds since a change was known to be true, rounded up.
fn age_of(heard: &Confirmation, coverage: &Coverage, now: Timestamp) -> u64 {
    let window = match heard.unverified {
        true => None,
        false => coverage.known(heard.started_at),
    };
    let window = window.map(|verified| age(now, verified.at));
    window
        .into_iter()
        .chain([age(now, heard.at)])
        .min()
        .unwrap_or(UNKNOWN_AGE)
}

/// The parameters of a request.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    after: u64,
    limit: usize,
}

/// Answers `GET`.
pub async fn get(worker: &Worker, query: &str) -> Result<HttpResponse, ApiError> {
    let asked = Asked::of(query)?;
    let now = worker.now();
    // Read before the coverage, which knows at least as much.
    let complete = worker.has_read_all();
    // Loaded before the rows: no reported age may be younger than its change.
    let coverage = Arc::clone(&worker.shared().handle.coverage());
    let (organization_id, bound) = {
        let status = worker.status();
        (status.organization_id, status.freshness_bound)
    };
    let scans = worker.shared().scans.clone();
    let page = scans
        .run(move |reader| {
            let unverified = reader.unverified()?;
            let known = Known {
                organization_id,
                complete,
                coverage: coverage.told(&unverified, now),
                bound,
            };
            let age_of = |heard: &Confirmation| age_of(heard, &coverage, now);
            page(&asked, &known, age_of, |after, limit| {
                reader.changes(after, limit)
            })
        })
        .await?;
    Ok(respond::own_text(StatusCode::OK, page))
}

impl Asked {
    fn of(query: &str) -> Result<Asked, ApiError> {
        let mut query = Query::of(query);
        let after = query.within("after", 0, i64::MAX).unwrap_or(0);
        let limit = query.within("limit", 1, LARGEST_LIMIT);
        let limit = limit.unwrap_or(USUAL_LIMIT);
        query.finish()?;
        // Neither is negative: `within` refuses what is below the least.
        Ok(Asked {
            after: after.unsigned_abs(),
            limit: limit.unsigned_abs() as usize,
        })
    }
}

/// Writes a page, with the calls in their own text.
fn page(
    asked: &Asked,
    known: &Known,
    age_of: impl Fn(&Confirmation) -> u64,
    read: impl Fn(u64, usize) -> Result<Changes, StoreError>,
) -> Result<String, StoreError> {
    let mut text = String::from(r#"{"items":["#);
    let (mut next, mut left) = (asked.after, asked.limit);
    let (feed, more) = 'page: loop {
        let changes = read(next, left.min(READ_AT_ONCE))?;
        let read = changes.items.len();
        for (at, change) in changes.items.into_iter().enumerate() {
            if !text.ends_with('[') {
                text.push(',');
            }
            write_item(&mut text, &change, age_of(&change.heard));
            next = change.seq;
            if text.len() >= LARGEST_PAGE {
                break 'page (changes.feed_id, changes.more || at + 1 < read);
            }
        }
        next = changes.next;
        left = left.saturating_sub(read);
        if !changes.more || left == 0 || read == 0 {
            break (changes.feed_id, changes.more);
        }
    };
    let (feed, organization_id) = (respond::json(&feed), respond::json(&known.organization_id));
    let complete = known.complete;
    let bound = respond::json(&known.bound.map(whole_seconds));
    // Writing to a string can't fail.
    let _ = write!(
        text,
        r#"],"next":{next},"more":{more},"feed":{feed},"organization_id":{organization_id},"complete":{complete},"freshness_bound_s":{bound},"coverage":["#
    );
    for piece in &known.coverage {
        if !text.ends_with('[') {
            text.push(',');
        }
        write_piece(&mut text, piece);
    }
    text.push_str("]}");
    Ok(text)
}

fn write_item(text: &mut String, change: &Change, age: u64) {
    let seq = change.seq;
    // Writing to a string can't fail.
    let _ = match &change.what {
        Changed::Upsert(body) => {
            write!(
                text,
                r#"{{"seq":{seq},"age_s":{age},"op":"upsert","call":{body}}}"#
            )
        }
        Changed::Delete(id) => {
            write!(
                text,
                r#"{{"seq":{seq},"age_s":{age},"op":"delete","id":{id}}}"#
            )
        }
    };
}

/// Writes a range of the coverage. Instants are in microseconds since 1970.
fn write_piece(text: &mut String, piece: &CoverageRange) {
    let micros = |at: Option<Timestamp>| respond::json(&at.map(Timestamp::as_micros));
    let (from, to) = (micros(piece.from), micros(piece.to));
    let (age, open_ended) = (piece.age_s, piece.open_ended);
    // Writing to a string can't fail.
    let _ = write!(
        text,
        r#"{{"from":{from},"to":{to},"age_s":{age},"open_ended":{open_ended}}}"#
    );
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::model::{Verified, Window};

    const HEARD: Confirmation = Confirmation {
        at: Timestamp::MIN,
        started_at: None,
        unverified: false,
    };

    fn told(
        asked: &Asked,
        organization_id: Option<i64>,
        read: impl Fn(u64, usize) -> Result<Changes, StoreError>,
    ) -> Result<String, StoreError> {
        let known = Known {
            organization_id,
            ..Known::default()
        };
        page(asked, &known, |_| 3, read)
    }

    /// A feed of `count` changes with the numbers 1 to `count`.
    fn feed(
        count: u64,
        what: fn(u64) -> Changed,
    ) -> impl Fn(u64, usize) -> Result<Changes, StoreError> {
        move |after, limit| {
            let end = count.min(after + limit as u64);
            let change = |seq| Change {
                seq,
                what: what(seq),
                heard: HEARD,
            };
            Ok(Changes {
                feed_id: "ab12".to_owned(),
                items: (after + 1..=end).map(change).collect(),
                next: end.max(after),
                more: end < count,
            })
        }
    }

    fn asked(after: u64, limit: usize) -> Asked {
        Asked { after, limit }
    }

    #[test]
    fn a_page_holds_calls_in_their_own_text_and_deletions_by_id() {
        let what = |seq| match seq {
            1 => Changed::Upsert(r#"{"id": 7,"n":1.10,"u":"\u00e9"}"#.to_owned()),
            _ => Changed::Delete(9),
        };
        assert_eq!(
            told(&asked(0, 100), Some(7), feed(2, what)).unwrap(),
            concat!(
                r#"{"items":[{"seq":1,"age_s":3,"op":"upsert","call":{"id": 7,"n":1.10,"u":"\u00e9"}},"#,
                r#"{"seq":2,"age_s":3,"op":"delete","id":9}],"#,
                r#""next":2,"more":false,"feed":"ab12","organization_id":7,"complete":false,"freshness_bound_s":null,"coverage":[]}"#
            )
        );
        assert_eq!(
            told(&asked(2, 100), None, feed(2, what)).unwrap(),
            r#"{"items":[],"next":2,"more":false,"feed":"ab12","organization_id":null,"complete":false,"freshness_bound_s":null,"coverage":[]}"#
        );
    }

    #[test]
    fn a_change_is_as_old_as_its_window_and_a_suspects_as_its_text() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let window = Window {
            from: at(0),
            to: at(50),
            verified: Verified { at: at(90), seq: 1 },
            rows: 1,
            open_ended: false,
        };
        let coverage = Coverage::from_windows(vec![window], at(100));
        let heard = |started: i64, unverified| Confirmation {
            at: at(60),
            started_at: Some(at(started)),
            unverified,
        };
        for (heard, age) in [
            (heard(10, false), 10),
            (heard(10, true), 40),
            (heard(70, false), 40),
        ] {
            assert_eq!(age_of(&heard, &coverage, at(100)), age);
        }
    }

    /// The numbers on a page, the next cursor, and whether more changes follow.
    fn read(page: &str) -> (Vec<u64>, u64, bool) {
        let page: serde_json::Value = serde_json::from_str(page).unwrap();
        let items = page["items"].as_array().unwrap().iter();
        (
            items.map(|item| item["seq"].as_u64().unwrap()).collect(),
            page["next"].as_u64().unwrap(),
            page["more"].as_bool().unwrap(),
        )
    }

    #[rstest]
    #[case(0, 1, 1, true)]
    #[case(0, 64, 64, true)]
    #[case(3, 65, 68, true)]
    #[case(0, 200, 200, false)]
    #[case(100, 1000, 200, false)]
    #[case(200, 1, 200, false)]
    #[case(900, 1, 900, false)]
    fn a_page_is_as_long_as_was_asked_however_it_is_read(
        #[case] after: u64,
        #[case] limit: usize,
        #[case] next: u64,
        #[case] more: bool,
    ) {
        let text = told(
            &asked(after, limit),
            None,
            feed(200, |_| Changed::Delete(1)),
        );
        let seqs = (after + 1..=next).collect();
        assert_eq!(read(&text.unwrap()), (seqs, next, more));
    }

    #[test]
    fn a_page_ends_early_where_its_texts_are_large_and_the_next_goes_on() {
        let mebibyte = |_| Changed::Upsert(format!("\"{}\"", "x".repeat(1 << 20)));
        let (mut after, mut sizes) = (0, Vec::new());
        loop {
            let (seqs, next, more) =
                read(&told(&asked(after, 1000), None, feed(20, mebibyte)).unwrap());
            assert_eq!(seqs, (after + 1..=next).collect::<Vec<_>>());
            sizes.push(seqs.len());
            after = next;
            if !more {
                break;
            }
        }
        assert_eq!(sizes, [8, 8, 4]);
        let (_, next, more) = read(&told(&asked(12, 1000), None, feed(20, mebibyte)).unwrap());
        assert_eq!((next, more), (20, false), "full, and nothing after it");
    }

    #[rstest]
    #[case("", 0, 100)]
    #[case("after=7&limit=5", 7, 5)]
    #[case("limit=+1_0.0&after=%20007&other=x", 7, 10)]
    #[case("after=1&after=2", 2, 100)]
    #[case("after=9223372036854775807&limit=1000", i64::MAX as u64, 1000)]
    fn a_number_is_read_as_leniently_as_the_upstream_reads_one(
        #[case] query: &str,
        #[case] after: u64,
        #[case] limit: usize,
    ) {
        assert_eq!(Asked::of(query).unwrap(), asked(after, limit));
    }
}
