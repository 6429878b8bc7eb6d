//! The bytes of the calls API: how a request is written and what an answer means. No I/O.
//!
//! Source: the upstream's published OpenAPI document and observed answers of both flavours.

pub mod assistants;
pub mod details;
pub mod feed;
pub mod json;
pub mod refusal;

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use chrono::DateTime;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use url::form_urlencoded;

use crate::model::{Call, CallKey, Timestamp};
use crate::upstream::error::{ErrorKind, UpstreamError};
use crate::upstream::request::{
    Answer, DateForm, IdentityEndpoint, ListQuery, Page, Reply, Request, Spelling,
};
use crate::upstream::wire::json::{bad_answer, is_object, parse, parse_object, read_call};

/// The longest pause that a `Retry-After` may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Path and query of a request. Lists carry the trailing slash that both flavours answer without a
/// redirect.
pub fn path_and_query(request: &Request, dates: DateForm) -> String {
    match request {
        Request::Identity(IdentityEndpoint::User) => "/api/v1/users/me".to_owned(),
        Request::Identity(IdentityEndpoint::Assistants) => {
            "/api/v1/assistants/me/organization".to_owned()
        }
        Request::Assistants { skip } => assistants::path_and_query(*skip),
        Request::List(query) => format!("/api/v1/calls/?{}", list_parameters(query, dates)),
        Request::Count { from, to } => {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            bounds(&mut pairs, *from, *to, dates);
            match pairs.finish() {
                query if query.is_empty() => "/api/v1/calls/count".to_owned(),
                query => format!("/api/v1/calls/count?{query}"),
            }
        }
        Request::Call(CallKey::Id(id)) => format!("/api/v1/calls/{id}"),
        Request::Call(CallKey::Sid(sid)) => {
            // A form encoding differs from a path's only in the space.
            let segment: String = form_urlencoded::byte_serialize(sid.as_bytes()).collect();
            format!("/api/v1/calls/sid/{}", segment.replace('+', "%20"))
        }
        Request::Detail(id, kind) => details::path_and_query(*id, *kind),
        Request::Changes { after, limit } => format!("/edge/changes?after={after}&limit={limit}"),
        Request::Patch { id, .. } => format!("/api/v1/calls/{id}/metadata"),
    }
}

/// The JSON body of a request sent by `PATCH`. The others are sent by `GET`, without a body.
pub fn body(request: &Request) -> Option<String> {
    match request {
        Request::Patch { metadata, .. } => Some(format!("{{\"metadata\":{metadata}}}")),
        _ => None,
    }
}

fn list_parameters(query: &ListQuery, dates: DateForm) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("limit", &query.limit.to_string());
    if query.skip > 0 {
        pairs.append_pair("skip", &query.skip.to_string());
    }
    if let Some(status) = &query.status {
        pairs.append_pair("status", status);
    }
    bounds(&mut pairs, query.from, query.to, dates);
    pairs.finish()
}

fn bounds(
    pairs: &mut form_urlencoded::Serializer<'_, String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    dates: DateForm,
) {
    let zone = match dates.spelling {
        Spelling::Naive => "",
        Spelling::Zoned => "Z",
    };
    let (from, to) = dates.bounds(from, to);
    for (name, bound) in [("date_from", from), ("date_to", to)] {
        if let Some(bound) = bound {
            pairs.append_pair(name, &format!("{}{zone}", bound.to_naive()));
        }
    }
}

