//! Replays the captures of a self-hosted server, byte for byte.

use std::collections::BTreeMap;

use burki_edge::simulator::{ApiRequest, ApiResponse, Flavour, World, WorldConfig};
use serde::Deserialize;
use serde_json::value::RawValue;

const CAPTURES: &str = include_str!("../fixtures/captures.jsonl");
const KEY: &str = "burki_0123456789abcdefghijklmnopqrstuv";

/// Captures whose answers depend on records that were not captured, or on what is not simulated.
/// By target, with the reason.
const LEFT_OUT: [(&str, &str); 21] = [
    (
        "/api/v1/calls/?limit=3&skip=4990",
        "needs the 5,000 rows before",
    ),
    ("/api/v1/calls/count", "counts all 5,000 rows"),
    (
        "/api/v1/calls/count?status=ongoing",
        "counts all 5,000 rows",
    ),
    ("/api/v1/calls/analytics", "analytics are not simulated"),
    (
        "/api/v1/calls/analytics?period=90d",
        "analytics are not simulated",
    ),
    (
        "/api/v1/calls/analytics?period=2d",
        "analytics are not simulated",
    ),
    (
        "/api/v1/calls/export?date_from=2026-11-21",
        "exports are not simulated",
    ),
    (
        "/api/v1/calls/export?format=json&date_from=2026-11-21",
        "exports are not simulated",
    ),
    (
        "/api/v1/calls/export?format=xml",
        "exports are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts?include_interim=true",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts?speaker=user",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts?include_interim=maybe",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/999999/transcripts",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/2/transcripts",
        "transcripts are not simulated",
    ),
    ("/api/v1/calls/1/recordings", "recordings are not simulated"),
    (
        "/api/v1/calls/1/recordings?recording_type=mixed",
        "recordings are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts/export",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts/export?format=json",
        "transcripts are not simulated",
    ),
    (
        "/api/v1/calls/1/transcripts/export?format=csv",
        "transcripts are not simulated",
    ),
    (SID_DETAILS, "transcripts and recordings are not simulated"),
];

/// Two captures: this with `transcripts`, and with `recordings`.
const SID_DETAILS: &str = "/api/v1/calls/sid/CA1c11f735dc713d960c0fd195c17af08a/";

/// Lists whose page the captured server drew from ties: what must hold is that as many rows are
/// served, each verbatim, and row for row of the same start.
const DRAWN: [&str; 8] = [
    "/api/v1/calls/?limit=100",
    "/api/v1/calls/?limit=3",
    "/api/v1/calls/?status=ongoing&limit=2",
    "/api/v1/calls/?status=&limit=1",
    "/api/v1/calls/?assistant_id=1&limit=2",
    "/api/v1/calls/?date_from=2026-10-13T06:00:00&date_to=2026-10-13T06:00:00&limit=5",
    "/api/v1/calls/?min_duration=6000&limit=2",
    "/api/v1/calls/?max_duration=100&limit=2",
];

#[derive(Deserialize)]
struct Capture {
    request: CapturedRequest,
    response: CapturedResponse,
}

#[derive(Deserialize)]
struct CapturedRequest {
    method: String,
    path: String,
    /// Absent where the capture carried its key and nothing else.
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct CapturedResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Deserialize)]
struct Identity {
    id: i64,
}

fn captures() -> Vec<Capture> {
    let lines = CAPTURES.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The call objects of a captured body, verbatim.
fn calls(body: &str) -> Vec<&str> {
    let objects: Vec<&RawValue> = if body.starts_with('[') {
        serde_json::from_str(body).unwrap_or_default()
    } else {
        serde_json::from_str(body).into_iter().collect()
    };
    let texts = objects.into_iter().map(RawValue::get);
    texts
        .filter(|text| text.starts_with("{\"call_sid\""))
        .collect()
}

/// A self-hosted world of exactly the captured calls.
fn captured_world() -> World {
    let mut world = World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        api_key: KEY.to_owned(),
        calls: 0,
        ..WorldConfig::default()
    });
    for capture in captures() {
        for text in calls(&capture.response.body) {
            let Identity { id } = serde_json::from_str(text).unwrap();
            match world.text(id) {
                Some(known) => assert_eq!(known, text, "a call that changed between captures"),
                None => assert_eq!(world.insert_json(text).unwrap(), id),
            }
        }
    }
    world
}

fn request(capture: &CapturedRequest) -> ApiRequest {
    let request = ApiRequest {
        host: Some("127.0.0.1:8600".to_owned()),
        body: capture.body.clone().unwrap_or_default().into_bytes(),
        ..ApiRequest::new(&capture.method, &capture.path)
    };
    match &capture.headers {
        None => request.with_key(KEY),
        Some(headers) => ApiRequest {
            authorization: headers
                .get("Authorization")
                .map(|value| value.replace("<key>", KEY)),
            ..request
        },
    }
}

fn left_out(path: &str) -> Option<&'static str> {
    let mut table = LEFT_OUT.iter();
    let found = table.find(|(target, _)| {
        path == *target || (*target == SID_DETAILS && path.starts_with(SID_DETAILS))
    });
    found.map(|(_, why)| *why)
}

fn assert_same(world: &World, path: &str, answer: &ApiResponse, captured: &CapturedResponse) {
    assert_eq!(answer.status, captured.status, "{path}");
    for name in ["content-type", "location", "www-authenticate", "allow"] {
        let expected = captured.headers.get(name).map(String::as_str);
        assert_eq!(answer.header(name), expected, "{path}: {name}");
    }
    if !DRAWN.contains(&path) {
        assert_eq!(answer.body, captured.body, "{path}");
        return;
    }
    let (served, expected) = (calls(&answer.body), calls(&captured.body));
    assert_eq!(served.len(), expected.len(), "{path}: rows");
    for (index, text) in served.iter().enumerate() {
        let Identity { id } = serde_json::from_str(text).unwrap();
        assert_eq!(world.text(id).as_deref(), Some(*text), "{path}");
        // Ties or not, the order of the starts is not left to chance.
        let place = |text: &str| {
            let Identity { id } = serde_json::from_str(text).unwrap();
            world.get(id).unwrap().started_at
        };
        assert_eq!(place(text), place(expected[index]), "{path}: row {index}");
    }
}

#[test]
fn a_world_of_the_captured_calls_answers_as_the_captured_server_did() {
    let mut world = captured_world();
    assert_eq!(world.len(), 112);
    let (mut replayed, mut skipped) = (0, Vec::new());
    for capture in captures() {
        let path = &capture.request.path;
        if let Some(why) = left_out(path) {
            skipped.push(format!("{path}: {why}"));
            continue;
        }
        let answer = world.answer(&request(&capture.request));
        assert_same(&world, path, &answer, &capture.response);
        replayed += 1;
    }
    assert_eq!((replayed, skipped.len()), (51, 22), "{skipped:#?}");
}

#[test]
fn an_instant_s_ties_are_the_captured_set_whatever_their_order() {
    let path = DRAWN[5];
    let capture = captures();
    let capture = capture.iter().find(|one| one.request.path == path).unwrap();
    let mut world = captured_world();
    let answer = world.answer(&request(&capture.request));
    let (mut served, mut expected) = (calls(&answer.body), calls(&capture.response.body));
    served.sort_unstable();
    expected.sort_unstable();
    assert_eq!(served, expected);
}
