//! Another edge as the upstream: a page of its change feed, `/edge/changes`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{Call, CoverageRange, Timestamp};
use crate::upstream::error::UpstreamError;
use crate::upstream::wire::json::{bad_answer, parse_object, read_call};

/// A page of another edge's change feed.
#[derive(Debug)]
pub struct Feed {
    /// In order. A call that changed while the page was read may appear twice.
    pub items: Vec<FeedItem>,
    /// The cursor of the next page.
    pub next: u64,
    /// True if more changes follow already.
    pub more: bool,
    /// The id of the feed to which cursors belong.
    pub feed_id: String,
    pub organization_id: Option<i64>,
    /// True if the edge had read everything that it is configured to read.
    pub complete: bool,
    /// The edge's coverage before the page was read.
    pub coverage: Vec<CoverageRange>,
    /// The longest time that a change stays unseen there; `None` while nothing bounds it.
    pub freshness_bound: Option<Duration>,
}

#[derive(Debug)]
pub struct FeedItem {
    /// Time since the change was last known to be true.
    pub age: Duration,
    pub told: Told,
}

#[derive(Debug)]
pub enum Told {
    Call(Box<Call>),
    /// The id of a call whose deletion is proven.
    Gone(i64),
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
    next: u64,
    more: bool,
    feed: String,
    organization_id: Option<i64>,
    complete: bool,
    coverage: Vec<WirePiece>,
    freshness_bound_s: Option<u64>,
}

#[derive(Deserialize)]
struct Item<'a> {
    seq: u64,
    age_s: u64,
    op: Op,
    #[serde(borrow, default)]
    call: Option<&'a RawValue>,
    #[serde(default)]
    id: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Upsert,
    Delete,
}

#[derive(Deserialize)]
struct WirePiece {
    from: Option<i64>,
    to: Option<i64>,
    age_s: u64,
    open_ended: bool,
}

/// Reads the page after the cursor `after`. A page that contradicts itself is refused.
pub fn read(after: u64, text: &str) -> Result<Feed, UpstreamError> {
    let wire: Wire<'_> = parse_object(text)?;
    fn refuse<T>(why: &'static str) -> Result<T, UpstreamError> {
        Err(bad_answer().caused_by(why))
    }
    let places = [after]
        .into_iter()
        .chain(wire.items.iter().map(|item| item.seq));
    if !places.clone().is_sorted_by(|one, other| one < other) {
        return refuse("changes that are not in order");
    }
    if places.last() != Some(wire.next) {
        return refuse("changes that do not lead to the next ones");
    }
    if wire.more && wire.items.is_empty() {
        return refuse("no changes where more are said to follow");
    }
    let items = wire.items.into_iter().map(|item| {
        let told = match (item.op, item.call, item.id) {
            (Op::Upsert, Some(call), None) => Told::Call(Box::new(read_call(call.get())?)),
            (Op::Delete, None, Some(id)) => Told::Gone(id),
            _ => return refuse("a change of no kind"),
        };
        Ok(FeedItem {
            age: seconds(item.age_s),
            told,
        })
    });
    let items = items.collect::<Result<_, _>>()?;
    let pieces = wire.coverage.into_iter().map(|piece| CoverageRange {
        from: piece.from.map(Timestamp::from_micros),
        to: piece.to.map(Timestamp::from_micros),
        age_s: seconds(piece.age_s).as_secs(),
        open_ended: piece.open_ended,
    });
    let coverage: Vec<CoverageRange> = pieces.collect();
    let sound = |piece: &CoverageRange| match (piece.from, piece.to) {
        (Some(_), None) => false,
        (None, None) => !piece.open_ended,
        (from, Some(to)) => {
            let from = from.unwrap_or(Timestamp::MIN);
            Timestamp::MIN <= from && from <= to && to <= Timestamp::MAX
        }
    };
    if !coverage.iter().all(sound) {
        return refuse("a range of time that is none");
    }
    Ok(Feed {
        items,
        next: wire.next,
        more: wire.more,
        feed_id: wire.feed,
        organization_id: wire.organization_id,
        complete: wire.complete,
        coverage,
        freshness_bound: wire.freshness_bound_s.map(seconds),
    })
}

/// An age, capped at 2^31 seconds, which stands for every greater one (RFC 9111, section 1.2.2).
pub fn seconds(age: u64) -> Duration {
    Duration::from_secs(age.min(1 << 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &str, rest: &str) -> String {
        format!(
            r#"{{"items":[{items}],{rest},"feed":"ab","organization_id":7,"complete":true,"freshness_bound_s":60,"coverage":[{{"from":null,"to":5,"age_s":3,"open_ended":true}}]}}"#
        )
    }

    const CALL: &str =
        r#"{"seq":3,"age_s":9,"op":"upsert","call":{"id": 1,"call_sid":"a","status":"x"}}"#;
    const GONE: &str = r#"{"seq":5,"age_s":99999999999,"op":"delete","id":4}"#;

    #[test]
    fn calls_keep_their_text_and_ages_end_where_nobody_knows() {
        let text = page(&format!("{CALL},{GONE}"), r#""next":5,"more":true"#);
        let feed = read(2, &text).unwrap();
        assert_eq!(
            (feed.next, feed.more, feed.organization_id),
            (5, true, Some(7))
        );
        let [one, other] = &feed.items[..] else {
            panic!("{:?}", feed.items)
        };
        assert!(matches!(&one.told, Told::Call(call) if call.body.starts_with(r#"{"id": 1"#)));
        assert!(matches!(other.told, Told::Gone(4)));
        assert_eq!(other.age, Duration::from_secs(1 << 31));
        assert_eq!(feed.coverage[0].to, Some(Timestamp::from_micros(5)));
    }

    #[test]
    fn a_page_that_contradicts_itself_is_refused() {
        for (after, items, rest) in [
            (3, CALL, r#""next":3,"more":false"#),
            (0, CALL, r#""next":4,"more":false"#),
            (2, "", r#""next":2,"more":true"#),
            (2, "", r#""next":1,"more":false"#),
            (
                2,
                r#"{"seq":3,"age_s":9,"op":"upsert"}"#,
                r#""next":3,"more":false"#,
            ),
            (
                2,
                r#"{"seq":3,"age_s":9,"op":"delete"}"#,
                r#""next":3,"more":false"#,
            ),
            (
                2,
                r#"{"seq":3,"op":"delete","id":1}"#,
                r#""next":3,"more":false"#,
            ),
        ] {
            assert!(read(after, &page(items, rest)).is_err(), "{items} {rest}");
        }
        for piece in [
            r#""from":null,"to":null,"age_s":3,"open_ended":true"#,
            r#""from":3,"to":null,"age_s":3,"open_ended":true"#,
            r#""from":3,"to":2,"age_s":3,"open_ended":false"#,
            r#""from":-9223372036854775808,"to":2,"age_s":3,"open_ended":false"#,
        ] {
            let text = format!(
                r#"{{"items":[],"next":0,"more":false,"feed":"ab","organization_id":null,"complete":true,"freshness_bound_s":null,"coverage":[{{{piece}}}]}}"#
            );
            assert!(read(0, &text).is_err(), "{piece}");
        }
    }
}