/// Reads a complete answer to a request whose bounds were sent in the form `dates`. `retry_after`
/// is the header's value, `now` the time of the answer.
pub fn reply(
    request: &Request,
    dates: DateForm,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<Reply, UpstreamError> {
    let retry_after = retry_after.and_then(|value| pause(value, now));
    match read(request, dates, status, body) {
        Ok(answer) => Ok(Reply {
            answer,
            retry_after,
            age: None,
        }),
        Err(error) => Err(UpstreamError {
            retry_after,
            ..error
        }),
    }
}

/// Reads `status` and `body` as an answer to `request`.
fn read(
    request: &Request,
    dates: DateForm,
    status: u16,
    body: &[u8],
) -> Result<Answer, UpstreamError> {
    let kind = match status {
        200 => return read_body(request, dates, body),
        // Another edge has accepted the write and answers for it.
        202 if matches!(request, Request::Patch { .. }) => return read_body(request, dates, body),
        // A server without the endpoint has no such path, or takes "me" for something else.
        404 | 405 | 422 if matches!(request, Request::Identity(_)) && is_refusal(body) => {
            return Ok(Answer::Identity(None));
        }
        404 | 405 | 422 if matches!(request, Request::Assistants { .. }) && is_refusal(body) => {
            return Ok(Answer::Assistants(None));
        }
        404 | 405 | 422 if matches!(request, Request::Changes { .. }) && is_refusal(body) => {
            return Ok(Answer::NoFeed);
        }
        404 => match (request, detail_of(body)) {
            // "Not Found" alone means that the server has no such path, and a gateway has texts of
            // its own. A denial names the call.
            (Request::Call(key), Some(detail)) if denies(key, &detail) => {
                return Ok(Answer::NotFound);
            }
            (Request::Detail(id, _), Some(detail)) if denies(&CallKey::Id(*id), &detail) => {
                return Ok(Answer::NotFound);
            }
            (Request::Detail(..), Some(detail)) if detail == "Not Found" => {
                return Ok(Answer::NoSuchDetail);
            }
            (Request::Patch { id, .. }, Some(detail)) if denies(&CallKey::Id(*id), &detail) => {
                return Ok(Answer::NotFound);
            }
            _ => ErrorKind::BadAnswer,
        },
        // The excluded statuses are temporary, and an error in another shape is a proxy's.
        400..=499
            if matches!(request, Request::Patch { .. })
                && !matches!(status, 401 | 408 | 421 | 425 | 429)
                && is_refusal(body) =>
        {
            return Ok(Answer::Refused(status));
        }
        413 | 422 if matches!(request, Request::List(_)) => {
            return Err(refusal::of_page(status, body));
        }
        401 | 403 => ErrorKind::Unauthorized,
        429 => ErrorKind::Throttled,
        300..=399 => ErrorKind::Redirected,
        500..=599 => ErrorKind::ServerError,
        400..=499 => ErrorKind::Refused,
        _ => ErrorKind::BadAnswer,
    };
    Err(UpstreamError {
        status: Some(status),
        ..UpstreamError::new(kind)
    })
}

/// True if the text names this call: `Call with ID 101 not found in your organization`.
fn denies(key: &CallKey, detail: &str) -> bool {
    match key {
        CallKey::Id(id) => detail
            .split(|c: char| !c.is_ascii_digit() && c != '-')
            .any(|word| word == id.to_string()),
        CallKey::Sid(sid) => detail.contains(sid.as_str()),
    }
}

/// True if the body is an error of the upstream's own, `{"detail": …}`, not a proxy's.
fn is_refusal(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(rename = "detail")]
        _detail: IgnoredAny,
    }
    is_object(body) && serde_json::from_slice::<Refusal>(body).is_ok()
}

/// The `detail` of an error in the upstream's shape, `{"detail": "…"}`.
fn detail_of(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Detail<'a> {
        #[serde(borrow)]
        detail: Cow<'a, str>,
    }
    let error = serde_json::from_slice::<Detail<'_>>(body).ok();
    error.filter(|_| is_object(body)).map(|error| error.detail)
}

