//! What belongs to a call: the same each time, of the documented shape, and never finished early.

use std::collections::BTreeSet;
use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{ApiRequest, ApiResponse, Flavour, Rates, World, WorldConfig};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../fixtures/openapi-calls.json");

/// Paths below a call and the schema of what they answer.
const SHAPES: [(&str, &str); 5] = [
    ("transcripts?include_interim=1", "TranscriptResponse"),
    ("recordings", "RecordingResponse"),
    ("messages", "ChatMessageResponse"),
    ("webhook-logs", "WebhookLogResponse"),
    ("metrics", "CallMetricsResponse"),
];

/// Alive, but too slow for anything to happen unasked.
const SLOW: Rates = Rates {
    calls: 1e-9,
    ..Rates::STILL
};

fn world(flavour: Flavour) -> World {
    World::new(WorldConfig {
        flavour,
        calls: 150,
        ..WorldConfig::default()
    })
}

fn ask(world: &mut World, method: &str, target: &str, body: &str) -> ApiResponse {
    let key = world.api_key().to_owned();
    let request = ApiRequest::new(method, target).with_key(&key);
    world.answer(&request.with_body(body))
}

fn get(world: &mut World, target: &str) -> ApiResponse {
    ask(world, "GET", &format!("/api/v1/calls/{target}"), "")
}

fn rows(world: &mut World, target: &str) -> Vec<Value> {
    let answer = get(world, target);
    assert_eq!(answer.status, 200, "{target}");
    match serde_json::from_str(answer.text()).unwrap() {
        Value::Array(rows) => rows,
        other => vec![other],
    }
}

fn ids(world: &World) -> Vec<i64> {
    world.records().map(|record| record.id).collect()
}

/// Whether the value is of a type the schema allows.
fn fits(value: &Value, schema: &Value) -> bool {
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().any(|one| fits(value, one));
    }
    match schema["type"].as_str().unwrap() {
        "string" => match value.as_str() {
            Some(text) if schema["format"] == "date-time" => Timestamp::parse(text).is_ok(),
            text => text.is_some(),
        },
        "integer" => value.is_i64(),
        "number" => value.is_f64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("a type not known: {other}"),
    }
}

#[test]
fn every_detail_has_the_documented_fields_and_types() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut world = world(Flavour::Hosted);
    for (below, name) in SHAPES {
        let schema = &document["components"]["schemas"][name]["properties"];
        let fields: BTreeSet<&String> = schema.as_object().unwrap().keys().collect();
        let (mut seen, mut without) = (0, 0);
        for id in ids(&world) {
            let found = rows(&mut world, &format!("{id}/{below}"));
            without += usize::from(found.is_empty());
            for row in &found {
                let row = row.as_object().unwrap();
                assert_eq!(row.keys().collect::<BTreeSet<&String>>(), fields, "{name}");
                for (key, value) in row {
                    assert!(fits(value, &schema[key]), "{name}: {key} is {value}");
                }
                seen += 1;
            }
        }
        assert!(seen > 100, "{name}: {seen}");
        assert!((without > 10) == (below != "metrics"), "{name}: {without}");
    }
}

