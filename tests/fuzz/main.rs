//! What comes from outside, mangled: whatever it is, it is read or refused, and nothing panics.
//!
//! Each test runs for `FUZZ_SECONDS` seconds, two where nothing is said, from a seed that a failure
//! shows; `FUZZ_SEED` begins with that one. Requests are mangled in `tests/process/mangled.rs`.

#![expect(clippy::expect_used, reason = "a test may fail where it stands")]
#![expect(clippy::print_stdout, reason = "a seed is shown with its test")]

use std::time::{Duration, Instant};

use burki_edge::config::Config;
use burki_edge::model::{CallKey, Detail, Timestamp};
use burki_edge::upstream::{Answer, DateForm, IdentityEndpoint, ListQuery, Request, wire};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestCaseError, TestRng, TestRunner};

const CAPTURES: &str = include_str!("../fixtures/captures.jsonl");
const CONFIG: &str = include_str!("../../config.toml");

/// So many inputs are tried between two looks at the clock.
const BATCH: u32 = 200;

/// Tries inputs until the time is over.
fn fuzz<S: Strategy>(
    name: &str,
    inputs: &S,
    holds: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seconds = number("FUZZ_SECONDS").unwrap_or(2);
    let begun = Instant::now();
    let first = number("FUZZ_SEED").unwrap_or_else(rand::random);
    let mut batches = 0;
    for seed in (first..).take_while(|_| begun.elapsed() < Duration::from_secs(seconds)) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let cases = Cases {
            cases: BATCH,
            failure_persistence: None,
            max_shrink_time: 20_000,
            ..Cases::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(cases, random);
        if let Err(failed) = runner.run(inputs, &holds) {
            panic!("{name}: FUZZ_SEED={seed}: {failed}");
        }
        batches += 1;
    }
    println!("{name}: {} inputs from seed {first}", batches * BATCH);
}

/// One way of mangling a text.
#[derive(Clone, Debug)]
enum Mangling {
    Remove(Index, usize),
    Repeat(Index, usize),
    Insert(Index, String),
    Replace(Index, char),
    CutOff(Index),
}

/// What is likely to be taken for something else.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\PC]{0,4}",
        Just("null".to_owned()),
        Just("-1".to_owned()),
        Just("1e999".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("\"\\u0000\\ud800\"".to_owned()),
        Just("\u{0}".to_owned()),
        Just("{\"id\":1,\"id\":2}".to_owned()),
        Just("[".repeat(200)),
        Just("9999-12-31T23:59:59.999999+14:00".to_owned()),
        Just("\r\n".to_owned()),
    ]
}

fn manglings() -> impl Strategy<Value = Vec<Mangling>> {
    let at = any::<Index>;
    let one = prop_oneof![
        (at(), 1..40_usize).prop_map(|(at, length)| Mangling::Remove(at, length)),
        (at(), 1..400_usize).prop_map(|(at, length)| Mangling::Repeat(at, length)),
        (at(), piece()).prop_map(|(at, text)| Mangling::Insert(at, text)),
        (at(), any::<char>()).prop_map(|(at, c)| Mangling::Replace(at, c)),
        at().prop_map(Mangling::CutOff),
    ];
    prop::collection::vec(one, 0..4)
}

fn mangled(text: &str, manglings: &[Mangling]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for mangling in manglings {
        let place = |at: &Index| at.index(text.len() + 1);
        match mangling {
            Mangling::Remove(at, length) => {
                let (from, to) = (place(at), (place(at) + length).min(text.len()));
                text.drain(from..to);
            }
            Mangling::Repeat(at, length) => {
                let (from, to) = (place(at), (place(at) + length).min(text.len()));
                let again = text[from..to].to_vec();
                text.splice(from..from, again);
            }
            Mangling::Insert(at, piece) => {
                let at = place(at);
                text.splice(at..at, piece.chars());
            }
            Mangling::Replace(at, c) => {
                let at = place(at);
                if let Some(place) = text.get_mut(at) {
                    *place = *c;
                }
            }
            Mangling::CutOff(at) => {
                let at = place(at);
                text.truncate(at);
            }
        }
    }
    text.into_iter().collect()
}

/// Bodies that a server really sent.
fn bodies() -> Vec<String> {
    let bodies = CAPTURES.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let body = line
            .get("body")
            .or_else(|| line.get("response")?.get("body"))?;
        Some(match body {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    });
    let bodies: Vec<String> = bodies.filter(|body| body.len() < 20_000).collect();
    assert!(bodies.len() > 10, "the captures are read");
    bodies
}