/// True if the JSON is an object. serde would also read a struct from an array, by position, and
/// the upstream never means that.
fn read_body(request: &Request, dates: DateForm, body: &[u8]) -> Result<Answer, UpstreamError> {
    #[derive(Deserialize)]
    struct Me {
        organization_id: i64,
    }
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    let text = std::str::from_utf8(body).map_err(|error| bad_answer().caused_by(error))?;
    match request {
        Request::Identity(_) => {
            let me: Me = parse_object(text)?;
            Ok(Answer::Identity(Some(me.organization_id)))
        }
        Request::Assistants { .. } => Ok(Answer::Assistants(Some(assistants::read(text)?))),
        Request::Count { .. } => {
            let count: Count = parse_object(text)?;
            Ok(Answer::Count(count.count))
        }
        Request::Call(_) | Request::Patch { .. } => {
            let call = read_call(text)?;
            let asked = match request {
                Request::Patch { id, .. } | Request::Call(CallKey::Id(id)) => *id == call.id,
                Request::Call(CallKey::Sid(sid)) => *sid == call.call_sid,
                _ => false,
            };
            if !asked {
                return Err(bad_answer().caused_by("another call than the one asked for"));
            }
            Ok(Answer::Call(Box::new(call)))
        }
        Request::Detail(id, kind) => Ok(Answer::Detail(details::read(*id, *kind, text)?)),
        Request::List(query) => Ok(Answer::Page(read_page(query, dates, text)?)),
        Request::Changes { after, .. } => Ok(Answer::Feed(Box::new(feed::read(*after, text)?))),
    }
}

fn read_page(query: &ListQuery, dates: DateForm, text: &str) -> Result<Page, UpstreamError> {
    #[derive(Deserialize)]
    struct Hosted<'a> {
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
        #[serde(borrow, default)]
        total: Option<&'a RawValue>,
    }
    let (items, total) = if text.trim_start().starts_with('[') {
        (parse::<Vec<&RawValue>>(text)?, None)
    } else {
        let page: Hosted<'_> = parse_object(text)?;
        // A malformed total counts as a missing one; the rows are still good.
        let total = page.total.and_then(|total| total.get().parse().ok());
        (page.items, total)
    };
    let rows = items.len();
    let calls = items
        .into_iter()
        .map(|item| read_call(item.get()))
        .collect::<Result<Vec<_>, _>>()?;
    let (calls, doubled) = without_doubles(calls);
    // A list that goes on beyond its total contradicts it, so the total is dropped. A skip beyond
    // the end leaves no rows, and the total holds.
    let reached = query.skip.saturating_add(rows) as u64;
    let total = total.filter(|total| rows == 0 || *total >= reached);
    check_page(query, dates, &calls)?;
    Ok(Page {
        calls,
        rows,
        doubled,
        total,
    })
}

/// Refuses a page that is not in the documented order or has rows that were not requested. Its
/// server does not understand the request, so nothing follows from what the page leaves out, nor
/// from a page that contradicts itself. Two calls with one SID are no contradiction, because the id
/// identifies a call.
fn check_page(query: &ListQuery, dates: DateForm, calls: &[Call]) -> Result<(), UpstreamError> {
    let in_order = calls
        .windows(2)
        .all(|pair| match (pair[0].started_at, pair[1].started_at) {
            (Some(first), Some(second)) => first >= second,
            (None, _) => true,
            (Some(_), None) => false,
        });
    if !in_order {
        return Err(bad_answer().caused_by("the page is not newest first"));
    }
    if calls.len() > query.limit {
        return Err(bad_answer().caused_by("more rows than the limit asked for"));
    }
    let (from, to) = dates.bounds(query.from, query.to);
    let bounded = from.is_some() || to.is_some();
    let asked_for = |call: &Call| {
        let in_bounds = match call.started_at {
            Some(start) => from.is_none_or(|from| from <= start) && to.is_none_or(|to| start <= to),
            None => !bounded,
        };
        in_bounds
            && query
                .status
                .as_ref()
                .is_none_or(|status| *status == call.status)
    };
    if !calls.iter().all(asked_for) {
        return Err(bad_answer().caused_by("a row outside the filters asked for"));
    }
    Ok(())
}

