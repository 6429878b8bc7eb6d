//! What a self-hosted server was seen to answer, asked of an edge before a server of the same
//! calls, with the line up and cut: the captured answer in the shape of a hosted Burki.

use std::cmp::Reverse;

use burki_edge::model::Timestamp;
use burki_edge::simulator::World;
use burki_edge::sync::Phase;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::captured::{
    Capture, CapturedRequest, DRAWN, Identity, KEY, added_up, calls, captured, captured_world,
    captures, left_out,
};
use super::edge_and_upstream::{Answer, Site};

/// How the edge's answer comes of the captured one where it is not the same.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Difference {
    /// Each entry of a refusal without its `url`.
    Unlinked,
    /// The captured rows as `items`, with `total`, `skip` and `limit` behind them.
    Listed,
    /// The same, but which of the rows of one start come first, and where the page ends among
    /// them which those are, was drawn by the captured server.
    ListedByOrder,
    /// What is where the redirect points to.
    FeedPosition,
    /// The status and the headers of the GET.
    HeadOfGet,
    /// The same refusal, with HEAD among the methods that are allowed.
    HeadAllowed,
    /// Figures of the captured calls.
    Figures,
    /// The days of the figures in any order.
    DaysInAnyOrder,
}

/// Every difference, why it is one, and the captures that it is of.
const DIFFERENCES: [(Difference, &str, &[&str]); 8] = [
    (
        Difference::Unlinked,
        "a hosted Burki's refusals name no page of documentation",
        &[
            "GET /api/v1/calls/abc",
            "GET /api/v1/calls/1.5",
            "GET /api/v1/calls/?limit=0",
            "GET /api/v1/calls/?limit=1001",
            "GET /api/v1/calls/?skip=-1",
            "GET /api/v1/calls/?skip=-1&limit=0",
            "GET /api/v1/calls/?limit=x",
            "GET /api/v1/calls/?date_from=garbage",
            "GET /api/v1/calls/?date_from=2026-02-30",
            "GET /api/v1/calls/search?q=555",
            "GET /api/v1/calls/analytics?period=2d",
            "GET /api/v1/calls/export?format=xml",
            "GET /api/v1/calls/1/transcripts?include_interim=maybe",
        ],
    ),
    (
        Difference::Listed,
        "a hosted Burki's list is an object that tells the total",
        &[
            "GET /api/v1/calls/?skip=999999",
            "GET /api/v1/calls/?status=nope",
            "GET /api/v1/calls/?customer_phone=5550005",
            "GET /api/v1/calls/?date_from=2026-11-20&limit=2",
            "GET /api/v1/calls/?date_from=2026-11-20T00:00:00%2B05:30&limit=2",
        ],
    ),
    (
        Difference::ListedByOrder,
        "that, and the edge orders calls of one start by their id, for pages to fit together",
        &[
            "GET /api/v1/calls/?limit=100",
            "GET /api/v1/calls/?limit=3",
            "GET /api/v1/calls/?status=ongoing&limit=2",
            "GET /api/v1/calls/?status=&limit=1",
            "GET /api/v1/calls/?assistant_id=1&limit=2",
            "GET /api/v1/calls/?date_from=2026-10-13T06:00:00&date_to=2026-10-13T06:00:00&limit=5",
            "GET /api/v1/calls/?min_duration=6000&limit=2",
            "GET /api/v1/calls/?max_duration=100&limit=2",
        ],
    ),
    (
        Difference::FeedPosition,
        "a slash at the end makes no difference to the edge",
        &["GET /api/v1/calls/5/", "GET /api/v1/calls?limit=2"],
    ),
    (
        Difference::HeadOfGet,
        "HEAD works wherever GET does",
        &["HEAD /api/v1/calls/5"],
    ),
    (
        Difference::HeadAllowed,
        "the same",
        &["POST /api/v1/calls/5", "DELETE /api/v1/calls/5"],
    ),
    (
        Difference::Figures,
        "a hosted Burki has the endpoint; the captured one took `stats` for an id",
        &["GET /api/v1/calls/stats"],
    ),
    (
        Difference::DaysInAnyOrder,
        "the captured server orders its days by chance, and what it added up was not captured: \
         calls are made that come to the same",
        &[
            "GET /api/v1/calls/analytics",
            "GET /api/v1/calls/analytics?period=90d",
        ],
    ),
];

/// How many of the captured calls are on a list, its pages taken together.
const TOTALS: [(&str, u64); 13] = [
    ("/api/v1/calls/?skip=999999", 112),
    ("/api/v1/calls/?status=nope", 0),
    ("/api/v1/calls/?customer_phone=5550005", 1),
    ("/api/v1/calls/?date_from=2026-11-20&limit=2", 68),
    (
        "/api/v1/calls/?date_from=2026-11-20T00:00:00%2B05:30&limit=2",
        68,
    ),
    (DRAWN[0], 112),
    (DRAWN[1], 112),
    (DRAWN[2], 11),
    (DRAWN[3], 112),
    (DRAWN[4], 75),
    (DRAWN[5], 5),
    (DRAWN[6], 11),
    (DRAWN[7], 7),
];

