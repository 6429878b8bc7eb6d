//! Figures and exports over many calls.

use std::time::Duration;

use burki_edge::simulator::{ApiRequest, ApiResponse, Fault, Faults, Flavour, World, WorldConfig};
use serde_json::Value;

const CSV_HEAD: &str =
    "Call ID,Call SID,Assistant Name,Customer Phone,Status,Duration (seconds),Started At,Ended At";

fn world(flavour: Flavour, calls: usize) -> World {
    World::new(WorldConfig {
        flavour,
        calls,
        same_instant: 0,
        ..WorldConfig::default()
    })
}

fn get(world: &mut World, target: &str) -> ApiResponse {
    let key = world.api_key().to_owned();
    let target = format!("/api/v1/calls/{target}");
    world.answer(&ApiRequest::new("GET", &target).with_key(&key))
}

fn value(world: &mut World, target: &str) -> Value {
    serde_json::from_str(get(world, target).text()).unwrap()
}

#[test]
fn stats_are_over_completed_calls_with_a_duration_of_any_length() {
    let mut world = world(Flavour::Hosted, 0);
    let none = r#"{"total_calls":0,"total_duration":0,"average_duration":0.0}"#;
    assert_eq!(get(&mut world, "stats").text(), none);
    let start = world.now();
    for (seconds, status) in [
        (0, "completed"),
        (3, "completed"),
        (1, "completed"),
        (9, "failed"),
    ] {
        let id = world.start_call(Some(start));
        world.end_call(id, start + Duration::from_secs(seconds), status);
    }
    let id = world.start_call(None);
    world.end_call(id, start, "completed");
    world.start_call(Some(start));
    let some = r#"{"total_calls":6,"total_duration":4,"average_duration":1.3333333333333333}"#;
    assert_eq!(get(&mut world, "stats").text(), some);
}

#[test]
fn analytics_are_over_the_period_and_all_that_is_dated_after_it() {
    let empty = r#"{"total_calls":0,"completed_calls":0,"failed_calls":0,"ongoing_calls":0,"total_duration":0.0,"avg_duration":0.0,"success_rate":0.0,"daily_stats":{},"top_assistants":[]}"#;
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let mut world = world(flavour, 0);
        assert_eq!(get(&mut world, "analytics").text(), empty);
        let now = world.now();
        let day = Duration::from_secs(86_400);
        let tick = Duration::from_micros(1);
        for start in [
            now + tick,
            now,
            now - day,
            now - day - tick,
            now - 7 * day,
            now - 90 * day,
        ] {
            let id = world.start_call(Some(start));
            world.end_call(id, start, "failed");
        }
        world.start_call(None);
        for (query, count) in [
            ("?period=1d", 3),
            ("", 5),
            ("?period=30d", 5),
            ("?period=90d", 6),
        ] {
            let figures = value(&mut world, &format!("analytics{query}"));
            assert_eq!(figures["total_calls"], count, "{query}");
            assert_eq!(figures["failed_calls"], count, "{query}");
        }
        assert_eq!(get(&mut world, "analytics?period=").status, 422);
        assert_eq!(get(&mut world, "analytics?period=7d&period=1D").status, 422);
    }
}

#[test]
fn the_top_assistants_have_most_calls_and_then_the_lowest_ids() {
    let mut world = world(Flavour::Hosted, 0);
    let start = world.now();
    for assistant in (1..=12).rev() {
        for index in 0..1 + usize::from(assistant == 11) {
            let id = world.start_call(Some(start));
            world.update(id, |call| {
                call.assistant_id = assistant;
                call.assistant_name =
                    (assistant > 1).then(|| format!("{assistant}-{index}").into());
                call.duration = Some(assistant as f64);
                call.status = "busy".into();
            });
        }
    }
    let top = value(&mut world, "analytics")["top_assistants"].take();
    let top = top.as_array().unwrap();
    let ids: Vec<i64> = top
        .iter()
        .map(|one| one["assistant_id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [11, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(top[0]["duration"], 22.0);
    assert_eq!(top[0]["assistant_name"], "11-1", "the newest call's");
    assert_eq!(top[1]["assistant_name"], "Unknown");
}

#[test]
fn an_export_has_the_list_s_calls_in_the_list_s_order() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let mut world = world(flavour, 300);
        world.move_start(world.newest(1)[0], None);
        let both_know = |filter: &&str| {
            let texts = ["customer_phone", "call_sid", "assistant_name"];
            flavour == Flavour::Hosted || !texts.iter().any(|name| filter.starts_with(name))
        };
        let filters = [
            "",
            "status=completed",
            "assistant_id=3",
            "customer_phone=5550",
            "call_sid=v3:",
            "assistant_name=sales",
            "date_from=2026-11-10&date_to=2026-11-20T12:00",
            "status=nope",
        ];
        for filter in filters.into_iter().filter(both_know) {
            let list = get(&mut world, &format!("?limit=1000&{filter}"));
            let mut exported = value(&mut world, &format!("export?format=json&{filter}"));
            let exported = exported.as_array_mut().unwrap();
            let found: Vec<i64> = exported
                .iter()
                .map(|one| one["id"].as_i64().unwrap())
                .collect();
            // Those without a start come first, in any order.
            let (first, then) = found.split_at(found.len().min(4));
            let (expected_first, expected_then) = list.records.split_at(first.len());
            assert_eq!(then, expected_then, "{filter}");
            let sorted = |ids: &[i64]| {
                let mut ids = ids.to_vec();
                ids.sort_unstable();
                ids
            };
            assert_eq!(sorted(first), sorted(expected_first), "{filter}");
            for call in exported {
                let id = call["id"].as_i64().unwrap();
                let own: Value = serde_json::from_str(&world.text(id).unwrap()).unwrap();
                for key in ["call_sid", "customer_phone_number", "status", "duration"] {
                    assert_eq!(call[key], own[key]);
                }
                assert_eq!(call["started_at"], own["started_at"]);
                assert_eq!(call["ended_at"], own["ended_at"]);
                let name = world.get(id).unwrap().assistant_name.clone();
                assert_eq!(call["assistant_name"].as_str(), name.as_deref());
            }
        }
        // Durations are no filter of an export, and an unknown assistant has no calls.
        let all = value(&mut world, "export?format=json&min_duration=999999");
        assert_eq!(all.as_array().unwrap().len(), 300);
        assert_eq!(
            get(&mut world, "export?format=json&assistant_id=77").text(),
            "[]"
        );
        let none = get(&mut world, "export?assistant_id=77");
        assert_eq!(none.text(), format!("{CSV_HEAD}\r\n"));
        assert_eq!(get(&mut world, "export?format=").status, 422);
    }
}