/// Removes rows that occur twice, and names the calls whose texts differ.
fn without_doubles(calls: Vec<Call>) -> (Vec<Call>, Vec<i64>) {
    let mut doubled = Vec::new();
    let mut at = HashMap::with_capacity(calls.len());
    let mut kept: Vec<Call> = Vec::with_capacity(calls.len());
    for call in calls {
        match at.insert(call.id, kept.len()) {
            None => kept.push(call),
            Some(first) => {
                at.insert(call.id, first);
                if kept[first].body != call.body {
                    doubled.push(call.id);
                }
            }
        }
    }
    (kept, doubled)
}

/// `Retry-After` as seconds or as an HTTP date (RFC 9110 §10.2.3), capped at an hour; `None` if it
/// is neither.
fn pause(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let pause = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = DateTime::parse_from_rfc2822(value).ok()?;
        Timestamp::from_micros(date.timestamp_micros()).since(now)
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Retry;

    fn call(id: i64, started_at: &str) -> String {
        format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","started_at":{started_at}}}"#
        )
    }

    fn list(limit: usize) -> Request {
        Request::List(ListQuery {
            limit,
            ..ListQuery::default()
        })
    }

    fn read(request: &Request, status: u16, body: &[u8]) -> Result<Answer, UpstreamError> {
        super::read(request, DateForm::NAIVE, status, body)
    }

    fn kind(result: Result<Answer, UpstreamError>) -> ErrorKind {
        result.unwrap_err().kind
    }

    #[test]
    fn a_change_is_made_denied_or_refused_by_the_upstreams_own_word_alone() {
        let patch = Request::Patch {
            id: 7,
            metadata: r#"{"a":1}"#.to_owned(),
        };
        assert_eq!(
            path_and_query(&patch, DateForm::NAIVE),
            "/api/v1/calls/7/metadata"
        );
        assert_eq!(body(&patch).unwrap(), r#"{"metadata":{"a":1}}"#);
        let made = call(7, "null");
        for status in [200, 202] {
            let answer = read(&patch, status, made.as_bytes());
            assert!(matches!(answer, Ok(Answer::Call(call)) if call.id == 7));
        }
        assert_eq!(
            kind(read(&patch, 200, call(8, "null").as_bytes())),
            ErrorKind::BadAnswer
        );
        let denial = br#"{"detail":"Call with ID 7 not found in your organization"}"#;
        assert!(matches!(read(&patch, 404, denial), Ok(Answer::NotFound)));
        let word = br#"{"detail":"Not Found"}"#;
        assert_eq!(kind(read(&patch, 404, word)), ErrorKind::BadAnswer);
        for status in [400, 403, 422] {
            let answer = read(&patch, status, word);
            assert!(matches!(answer, Ok(Answer::Refused(refused)) if refused == status));
            assert!(read(&patch, status, b"<html>").is_err());
        }
        for status in [401, 408, 429, 500, 503] {
            assert!(read(&patch, status, word).is_err());
        }
    }

    #[test]
    fn a_request_is_spelled_as_the_upstream_reads_it() {
        let at = |text| Some(Timestamp::parse(text).unwrap());
        let query = ListQuery {
            from: at("2026-01-02T00:00:00"),
            to: at("2026-01-03T00:00:00.000001"),
            status: Some("in progress".into()),
            skip: 1000,
            limit: 1000,
        };
        assert_eq!(
            path_and_query(&Request::List(query.clone()), DateForm::NAIVE),
            "/api/v1/calls/?limit=1000&skip=1000&status=in+progress\
             &date_from=2026-01-02T00%3A00%3A00&date_to=2026-01-03T00%3A00%3A00.000001"
        );
        let zoned = path_and_query(&Request::List(query), DateForm::ZONED);
        assert!(zoned.contains("date_from=2026-01-02T00%3A00%3A00Z&"));
        assert_eq!(
            path_and_query(
                &Request::Call(CallKey::Sid("v3:a/b c?é".into())),
                DateForm::NAIVE
            ),
            "/api/v1/calls/sid/v3%3Aa%2Fb%20c%3F%C3%A9"
        );
        assert_eq!(
            path_and_query(
                &Request::Count {
                    from: None,
                    to: None
                },
                DateForm::NAIVE
            ),
            "/api/v1/calls/count"
        );
    }

    #[test]
    fn both_list_shapes_are_read_and_keep_each_text() {
        let (a, b) = (call(2, "null"), call(1, r#""2026-01-01T00:00:00Z""#));
        let bare = format!("[{a}, {b}]");
        let hosted = format!(r#"{{"items":[{a},{b}],"total":7,"skip":0,"limit":2}}"#);
        for (body, total) in [(bare, None), (hosted, Some(7))] {
            let Ok(Answer::Page(page)) = read(&list(2), 200, body.as_bytes()) else {
                panic!("{body}")
            };
            assert_eq!(page.total, total);
            assert_eq!(
                page.calls
                    .iter()
                    .map(|call| &*call.body)
                    .collect::<Vec<_>>(),
                [&*a, &*b]
            );
        }
    }

    #[test]
    fn a_page_nothing_can_be_concluded_from_is_refused() {
        let (old, new) = (
            call(1, r#""2026-01-01T00:00:00""#),
            call(2, r#""2026-01-02T00:00:00""#),
        );
        let wrong_order = format!("[{old},{new}]");
        assert_eq!(
            kind(read(&list(9), 200, wrong_order.as_bytes())),
            ErrorKind::BadAnswer
        );
        let too_many = format!("[{new},{old}]");
        assert_eq!(
            kind(read(&list(1), 200, too_many.as_bytes())),
            ErrorKind::BadAnswer
        );
        let to = Timestamp::parse("2026-01-01T12:00:00").ok();
        let bounded = Request::List(ListQuery {
            to,
            limit: 9,
            ..ListQuery::default()
        });
        assert_eq!(
            kind(read(&bounded, 200, too_many.as_bytes())),
            ErrorKind::BadAnswer
        );
        let unfiltered = Request::List(ListQuery {
            status: Some("failed".into()),
            limit: 9,
            ..ListQuery::default()
        });
        assert_eq!(
            kind(read(&unfiltered, 200, too_many.as_bytes())),
            ErrorKind::BadAnswer
        );
        for body in [
            "",
            "[",
            "{}",
            "null",
            r#"[{"id":1}]"#,
            "[\"\u{1}\"]",
            "<html>",
        ] {
            assert_eq!(
                kind(read(&list(9), 200, body.as_bytes())),
                ErrorKind::BadAnswer,
                "{body}"
            );
        }
        assert_eq!(kind(read(&list(9), 200, b"[\xff]")), ErrorKind::BadAnswer);
    }

    #[test]
    fn what_stands_beside_the_rows_does_not_cost_the_rows() {
        let page = |skip, total: &str| {
            let query = ListQuery {
                skip,
                limit: 9,
                ..ListQuery::default()
            };
            let (a, b) = (call(1, "null"), call(2, "null"));
            let body = format!(r#"{{"items":[{a},{b}],{total}"skip":"x","limit":null}}"#);
            match read(&Request::List(query), 200, body.as_bytes()) {
                Ok(Answer::Page(page)) => (page.calls.len(), page.total),
                other => panic!("{total}: {other:?}"),
            }
        };
        assert_eq!(page(0, r#""total":2,"#), (2, Some(2)));
        for total in [
            "",
            "-1",
            "2.0",
            "null",
            "\"2\"",
            "99999999999999999999",
            "[2]",
            "{}",
        ] {
            let total = match total {
                "" => String::new(),
                total => format!("\"total\":{total},"),
            };
            assert_eq!(page(0, &total), (2, None), "{total}");
        }
        for (skip, total) in [
            (0, "\"total\":1,"),
            (0, "\"total\":0,"),
            (5, "\"total\":6,"),
        ] {
            assert_eq!(page(skip, total), (2, None), "the list goes on beyond it");
        }
    }

    #[test]
    fn a_row_that_comes_twice_is_one_call() {
        let (a, b) = (call(1, "null"), call(2, "null"));
        let again = a.replace("CA1", "CA9");
        let page = |rows: &str| match read(&list(9), 200, format!("[{rows}]").as_bytes()) {
            Ok(Answer::Page(page)) => page,
            other => panic!("{other:?}"),
        };
        let equal = page(&format!("{a},{b},{a}"));
        assert_eq!((equal.calls.len(), equal.rows), (2, 3));
        assert!(equal.doubled.is_empty());
        let differing = page(&format!("{a},{again},{b}"));
        assert_eq!((differing.calls.len(), differing.rows), (2, 3));
        assert_eq!(differing.doubled, [1]);
    }

    #[test]
    fn a_page_that_contradicts_itself_is_refused() {
        let page = |skip, body: String| {
            let query = ListQuery {
                skip,
                limit: 9,
                ..ListQuery::default()
            };
            read(&Request::List(query), 200, body.as_bytes())
        };
        let hosted = |items: &str, total: &str| {
            format!(r#"{{"items":[{items}],"total":{total},"skip":0,"limit":9}}"#)
        };
        let (a, b) = (call(1, "null"), call(2, "null"));
        let both = format!("{a},{b}");
        for (skip, body) in [
            (0, hosted(&both, "2,\"total\":3")),
            (0, hosted(&both, "2,\"items\":[]")),
            (0, hosted(&format!("{both},"), "2")),
            (0, hosted(&format!("{both},null"), "3")),
            (0, hosted(&format!("{both},[3,\"CA3\",\"x\"]"), "3")),
            (0, hosted(&both, "2") + "{}"),
            (0, format!("[{both}")),
            (0, hosted(&both, "2").replace("}]", "]")),
        ] {
            assert_eq!(
                kind(page(skip, body.clone())),
                ErrorKind::BadAnswer,
                "{body}"
            );
        }
        for (skip, body) in [
            (0, hosted(&both, "2")),
            (5, hosted(&both, "7")),
            // Beyond the end there are no rows, and the total still holds.
            (5, hosted("", "3")),
            // Ids identify calls, SIDs do not.
            (0, format!("[{a},{}]", b.replace("CA2", "CA1"))),
        ] {
            assert!(page(skip, body.clone()).is_ok(), "{body}");
        }
    }

    #[test]
    fn an_answer_cut_short_anywhere_is_refused() {
        let (a, b) = (call(2, "null"), call(1, r#""2026-01-01T00:00:00Z""#));
        let hosted = format!(r#"{{"items":[{a},{b}],"total":7,"skip":0,"limit":2}}"#);
        for (request, body) in [
            (list(2), format!("[{a},{b}]")),
            (list(2), hosted),
            (Request::Call(CallKey::Id(2)), a.clone()),
            (
                Request::Identity(IdentityEndpoint::User),
                r#"{"organization_id":42}"#.into(),
            ),
            (
                Request::Count {
                    from: None,
                    to: None,
                },
                r#"{"count":12}"#.into(),
            ),
        ] {
            assert!(read(&request, 200, body.as_bytes()).is_ok());
            for end in 0..body.len() {
                let cut = read(&request, 200, &body.as_bytes()[..end]);
                assert_eq!(kind(cut), ErrorKind::BadAnswer, "{}", &body[..end]);
            }
        }
    }

    #[test]
    fn figures_are_whole_not_negative_and_in_an_object() {
        let count = Request::Count {
            from: None,
            to: None,
        };
        for (request, bodies) in [
            (
                &count,
                [
                    r#"{"count":-1}"#,
                    r#"{"count":1.5}"#,
                    r#"{"count":"1"}"#,
                    r#"{"count":18446744073709551616}"#,
                    r#"{"count":1,"count":2}"#,
                    "[1]",
                    "1",
                ],
            ),
            (
                &Request::Identity(IdentityEndpoint::User),
                [
                    r#"{"organization_id":"7"}"#,
                    r#"{"organization_id":null}"#,
                    r#"{"organization_id":7.5}"#,
                    r#"{"organization_id":99999999999999999999}"#,
                    r#"{"organization_id":7,"organization_id":8}"#,
                    "[7]",
                    "7",
                ],
            ),
        ] {
            for body in bodies {
                let answer = read(request, 200, body.as_bytes());
                assert_eq!(kind(answer), ErrorKind::BadAnswer, "{body}");
            }
        }
    }

    #[test]
    fn deep_json_overflows_nothing() {
        let deep = [&"[".repeat(10_000), "1", &"]".repeat(10_000)].concat();
        let record = format!(r#"{{"id":1,"call_sid":"a","status":"x","call_meta":{deep}}}"#);
        for body in [
            format!("[{record}]"),
            format!(r#"{{"items":[{record}],"total":1,"more":{deep}}}"#),
        ] {
            let Ok(Answer::Page(page)) = read(&list(9), 200, body.as_bytes()) else {
                panic!("refused")
            };
            assert!(*page.calls[0].body == *record);
        }
        let by_id = Request::Call(CallKey::Id(1));
        assert!(read(&by_id, 200, record.as_bytes()).is_ok());
        let open = "[".repeat(1 << 20);
        let members = "{\"items\":".repeat(1 << 18);
        for body in [&deep, &open, &members] {
            for request in [&list(9), &by_id, &Request::Identity(IdentityEndpoint::User)] {
                for status in [200, 404] {
                    let answer = read(request, status, body.as_bytes());
                    assert_eq!(kind(answer), ErrorKind::BadAnswer);
                }
            }
        }
    }

    #[test]
    fn only_the_upstreams_own_404_says_that_a_call_is_not_there() {
        let by_id = Request::Call(CallKey::Id(7));
        let known = br#"{"detail":"Call with ID 7 not found in your organization"}"#;
        assert!(matches!(read(&by_id, 404, known), Ok(Answer::NotFound)));
        for body in [
            &br#"{"detail":"Not Found"}"#[..],
            b"<html>404</html>",
            b"",
            br#"{"detail":[]}"#,
            br#"["gone"]"#,
        ] {
            assert_eq!(kind(read(&by_id, 404, body)), ErrorKind::BadAnswer);
        }
        assert_eq!(kind(read(&list(9), 404, known)), ErrorKind::BadAnswer);
    }

    #[test]
    fn another_call_than_the_one_asked_for_is_no_answer() {
        let body = call(8, "null");
        assert_eq!(
            kind(read(&Request::Call(CallKey::Id(7)), 200, body.as_bytes())),
            ErrorKind::BadAnswer
        );
        assert!(
            read(
                &Request::Call(CallKey::Sid("CA8".into())),
                200,
                body.as_bytes()
            )
            .is_ok()
        );
        assert_eq!(
            kind(read(
                &Request::Call(CallKey::Sid("ca8".into())),
                200,
                body.as_bytes()
            )),
            ErrorKind::BadAnswer
        );
    }

    #[test]
    fn statuses_are_sorted_by_what_to_do_about_them() {
        for (status, expected) in [
            (401, ErrorKind::Unauthorized),
            (403, ErrorKind::Unauthorized),
            (429, ErrorKind::Throttled),
            (307, ErrorKind::Redirected),
            (422, ErrorKind::Refused),
            (500, ErrorKind::ServerError),
            (503, ErrorKind::ServerError),
            (204, ErrorKind::BadAnswer),
        ] {
            assert_eq!(kind(read(&list(9), status, b"")), expected, "{status}");
        }
    }

    #[test]
    fn a_self_hosted_server_tells_the_organization_with_its_assistants() {
        let request = Request::Identity(IdentityEndpoint::Assistants);
        let path = path_and_query(&request, DateForm::NAIVE);
        assert_eq!(path, "/api/v1/assistants/me/organization");
        let told = br#"{"organization_id":42,"organization_name":"x","user_id":1}"#;
        let read = |status, body: &[u8]| read(&request, status, body);
        assert!(matches!(read(200, told), Ok(Answer::Identity(Some(42)))));
        let none = br#"{"detail":"Not Found"}"#;
        assert!(matches!(read(404, none), Ok(Answer::Identity(None))));
    }

    #[test]
    fn a_server_without_a_list_of_assistants_says_so_in_its_own_words() {
        let request = Request::Assistants { skip: 0 };
        let none = br#"{"detail":"Not Found"}"#;
        for status in [404, 405, 422] {
            let answer = read(&request, status, none);
            assert!(matches!(answer, Ok(Answer::Assistants(None))), "{status}");
            assert!(read(&request, status, b"<html>").is_err(), "{status}");
        }
    }

    #[test]
    fn only_a_list_can_be_too_long_and_only_a_change_be_taken_over() {
        let count = Request::Count {
            from: None,
            to: None,
        };
        let made = call(7, "null");
        let one = Request::Call(CallKey::Id(7));
        assert_eq!(kind(read(&list(9), 413, b"")), ErrorKind::PageTooLong);
        assert_eq!(kind(read(&count, 413, b"")), ErrorKind::Refused);
        let taken = read(&one, 202, made.as_bytes());
        assert_eq!(kind(taken), ErrorKind::BadAnswer);
    }

    #[test]
    fn identity_is_the_organization_or_a_server_without_the_endpoint() {
        let me = br#"{"id":1,"organization_id":42,"email":"x"}"#;
        assert!(matches!(
            read(&Request::Identity(IdentityEndpoint::User), 200, me),
            Ok(Answer::Identity(Some(42)))
        ));
        let none = br#"{"detail":"Not Found"}"#;
        let not_an_id = br#"{"detail":[{"type":"int_parsing","loc":["path","user_id"]}]}"#;
        for (status, body) in [(404, &none[..]), (405, none), (422, not_an_id)] {
            assert!(matches!(
                read(&Request::Identity(IdentityEndpoint::User), status, body),
                Ok(Answer::Identity(None))
            ));
        }
        assert!(matches!(
            read(&Request::Identity(IdentityEndpoint::User), 404, none),
            Ok(Answer::Identity(None))
        ));
        assert_eq!(
            kind(read(
                &Request::Identity(IdentityEndpoint::User),
                404,
                b"<html>"
            )),
            ErrorKind::BadAnswer
        );
        assert_eq!(
            kind(read(
                &Request::Identity(IdentityEndpoint::User),
                404,
                b"[1]"
            )),
            ErrorKind::BadAnswer
        );
        assert_eq!(
            kind(read(&Request::Identity(IdentityEndpoint::User), 200, b"{}")),
            ErrorKind::BadAnswer
        );
    }

    #[test]
    fn retry_after_is_read_on_every_status() {
        let now = Timestamp::from_micros(0);
        let wait = Some(Duration::from_secs(5));
        let good = reply(&list(9), DateForm::NAIVE, 200, Some("5"), b"[]", now).unwrap();
        assert_eq!(good.retry_after, wait);
        for status in [200, 202, 307, 401, 404, 429, 500, 503] {
            let error =
                reply(&list(9), DateForm::NAIVE, status, Some("5"), b"<html>", now).unwrap_err();
            assert_eq!(
                (error.retry_after, error.retry()),
                (wait, Retry::After(Duration::from_secs(5)))
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_is_capped() {
        let now = Timestamp::parse("1994-11-06T08:49:00").unwrap();
        for (value, seconds) in [
            ("5", Some(5)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(
                pause(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
