//! Replays the captures of a self-hosted server, byte for byte.

use burki_edge::simulator::{ApiRequest, ApiResponse, World};
use serde_json::Value;

use super::captured::{
    ANALYTICS, CapturedRequest, CapturedResponse, DRAWN, Identity, KEY, added_up, calls, captured,
    captured_world, captures, left_out,
};

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

fn assert_same(world: &World, path: &str, answer: &ApiResponse, captured: &CapturedResponse) {
    assert_eq!(answer.status, captured.status, "{path}");
    for name in [
        "content-type",
        "content-disposition",
        "location",
        "www-authenticate",
        "allow",
    ] {
        let expected = captured.headers.get(name).map(String::as_str);
        assert_eq!(answer.header(name), expected, "{path}: {name}");
    }
    if !DRAWN.contains(&path) {
        assert_eq!(answer.text(), captured.body, "{path}");
        return;
    }
    let (served, expected) = (calls(answer.text()), calls(&captured.body));
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
    assert_eq!((replayed, skipped.len()), (67, 6), "{skipped:#?}");
}

#[test]
fn an_instant_s_ties_are_the_captured_set_whatever_their_order() {
    let path = DRAWN[5];
    let capture = captures();
    let capture = capture.iter().find(|one| one.request.path == path).unwrap();
    let mut world = captured_world();
    let answer = world.answer(&request(&capture.request));
    let (mut served, mut expected) = (calls(answer.text()), calls(&capture.response.body));
    served.sort_unstable();
    expected.sort_unstable();
    assert_eq!(served, expected);
}

#[test]
fn analytics_are_the_captured_ones_to_the_last_digit() {
    for path in ANALYTICS {
        let expected = captured(path).body;
        let mut world = added_up(&serde_json::from_str(&expected).unwrap());
        let answer = world.answer(&ApiRequest::new("GET", path).with_key(KEY));
        assert_eq!(answer.status, 200);
        // The days are in any order; all else is compared as text.
        let parts = |text: &str| {
            let (head, rest) = text.split_once("\"daily_stats\":").unwrap();
            let (days, tail) = rest.split_once(",\"top_assistants\"").unwrap();
            let days: Value = serde_json::from_str(days).unwrap();
            (head.to_owned(), days, tail.to_owned())
        };
        assert_eq!(parts(answer.text()), parts(&expected), "{path}");
    }
}