#[test]
fn an_export_is_a_file_as_python_writes_it() {
    let mut world = world(Flavour::Hosted, 0);
    let start = world.now();
    let id = world.start_call(Some(start));
    world.end_call(id, start + Duration::from_micros(1_500_000), "completed");
    world.update(id, |call| {
        call.assistant_name = Some("O'Brien, \"Sons\"\n🇩🇪".into());
        call.customer_phone_number = "+1".into();
    });
    let open = world.start_call(Some(start - Duration::from_secs(1)));
    world.update(open, |call| {
        call.assistant_name = None;
        call.customer_phone_number = "+2".into();
        call.status = "ongoing".into();
    });
    let sid = |id| world.get(id).unwrap().call_sid.clone();
    let (sid, open_sid) = (sid(id), sid(open));

    let csv = get(&mut world, "export");
    assert_eq!(
        csv.text(),
        format!(
            "{CSV_HEAD}\r\n{id},{sid},\"O'Brien, \"\"Sons\"\"\n🇩🇪\",+1,completed,1,2026-11-22T06:00:00Z,2026-11-22T06:00:01.500000Z\r\n{open},{open_sid},,+2,ongoing,0,2026-11-22T05:59:59Z,\r\n"
        )
    );
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=calls_export.csv")
    );
    let json = get(&mut world, "export?format=json");
    let start = format!(
        "[\n  {{\n    \"id\": {id},\n    \"call_sid\": \"{sid}\",\n    \"assistant_name\": \"O'Brien, \\\"Sons\\\"\\n\\ud83c\\udde9\\ud83c\\uddea\",\n"
    );
    assert!(json.text().starts_with(&start), "{}", json.text());
    let end = "\"duration\": null,\n    \"started_at\": \"2026-11-22T05:59:59Z\",\n    \"ended_at\": null\n  }\n]";
    assert!(json.text().ends_with(end), "{}", json.text());

    // A fault that spoils records leaves a file alone; an unreadable record does not.
    assert_eq!(Fault::WithoutId.spoil(json.clone()), json);
    let mut faults = Faults::default();
    faults.make_unreadable(open);
    assert_eq!(faults.review(json).status, 500);
}

#[test]
fn a_transcript_is_exported_without_what_was_not_final() {
    let mut world = world(Flavour::Hosted, 100);
    let ids: Vec<i64> = world.records().map(|call| call.id).collect();
    let mut quirks = 0;
    for id in ids {
        let finals = world.transcripts(id);
        let finals: Vec<_> = finals.into_iter().filter(|row| row.is_final).collect();
        let json = value(&mut world, &format!("{id}/transcripts/export?format=json"));
        let rows = json["transcripts"].as_array().unwrap();
        assert_eq!(rows.len(), finals.len());
        let text = get(&mut world, &format!("{id}/transcripts/export"));
        let csv = get(&mut world, &format!("{id}/transcripts/export?format=csv"));
        let mut reader = csv_rows(csv.text()).into_iter();
        assert_eq!(reader.next().unwrap().len(), 4);
        for ((row, exported), fields) in finals.iter().zip(rows).zip(reader) {
            assert_eq!(exported["content"].as_str(), Some(&*row.content));
            assert_eq!(exported["speaker"].as_str(), row.speaker.as_deref());
            assert_eq!(exported["confidence"].as_f64(), row.confidence);
            assert_eq!(fields[2], row.content);
            assert_eq!(
                fields[3].is_empty(),
                row.confidence.is_none_or(|value| value == 0.0)
            );
            quirks += usize::from(row.confidence == Some(0.0));
            let speaker = row.speaker.as_deref().unwrap_or("Unknown");
            assert!(
                text.text()
                    .contains(&format!("] {speaker}: {}\n", row.content))
            );
        }
        let name = format!("attachment; filename=call_{id}_transcript.txt");
        assert_eq!(text.header("content-disposition"), Some(&*name));
        let start = world.get(id).unwrap().started_at;
        let start = start.map_or("None".to_owned(), |at| {
            format!("{}Z", at.to_naive().replace('T', " "))
        });
        assert!(text.text().contains(&format!("\nStarted: {start}\n\n")));
    }
    assert!(quirks > 0);
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(text.as_bytes());
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| row.iter().map(str::to_owned).collect())
        .collect()
}