fn requests() -> Vec<Request> {
    let instant = Timestamp::parse("2026-11-01T12:00:00").ok();
    vec![
        Request::Identity(IdentityEndpoint::User),
        Request::Identity(IdentityEndpoint::Assistants),
        Request::List(ListQuery::default()),
        Request::Count {
            from: instant,
            to: instant,
        },
        Request::Call(CallKey::Id(101)),
        Request::Call(CallKey::Sid("CA101".to_owned())),
        Request::Detail(101, Detail::Transcripts),
        Request::Detail(101, Detail::Metrics),
        Request::Assistants { skip: 0 },
        Request::Changes {
            after: 0,
            limit: 100,
        },
        Request::Patch {
            id: 101,
            metadata: "{}".to_owned(),
        },
    ]
}

/// What was read of an answer is what it says: each record is the text that came, or none.
fn assert_read(answer: &Answer, body: &str) -> Result<(), TestCaseError> {
    let calls = match answer {
        Answer::Page(page) => page.calls.iter().collect(),
        Answer::Call(call) => vec![&**call],
        _ => Vec::new(),
    };
    for call in calls {
        prop_assert!(body.contains(&*call.body), "{}", call.body);
        let record: serde_json::Value = serde_json::from_str(&call.body).expect("JSON");
        prop_assert_eq!(record["id"].as_i64(), Some(call.id));
    }
    Ok(())
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(200_u16),
        Just(404),
        Just(401),
        Just(422),
        Just(429),
        100..600_u16
    ]
}

#[test]
fn answers_of_an_upstream() {
    let (bodies, requests) = (bodies(), requests());
    let inputs = (any::<Index>(), any::<Index>(), manglings(), statuses());
    fuzz("answers", &inputs, |(body, request, manglings, status)| {
        let body = mangled(&bodies[body.index(bodies.len())], &manglings);
        let request = request.get(&requests);
        let now = Timestamp::from_micros(0);
        let retry_after = Some(&*body).filter(|body| body.len() < 40);
        let read = wire::reply(
            request,
            DateForm::default(),
            status,
            retry_after,
            body.as_bytes(),
            now,
        );
        match read {
            Ok(reply) => assert_read(&reply.answer, &body),
            Err(_) => Ok(()),
        }
    });
}

#[test]
fn feed_pages_of_an_edge() {
    const FEED: &str = r#"{"items":[{"seq":3,"age_s":9,"op":"upsert","call":{"id":1,"call_sid":"a","status":"x","started_at":"2026-01-01T00:00:00"}},{"seq":5,"age_s":99999999999,"op":"delete","id":4}],"next":5,"more":true,"feed":"ab","organization_id":7,"complete":true,"freshness_bound_s":60,"coverage":[{"from":null,"to":5,"age_s":3,"open_ended":true},{"from":7,"to":9,"age_s":3,"open_ended":false}]}"#;
    fuzz(
        "feed pages",
        &(manglings(), 0..10_u64),
        |(manglings, after)| {
            let body = mangled(FEED, &manglings);
            let request = Request::Changes { after, limit: 100 };
            let now = Timestamp::from_micros(0);
            let form = DateForm::default();
            if let Ok(reply) = wire::reply(&request, form, 200, None, body.as_bytes(), now)
                && let Answer::Feed(feed) = reply.answer
            {
                // A follower goes on from there, and never back.
                prop_assert!(feed.next >= after);
            }
            Ok(())
        },
    );
}

#[test]
fn configuration_files() {
    const SECRET: &str = "burki_not_for_your_eyes";
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    let whole = CONFIG
        .replace("# api_key = \"…\"", &format!("api_key = \"{SECRET}\""))
        .replace("# [[auth.tokens]]", "[[auth.tokens]]");
    fuzz("configuration files", &manglings(), |manglings| {
        std::fs::write(&path, mangled(&whole, &manglings)).unwrap();
        match Config::load(Some(&path), [("", ""); 0]) {
            Ok(loaded) => {
                let shown = format!("{:?}", loaded.settings);
                prop_assert!(!shown.contains(SECRET), "{}", shown);
            }
            Err(error) => {
                let text = error.to_string();
                prop_assert!(!text.is_empty());
                prop_assert!(!text.contains(SECRET), "{}", text);
            }
        }
        Ok(())
    });
}