/// The headers that are compared.
const HEADERS: [&str; 5] = [
    "content-type",
    "content-disposition",
    "location",
    "www-authenticate",
    "allow",
];

/// Pages whose last start has no more calls than are on them, so that they hold the same ones.
const WHOLE: [&str; 2] = [DRAWN[0], DRAWN[5]];

/// What the edge can't answer offline as it did online, and why.
const ONLINE_ONLY: [(&str, &str); 5] = [
    ("/api/v1/calls/1/messages", "a self-hosted server has none"),
    ("/api/v1/calls/nope/nope/nope", "the upstream's to answer"),
    ("/nope", "the upstream's to answer"),
    ("/api/v1/calls/5/metadata", "a change"),
    ("/api/v1/calls/999999/metadata", "a change"),
];

fn difference(capture: &Capture) -> Option<Difference> {
    if capture.response.status == 401 {
        // Who may not ask is told so, whatever it was.
        return None;
    }
    let request = format!("{} {}", capture.request.method, capture.request.path);
    let mut found = DIFFERENCES
        .iter()
        .filter(|(.., of)| of.contains(&&*request));
    found.next().map(|(difference, ..)| *difference)
}

async fn ask(site: &Site, request: &CapturedRequest) -> Answer {
    let authorization = match &request.headers {
        None => Some(format!("Bearer {KEY}")),
        Some(headers) => {
            let sent = headers.get("Authorization");
            sent.map(|value| value.replace("<key>", KEY))
        }
    };
    site.send_as(
        &site.edge,
        authorization.as_deref(),
        &request.method,
        &request.path,
        &[],
        request.body.as_deref(),
    )
    .await
}

/// A JSON text without the `url` of its entries.
fn unlinked(text: &str) -> String {
    let mut parts = text.split(",\"url\":\"");
    let mut kept = parts.next().unwrap().to_owned();
    for part in parts {
        kept.push_str(part.split_once('"').unwrap().1);
    }
    kept
}

/// The value of a parameter.
fn parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(other, _)| *other == name);
    found.next().map(|(_, value)| value)
}

/// What a hosted Burki lists where the captured server lists these rows.
fn listed(path: &str, rows: &[&str]) -> String {
    let found = TOTALS.iter().find(|(listed, _)| path == *listed);
    let total = found.unwrap().1;
    let skip = parameter(path, "skip").unwrap_or("0");
    let limit = parameter(path, "limit").unwrap_or("100");
    let rows = rows.join(",");
    format!(r#"{{"items":[{rows}],"total":{total},"skip":{skip},"limit":{limit}}}"#)
}

/// The calls of a hosted list, verbatim.
fn items(body: &str) -> Vec<&str> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
    }
    let list: List = serde_json::from_str(body).unwrap();
    list.items.into_iter().map(RawValue::get).collect()
}

/// Which call a text is, and when that one started.
fn place(world: &World, text: &str) -> (Option<Timestamp>, i64) {
    let Identity { id } = serde_json::from_str(text).unwrap();
    let call = world.get(id).unwrap();
    assert_eq!(world.text(id).as_deref(), Some(text));
    (call.started_at, id)
}