#[test]
fn the_self_hosted_server_knows_less() {
    let mut world = world(Flavour::SelfHosted);
    let ids = ids(&world);
    let transcripts = ids
        .iter()
        .flat_map(|id| rows(&mut world, &format!("{id}/transcripts")))
        .collect::<Vec<Value>>();
    assert!(!transcripts.is_empty());
    for row in transcripts {
        assert_eq!(row.get("stt_timestamps"), None);
        assert!(!row["created_at"].as_str().unwrap().ends_with('Z'));
    }
    for below in ["messages", "metrics", "webhook-logs"] {
        let answer = get(&mut world, &format!("{}/{below}", ids[0]));
        assert_eq!(
            (answer.status, answer.text()),
            (404, r#"{"detail":"Not Found"}"#)
        );
    }
}

#[test]
fn details_follow_from_the_seed_and_from_nothing_that_was_asked_before() {
    let (mut world, mut again) = (world(Flavour::Hosted), world(Flavour::Hosted));
    let mut other = World::new(WorldConfig {
        calls: 0,
        seed: 2,
        ..WorldConfig::default()
    });
    let mut differing = 0;
    for record in again.records() {
        other.insert(record.clone()).unwrap();
    }
    for id in ids(&world).into_iter().rev() {
        for (below, _) in SHAPES {
            let target = format!("{id}/{below}");
            let answer = get(&mut world, &target);
            assert_eq!(answer, get(&mut world, &target));
            assert_eq!(answer, get(&mut again, &target));
            differing += usize::from(answer.text() != get(&mut other, &target).text());
        }
    }
    assert!(differing > 300, "{differing}");
    let mut unique = BTreeSet::new();
    for id in ids(&again) {
        for row in again.transcripts(id) {
            assert!(unique.insert(row.id), "two rows of one id");
        }
    }
}

#[test]
fn a_filter_leaves_what_is_meant_and_the_sid_finds_what_the_id_does() {
    let mut world = world(Flavour::Hosted);
    let (mut interim, mut nobody) = (0, 0);
    for id in ids(&world) {
        let all = world.transcripts(id);
        let dates = all.iter().map(|row| row.created_at);
        assert!(dates.is_sorted());
        interim += all.iter().filter(|row| !row.is_final).count();
        nobody += all.iter().filter(|row| row.speaker.is_none()).count();
        for speaker in ["user", "assistant", "User"] {
            let query = format!("transcripts?include_interim=yes&speaker={speaker}");
            let expected = all
                .iter()
                .filter(|row| row.speaker.as_deref() == Some(speaker));
            let expected: Vec<i64> = expected.map(|row| row.id).collect();
            let found = rows(&mut world, &format!("{id}/{query}"));
            let found: Vec<i64> = found
                .iter()
                .map(|row| row["id"].as_i64().unwrap())
                .collect();
            assert_eq!(found, expected);
        }
        let finals = all.iter().filter(|row| row.is_final).count();
        assert_eq!(
            rows(&mut world, &format!("{id}/transcripts?speaker=")).len(),
            finals
        );
        let sid = world.get(id).unwrap().call_sid.clone();
        for below in [
            "transcripts",
            "recordings",
            "recordings?recording_type=mixed",
        ] {
            assert_eq!(
                get(&mut world, &format!("{id}/{below}")),
                get(&mut world, &format!("sid/{sid}/{below}"))
            );
        }
        for (list, key, value) in [
            ("recordings", "recording_type", "mixed"),
            ("messages", "role", "assistant"),
            ("webhook-logs", "webhook_type", "end-of-call-report"),
        ] {
            let mut all = rows(&mut world, &format!("{id}/{list}"));
            all.retain(|row| match list {
                "recordings" => row["recording_type"] == value,
                "messages" => row["role"] == value,
                _ => row["webhook_type"] == value,
            });
            assert_eq!(rows(&mut world, &format!("{id}/{list}?{key}={value}")), all);
        }
    }
    assert!(interim > 50 && nobody > 50, "{interim} {nobody}");
}

#[test]
fn a_switch_is_read_as_pydantic_reads_it() {
    let mut world = world(Flavour::SelfHosted);
    let wanted = |world: &World, id: &i64| world.transcripts(*id).iter().any(|row| !row.is_final);
    let id = ids(&world)
        .into_iter()
        .find(|id| wanted(&world, id))
        .unwrap();
    let all = world.transcripts(id).len();
    for on in ["true", "1", "YES", "on", "t", "Y"] {
        let target = format!("{id}/transcripts?include_interim={on}");
        assert_eq!(rows(&mut world, &target).len(), all, "{on}");
    }
    for off in ["false", "0", "No", "off", "F", "n"] {
        let target = format!("{id}/transcripts?include_interim={off}");
        assert!(rows(&mut world, &target).len() < all, "{off}");
    }
    for neither in ["", "2", "maybe", "%20true"] {
        let target = format!("{id}/transcripts?include_interim={neither}");
        assert_eq!(get(&mut world, &target).status, 422, "{neither}");
    }
    let answer = get(&mut world, "x/transcripts/export?format=xml");
    let refusal: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(refusal["detail"][0]["loc"][1], "call_id");
    assert_eq!(refusal["detail"][1]["ctx"]["pattern"], "^(txt|json|csv)$");
    let answer = get(&mut world, "sid/CAnope/recordings");
    let nobody = r#"{"detail":"Call with SID CAnope not found in your organization"}"#;
    assert_eq!((answer.status, answer.text()), (404, nobody));
}

#[test]
fn a_call_only_gains_rows_and_the_last_one_late() {
    let mut world = World::new(WorldConfig {
        calls: 0,
        ..WorldConfig::default()
    });
    let start = world.now();
    let calls: Vec<i64> = (0..60).map(|_| world.start_call(Some(start))).collect();
    let mut before = vec![Vec::new(); calls.len()];
    let mut late = 0;
    for seconds in [0, 2, 10, 60, 120, 719, 720, 721, 9000] {
        let now = start + Duration::from_secs(seconds);
        world.advance(now);
        for (id, before) in calls.iter().zip(&mut before) {
            if seconds == 120 {
                world.end_call(*id, now, "completed");
            }
            let rows = world.transcripts(*id);
            assert!(rows.starts_with(before), "a row went away or changed");
            assert!(rows.iter().all(|row| row.created_at <= now));
            if seconds > 120 {
                assert!(rows.len() == before.len() || seconds == 721);
                late += rows.len() - before.len();
            }
            *before = rows;
        }
    }
    assert!((5..60).contains(&late), "{late}");
}

#[test]
fn audio_can_be_played_once_the_call_has_ended() {
    let mut world = world(Flavour::Hosted);
    let (mut kinds, mut lost) = (BTreeSet::new(), 0);
    for id in ids(&world) {
        for recording in world.recordings(id) {
            let target = format!("{id}/recording/{}/play", recording.id);
            let answer = get(&mut world, &target);
            if recording.status.as_deref() != Some("completed") {
                lost += 1;
                assert!(
                    [202, 404].contains(&answer.status),
                    "{:?}",
                    recording.status
                );
                continue;
            }
            let (call, audio) = (world.get(id).unwrap().duration, recording.duration);
            let longer = audio.zip(call).map(|(audio, call)| audio - call);
            assert!(
                longer.is_none_or(|longer| (0.0..1.0).contains(&longer)),
                "{longer:?}"
            );
            assert_eq!(world.audio(id, recording.id).as_ref(), Some(&answer.body));
            let kind = answer.header("content-type").unwrap().to_owned();
            let length = |at: usize| {
                let bytes = answer.body[at..at + 4].try_into().unwrap();
                u32::from_le_bytes(bytes) as usize
            };
            match kind.as_str() {
                "audio/wav" => {
                    assert_eq!(&answer.body[..4], b"RIFF");
                    assert_eq!(length(4) + 8, answer.body.len());
                    assert_eq!(length(40).next_multiple_of(2) + 44, answer.body.len());
                }
                other => {
                    assert_eq!(other, "audio/mpeg");
                    let frames = answer.body.chunks(417);
                    assert!(
                        frames
                            .into_iter()
                            .all(|frame| frame.starts_with(&[0xff, 0xfb]))
                    );
                }
            }
            kinds.insert(kind);
        }
    }
    assert!(kinds.len() == 2 && lost > 0);

    let starts = (0..20).map(|_| Some(world.now())).collect::<Vec<_>>();
    let calls: Vec<i64> = starts.into_iter().map(|at| world.start_call(at)).collect();
    let open = calls
        .iter()
        .find(|id| !world.recordings(**id).is_empty())
        .unwrap();
    let recording = world.recordings(*open)[0].id;
    let target = format!("{open}/recording/{recording}/play");
    let answer = get(&mut world, &target);
    assert_eq!(answer.status, 202);
    assert!(
        serde_json::from_str::<Value>(answer.text())
            .unwrap()
            .is_object()
    );
    assert_eq!(world.audio(*open, recording), None);
    assert_eq!(
        get(&mut world, &format!("{open}/recording/1/play")).status,
        404
    );
    let answer = get(&mut world, "x/recording/y/play");
    assert_eq!(
        (answer.status, answer.text().matches("int_parsing").count()),
        (422, 2)
    );
}

#[test]
fn a_terminated_call_has_ended_and_stays_so() {
    for (flavour, rates) in [(Flavour::Hosted, Rates::STILL), (Flavour::SelfHosted, SLOW)] {
        let mut world = world(flavour);
        world.set_rates(rates);
        let id = world.start_call(Some(world.now()));
        world.advance(world.now() + Duration::from_millis(2500));
        let sid = world.get(id).unwrap().call_sid.clone();
        let target = format!("/api/v1/calls/{sid}/terminate");
        let answer = ask(&mut world, "POST", &target, "");
        assert_eq!(answer.status, 200);
        assert!(
            serde_json::from_str::<Value>(answer.text())
                .unwrap()
                .is_object()
        );
        let ended = world.get(id).unwrap().clone();
        assert_eq!((&*ended.status, ended.duration), ("completed", Some(2.0)));
        assert_eq!(ended.ended_at, Some(world.now()));
        assert_eq!(ask(&mut world, "POST", &target, "").status, 200);
        assert_eq!(world.get(id), Some(&ended));
        let answer = ask(&mut world, "GET", &target, "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
        let answer = ask(&mut world, "POST", "/api/v1/calls/CAnope/terminate", "");
        assert_eq!(answer.status, 404);
    }
}

#[test]
fn an_initiated_call_goes_on() {
    let mut world = world(Flavour::Hosted);
    let body = r#"{"from_phone_number":"+1800","to_phone_number":"+1415","agenda":"a \"b\""}"#;
    let answer = ask(&mut world, "POST", "/calls/initiate", body);
    let told: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!((answer.status, &told["success"]), (200, &Value::Bool(true)));
    let call = world
        .get_by_sid(told["call_sid"].as_str().unwrap())
        .unwrap();
    assert_eq!(told["call_id"], call.id);
    assert_eq!(
        (&*call.status, &*call.customer_phone_number),
        ("ongoing", "+1415")
    );
    assert_eq!((call.started_at, call.ended_at), (Some(world.now()), None));
    let meta: Value = serde_json::from_str(call.call_meta.as_deref().unwrap()).unwrap();
    assert_eq!(meta["agenda"], "a \"b\"");

    let before = world.len();
    for (body, errors) in [
        ("", 1),
        ("[]", 1),
        ("{}", 2),
        (r#"{"to_phone_number":5}"#, 2),
    ] {
        let answer = ask(&mut world, "POST", "/calls/initiate", body);
        let refusal: Value = serde_json::from_str(answer.text()).unwrap();
        let found = refusal["detail"].as_array().unwrap().len();
        assert_eq!((answer.status, found), (422, errors), "{body}");
    }
    assert_eq!(world.len(), before);
    let answer = ask(&mut world, "GET", "/calls/initiate", "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[test]
fn metrics_worked_out_again_are_others() {
    let mut world = world(Flavour::Hosted);
    let spoken = |world: &World, id: &i64| world.transcripts(*id).iter().any(|row| row.is_final);
    let id = ids(&world)
        .into_iter()
        .find(|id| spoken(&world, id))
        .unwrap();
    let first = get(&mut world, &format!("{id}/metrics"));
    let target = format!("/api/v1/calls/{id}/metrics");
    let second = ask(&mut world, "PATCH", &target, "");
    assert_eq!(second.status, 200);
    assert_ne!(second.body, first.body);
    assert_eq!(get(&mut world, &format!("{id}/metrics")), second);
    let before = world.snapshot();
    world.delete(id);
    assert_eq!(ask(&mut world, "PATCH", &target, "").status, 404);
    world.restore(&before);
    assert_eq!(get(&mut world, &format!("{id}/metrics")), second);
    let answer = ask(&mut world, "DELETE", &target, "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
}