/// What a hosted Burki tells of all calls together.
fn figures(world: &World) -> String {
    let completed = world.records().filter(|call| &*call.status == "completed");
    let durations: Vec<f64> = completed.filter_map(|call| call.duration).collect();
    let (calls, sum) = (world.len(), durations.iter().sum::<f64>());
    let average = sum / durations.len() as f64;
    format!(r#"{{"total_calls":{calls},"total_duration":{sum},"average_duration":{average}}}"#)
}

fn headers(answer: &Answer) -> Vec<Option<&str>> {
    let names = HEADERS.iter().map(|name| answer.header(name));
    names.collect()
}

/// Panics where the edge's answer is neither the captured one nor as different as it may be.
async fn assert_answers(site: &Site, world: &World, capture: &Capture, answer: &Answer) {
    let (request, seen) = (&capture.request, &capture.response);
    let path = &*request.path;
    let told = format!("{} {path}", request.method);
    let difference = difference(capture);
    let (status, expected) = match difference {
        None | Some(Difference::HeadAllowed) => (seen.status, seen.body.clone()),
        Some(Difference::Unlinked) => (422, unlinked(&seen.body)),
        Some(Difference::Listed) => (200, listed(path, &calls(&seen.body))),
        Some(Difference::ListedByOrder) => {
            let (served, rows) = (items(answer.text()), calls(&seen.body));
            let places = |rows: &[&str]| -> Vec<(Option<Timestamp>, i64)> {
                rows.iter().map(|row| place(world, row)).collect()
            };
            let (ours, mut theirs) = (places(&served), places(&rows));
            // No start is later than any.
            theirs.sort_by_key(|(start, id)| Reverse((start.unwrap_or(Timestamp::MAX), *id)));
            if WHOLE.contains(&path) {
                assert_eq!(ours, theirs, "{told}");
            }
            let starts = |places: &[(Option<Timestamp>, i64)]| -> Vec<Option<Timestamp>> {
                places.iter().map(|(start, _)| *start).collect()
            };
            assert_eq!(starts(&ours), starts(&theirs), "{told}");
            (200, listed(path, &served))
        }
        Some(Difference::FeedPosition) => {
            let location = &seen.headers["location"];
            let target = &location[location.find("/api").unwrap()..];
            let there = site.get(target).await;
            (200, there.text().to_owned())
        }
        Some(Difference::HeadOfGet) => {
            let length = captured(path).body.len().to_string();
            assert_eq!(answer.header("content-length"), Some(&*length), "{told}");
            (200, String::new())
        }
        Some(Difference::Figures) => (200, figures(world)),
        Some(Difference::DaysInAnyOrder) => return assert_added_up(path, &seen.body).await,
    };
    assert_eq!(
        (answer.status, answer.text()),
        (status, &*expected),
        "{told}"
    );
    for name in HEADERS {
        let expected = seen.headers.get(name).map(String::as_str);
        let expected = match (difference, name) {
            (Some(Difference::FeedPosition), "location") => None,
            (Some(Difference::FeedPosition), "content-type") => Some("application/json"),
            (Some(Difference::HeadOfGet), "allow") => None,
            (Some(Difference::HeadAllowed), "allow") => Some("GET, HEAD"),
            _ => expected,
        };
        assert_eq!(answer.header(name), expected, "{told}: {name}");
    }
}

/// An edge before a server of calls that come to the same figures. It is to ask that server for
/// them: by the edge's own clock it would be another period.
async fn assert_added_up(path: &str, expected: &str) {
    let site = Site::start_before(added_up(&serde_json::from_str(expected).unwrap()), &[]);
    site.until(|status| status.phase == Phase::Live).await;
    let anew = [("cache-control", "no-cache")];
    let answer = site.ask("GET", path, &anew, None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let parts = |text: &str| {
        let (head, rest) = text.split_once("\"daily_stats\":").unwrap();
        let (days, tail) = rest.split_once(",\"top_assistants\"").unwrap();
        let days: Value = serde_json::from_str(days).unwrap();
        (head.to_owned(), days, tail.to_owned())
    };
    assert_eq!(parts(answer.text()), parts(expected), "{path}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_answers_as_the_captured_server_did_in_the_hosted_shape() {
    let world = captured_world();
    let site = Site::before(captured_world()).await;
    let (mut verbatim, mut by_table, mut impossible) = (0, 0, Vec::new());
    let mut online = Vec::new();
    for capture in captures() {
        let difference = difference(&capture);
        if let (None, Some(why)) = (difference, left_out(&capture.request.path)) {
            impossible.push(format!("{}: {why}", capture.request.path));
            continue;
        }
        let answer = ask(&site, &capture.request).await;
        assert_answers(&site, &world, &capture, &answer).await;
        match difference {
            None => verbatim += 1,
            Some(_) => by_table += 1,
        }
        // By the edge's own clock, offline, the figures are of another period.
        if difference != Some(Difference::DaysInAnyOrder) {
            online.push((capture, answer));
        }
    }
    let counted = (verbatim, by_table, impossible.len());
    assert_eq!(counted, (35, 34, 4), "{impossible:#?}");

    site.until_served("/api/v1/calls/export", "complete").await;
    site.cut().await;
    let mut differing = 0;
    for (capture, before) in &online {
        let path = &*capture.request.path;
        let answer = ask(&site, &capture.request).await;
        if ONLINE_ONLY.iter().any(|(other, _)| path == *other) {
            differing += 1;
            // The simulator takes the connection before it drops it, so that nobody knows what was
            // sent.
            assert!(matches!(answer.status, 503 | 504), "{path}");
            continue;
        }
        if before.status == 404 && path.starts_with("/api/v1/calls/") && answer.status == 503 {
            // Above the highest id, or under another SID, there may be a new call by now.
            assert!(answer.header("retry-after").is_some(), "{path}");
            continue;
        }
        let told = (answer.status, answer.text(), headers(&answer));
        let same = (before.status, before.text(), headers(before));
        assert_eq!(told, same, "{} {path}", capture.request.method);
    }
    assert_eq!(differing, ONLINE_ONLY.len());
}
