//! Lists and what is counted, against a naive model that looks at every call.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use burki_edge::model::{Call, CallFilter, CallKey, Part, Timestamp};
use burki_edge::store::{
    Analytics, Assistant, Day, Durations, Observation, Place, Reader, StoredCall, Writer,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::store_file::*;

const DAY: i64 = 86_400_000_000;

const STATUSES: [&str; 4] = ["completed", "failed", "ongoing", "größer"];

const NAMES: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("Straße 50%_off"),
    Some("STRASSE"),
    Some("İstanbul"),
    Some("e\u{301}te"),
    Some("予約受付センター"),
    Some("a\"b' \\ nul\0x"),
];

const PHONES: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("anonymous"),
    Some("+14155550001"),
    Some("+14155550002"),
    Some("sip:USER_1%@Köln.de"),
    Some("+14"),
    Some("İ\u{212A}ΑΣ 141"),
];

const SIDS: [&str; 5] = ["CA0a1B", "v3:ab_C", "ΑΣ予約受", "x", "CA0a1b0a1"];

const PARTS: [&str; 24] = [
    "",
    "a",
    "ca",
    "CA0",
    "0a1b",
    "_",
    "%",
    "50%",
    "v3:",
    "ß",
    "SS",
    "i\u{307}",
    "é",
    "e\u{301}",
    "予約受",
    "\"b'",
    "nul\0x",
    "l\0",
    "+14",
    "+1415",
    "155",
    "k",
    "ας",
    "nothing like it",
];

/// Ties, whole hours and what lies beside midnight; `None`: never started.
/// A character for a character.
fn lower(text: &str) -> String {
    let first = |c: char| c.to_lowercase().next();
    text.chars().filter_map(first).collect()
}

fn starts() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        1 => Just(None),
        4 => (-2..3_i64, 0..24_i64).prop_map(|(day, hour)| Some(day * DAY + hour * DAY / 24)),
        2 => (-2..3_i64, -1..2_i64).prop_map(|(day, beside)| Some(day * DAY + beside)),
    ]
}

fn seconds() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        3 => (-2..5_i32).prop_map(|seconds| Some(f64::from(seconds))),
        2 => (-8..20_i32).prop_map(|quarters| Some(f64::from(quarters) / 4.0)),
        1 => prop_oneof![Just(1e300), Just(-1e13), Just(0.1), Just(1e-9)].prop_map(Some),
    ]
}

/// What a sum has of it: in whole microseconds, as many as fit.
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

fn assistants() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(0)), 4 => (1..4_i64).prop_map(Some)]
}

fn calls() -> impl Strategy<Value = Call> {
    let fields = (
        1..40_i64,
        0..SIDS.len(),
        assistants(),
        0..NAMES.len(),
        0..PHONES.len(),
        0..STATUSES.len(),
        seconds(),
        starts(),
        0..3_u8,
    );
    fields.prop_map(
        |(id, sid, assistant_id, name, phone, status, duration, start, note)| {
            let mut call = Call {
                id,
                call_sid: format!("{}{}", SIDS[sid], id % 4),
                assistant_id,
                assistant_name: NAMES[name].map(str::to_owned),
                has_name_field: true,
                customer_phone_number: PHONES[phone].map(str::to_owned),
                status: STATUSES[status].to_owned(),
                duration,
                started_at: start.map(Timestamp::from_micros),
                body: note.to_string().into(),
            };
            // Only kept here, and never read: another call has another text.
            call.body = format!("{call:?}").into();
            call
        },
    )
}

/// One filter of each kind, most of them none.
fn filters() -> impl Strategy<Value = CallFilter> {
    let part = || {
        let part = (0..PARTS.len()).prop_map(|at| Part::new(PARTS[at]));
        prop::option::weighted(0.2, part)
    };
    let date = || prop::option::weighted(0.2, starts().prop_map(|at| at.unwrap_or(DAY / 2)));
    let bound = || prop::option::weighted(0.1, -2..5_i64);
    (
        prop::option::weighted(0.2, 0..STATUSES.len()),
        prop::option::weighted(0.2, 0..4_i64),
        part(),
        part(),
        part(),
        date(),
        date(),
        bound(),
        bound(),
    )
        .prop_map(
            |(status, assistant_id, phone, sid, name, from, to, min, max)| CallFilter {
                status: status.map(|at| STATUSES[at].to_owned()),
                assistant_id,
                customer_phone: phone,
                call_sid: sid,
                assistant_name: name,
                date_from: from.map(Timestamp::from_micros),
                date_to: to.map(Timestamp::from_micros),
                min_duration: min,
                max_duration: max,
            },
        )
}

#[derive(Clone, Debug)]
enum Step {
    Merge(Vec<Call>),
    /// They are suspects, and some of them are proven gone.
    Deny(Vec<i64>, bool),
    Remove(usize),
    Reopen,
}

fn steps() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(1..40_i64, 0..6);
    prop_oneof![
        6 => prop::collection::vec(calls(), 0..25).prop_map(Step::Merge),
        2 => (ids(), any::<bool>()).prop_map(|(ids, gone)| Step::Deny(ids, gone)),
        1 => (0..4_usize).prop_map(Step::Remove),
        1 => Just(Step::Reopen),
    ]
}

fn matches(filter: &CallFilter, call: &Call) -> bool {
    let part = |part: &Option<Part>, text: Option<&str>| {
        part.as_ref()
            .is_none_or(|part| text.is_some_and(|text| lower(text).contains(part.as_str())))
    };
    let start = call.started_at;
    filter
        .status
        .as_ref()
        .is_none_or(|status| *status == call.status)
        && (filter.assistant_id.is_none() || filter.assistant_id == call.assistant_id)
        && part(
            &filter.customer_phone,
            call.customer_phone_number.as_deref(),
        )
        && part(&filter.call_sid, Some(&call.call_sid))
        && part(&filter.assistant_name, call.assistant_name.as_deref())
        && filter
            .date_from
            .is_none_or(|from| start.is_some_and(|at| at >= from))
        && filter
            .date_to
            .is_none_or(|to| start.is_some_and(|at| at <= to))
        && filter
            .min_duration
            .is_none_or(|min| call.duration.is_some_and(|d| d >= min as f64))
        && filter
            .max_duration
            .is_none_or(|max| call.duration.is_some_and(|d| d <= max as f64))
}

fn listed<'a>(world: &'a BTreeMap<i64, Call>, filter: &CallFilter) -> Vec<&'a Call> {
    let mut calls: Vec<&Call> = world
        .values()
        .filter(|call| matches(filter, call))
        .collect();
    calls.sort_by_key(|call| {
        let start = call.started_at;
        (start.is_some(), Reverse(start), Reverse(call.id))
    });
    calls
}

fn durations(world: &BTreeMap<i64, Call>) -> Durations {
    let mut durations = Durations::default();
    for call in world.values() {
        durations.calls += 1;
        if let ("completed", Some(seconds)) = (call.status.as_str(), call.duration) {
            durations.timed += 1;
            durations.total_us = durations.total_us.wrapping_add(micros(seconds));
        }
    }
    durations
}

fn analytics(world: &BTreeMap<i64, Call>, from: Timestamp, to: Timestamp) -> Analytics {
    let mut calls: Vec<&Call> = world.values().collect();
    calls.retain(|call| call.started_at.is_some_and(|at| (from..=to).contains(&at)));
    calls.sort_by_key(|call| (call.started_at, call.id));
    let mut analytics = Analytics::default();
    let mut days = BTreeMap::new();
    let mut assistants = BTreeMap::new();
    for call in calls {
        let [completed, failed, ongoing] =
            ["completed", "failed", "ongoing"].map(|status| u64::from(call.status == status));
        analytics.calls += 1;
        analytics.completed += completed;
        analytics.failed += failed;
        analytics.ongoing += ongoing;
        // The upstream takes 0 for none here.
        if let (1, Some(seconds)) = (completed, call.duration.filter(|seconds| *seconds != 0.0)) {
            analytics.timed += 1;
            analytics.duration_us = analytics.duration_us.wrapping_add(micros(seconds));
        }
        let day = call.started_at.map(Timestamp::day).unwrap();
        let day = days.entry(day).or_insert(Day {
            day,
            calls: 0,
            completed: 0,
            failed: 0,
        });
        day.calls += 1;
        day.completed += completed;
        day.failed += failed;
        if let Some(id) = call.assistant_id {
            let assistant = assistants.entry(id).or_insert(Assistant {
                id,
                name: None,
                calls: 0,
                duration_us: 0,
            });
            assistant.calls += 1;
            let duration = micros(call.duration.unwrap_or(0.0));
            assistant.duration_us = assistant.duration_us.wrapping_add(duration);
            assistant.name.clone_from(&call.assistant_name);
        }
    }
    analytics.days = days.into_values().collect();
    analytics.assistants = assistants.into_values().collect();
    analytics
        .assistants
        .sort_by_key(|assistant| Reverse(assistant.calls));
    analytics
}

fn ids(rows: &[StoredCall]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

fn after(row: &StoredCall) -> Place {
    Place {
        started_at: row.started_at,
        id: row.id,
    }
}

/// Who is held, by the file's own word: what became of a step is not the matter here.
fn held(world: &mut BTreeMap<i64, Call>, told: &[Call], path: &Path) {
    let reader = Reader::open(path).unwrap();
    for call in told {
        if let Some(held) = reader.call(&CallKey::Id(call.id)).unwrap()
            && held.body == *call.body
        {
            world.insert(call.id, call.clone());
        }
    }
    world.retain(|id, _| reader.call(&CallKey::Id(*id)).unwrap().is_some());
}

fn check_list(reader: &Reader, world: &BTreeMap<i64, Call>, filter: &CallFilter, limit: usize) {
    let expected = listed(world, filter);
    let all: Vec<i64> = expected.iter().map(|call| call.id).collect();
    let total = all.len() as u64;
    assert_eq!(reader.count(filter).unwrap(), total, "{filter:?}");
    let mut by_skip = Vec::new();
    for skip in (0..=total).step_by(limit) {
        let page = reader.list(filter, skip, limit).unwrap();
        assert_eq!(page.total, total, "{filter:?}");
        by_skip.extend(page.rows);
    }
    assert_eq!(ids(&by_skip), all, "by skip: {filter:?}");
    for (row, call) in by_skip.iter().zip(&expected) {
        assert_eq!((&*row.body, row.started_at), (&*call.body, call.started_at));
    }
    for skip in [total, u64::MAX] {
        let page = reader.list(filter, skip, limit).unwrap();
        assert_eq!((page.rows.len(), page.total), (0, total));
    }
    assert_eq!(reader.list(filter, 0, 0).unwrap().rows, []);
    let mut by_place: Vec<StoredCall> = Vec::new();
    loop {
        let place = by_place.last().map(after);
        let rows = reader.list_after(filter, place, limit).unwrap();
        let last = rows.len() < limit;
        by_place.extend(rows);
        if last {
            break;
        }
    }
    assert_eq!(ids(&by_place), all, "by place: {filter:?}");
}

/// Where a book differs from the rows it counts, or a text is not found by its trigrams.
fn check_books(path: &Path, world: &BTreeMap<i64, Call>) {
    let connection = rusqlite::Connection::open(path).unwrap();
    assert_eq!(wrong_books(&connection), 0);
    connection
        .execute_batch(
            "INSERT INTO sid_trigrams (sid_trigrams, rank) VALUES ('integrity-check', 0);
             INSERT INTO phone_trigrams (phone_trigrams, rank) VALUES ('integrity-check', 0);",
        )
        .unwrap();
    let mut find = connection
        .prepare("SELECT rowid FROM sid_trigrams WHERE sid_trigrams MATCH ?1")
        .unwrap();
    for three in ["ca0", "a1b", "v3:", "予約受"] {
        let found = find
            .query_map([format!("\"{three}\"")], |row| row.get(0))
            .unwrap();
        let found: Vec<i64> = found.collect::<Result<_, _>>().unwrap();
        let have = world
            .values()
            .filter(|call| call.call_sid.to_lowercase().contains(three));
        assert_eq!(found, have.map(|call| call.id).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_and_counts_equal_those_of_a_naive_model_after_any_history(
        steps in prop::collection::vec(steps(), 1..8),
        filters in prop::collection::vec(filters(), 12),
        single in 0..PARTS.len(),
        limit in 1..7_usize,
        bounds in prop::collection::vec((starts(), starts()), 4),
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let mut world = BTreeMap::new();
        for (step, seq) in steps.into_iter().zip(1..) {
            let seq = seq * 10;
            let mut told = Vec::new();
            match step {
                Step::Merge(calls) => {
                    told.clone_from(&calls);
                    // Of a call that is told twice the last is held, or the first: any order.
                    told.sort_by_key(|call| call.id);
                    told.dedup_by_key(|call| call.id);
                    writer.merge(answer(seq, told.clone())).unwrap();
                }
                Step::Deny(ids, gone) => {
                    for id in &ids {
                        writer.merge(Observation { oldest_in_flight: 0, ..absence(seq, *id) }).unwrap();
                    }
                    if gone {
                        let denied: Vec<_> = ids.iter().map(|id| (*id, seq + 1)).collect();
                        writer.merge(denial(seq + 2, &denied)).unwrap();
                    }
                }
                Step::Remove(at_most) => {
                    writer.remove_suspects(request(seq), seq, at_most).unwrap();
                }
                Step::Reopen => {
                    drop(writer);
                    writer = Writer::open(&path, URL).unwrap();
                }
            }
            held(&mut world, &told, &path);
            check_books(&path, &world);
        }
        let reader = Reader::open(&path).unwrap();
        prop_assert_eq!(reader.totals().unwrap().calls, world.len() as u64);
        prop_assert_eq!(reader.durations().unwrap(), durations(&world));
        for (from, to) in bounds {
            let from = from.map_or(Timestamp::MIN, Timestamp::from_micros);
            let to = to.map_or(Timestamp::MAX, Timestamp::from_micros);
            let counted = reader.analytics(from, to).unwrap();
            prop_assert_eq!(counted, analytics(&world, from, to));
        }
        let part = Some(Part::new(PARTS[single]));
        let mut all = filters;
        all.push(CallFilter::default());
        all.push(CallFilter { customer_phone: part.clone(), ..CallFilter::default() });
        all.push(CallFilter { call_sid: part.clone(), ..CallFilter::default() });
        all.push(CallFilter { assistant_name: part, ..CallFilter::default() });
        for filter in all {
            check_list(&reader, &world, &filter, limit);
        }
    }
}

/// Enough calls that days are skipped, walks are worth it, and a part is in too many texts to name.
#[test]
fn a_list_of_thousands_is_the_same_by_every_way_that_leads_to_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let mut world = BTreeMap::new();
    for id in 0..12_000_i64 {
        let start = (id % 97 != 0).then(|| Timestamp::from_micros((id / 3) * DAY / 500));
        let rare = id % 501 == 0;
        world.insert(
            id,
            Call {
                id,
                call_sid: format!("CA{:08x}", id * 7_919),
                assistant_id: (id % 5 != 0).then_some(if rare { 9 } else { id % 3 }),
                has_name_field: true,
                assistant_name: Some(if rare { "Rare" } else { "Usual" }.to_owned()),
                customer_phone_number: Some(format!("+1415{}", id % 6_000)),
                status: if rare { "failed" } else { "completed" }.to_owned(),
                duration: Some((id % 1_000) as f64),
                started_at: start,
                body: format!("{{\"id\":{id}}}").into(),
            },
        );
    }
    let calls: Vec<Call> = world.values().cloned().collect();
    for (page, seq) in calls.chunks(1000).zip(1..) {
        writer.merge(answer(seq, page.to_vec())).unwrap();
    }
    check_books(&path, &world);
    let reader = Reader::open(&path).unwrap();
    let noon = |day: i64| Some(Timestamp::from_micros(day * DAY + DAY / 2 + 1));
    let part = |text: &str| Some(Part::new(text));
    let none = CallFilter::default;
    let status = |status: &str| Some(status.to_owned());
    let cases = [
        none(),
        CallFilter {
            status: status("completed"),
            ..none()
        },
        CallFilter {
            status: status("failed"),
            ..none()
        },
        CallFilter {
            assistant_id: Some(1),
            ..none()
        },
        CallFilter {
            assistant_id: Some(0),
            ..none()
        },
        CallFilter {
            assistant_id: Some(9),
            status: status("failed"),
            ..none()
        },
        CallFilter {
            date_from: noon(2),
            date_to: noon(5),
            ..none()
        },
        CallFilter {
            date_to: noon(6),
            status: status("completed"),
            ..none()
        },
        CallFilter {
            date_from: noon(3),
            assistant_id: Some(2),
            ..none()
        },
        CallFilter {
            customer_phone: part("+1415"),
            ..none()
        },
        CallFilter {
            customer_phone: part("123"),
            ..none()
        },
        CallFilter {
            customer_phone: part("15"),
            date_from: noon(6),
            ..none()
        },
        CallFilter {
            call_sid: part("ca0"),
            ..none()
        },
        CallFilter {
            call_sid: part("CA00"),
            status: status("failed"),
            ..none()
        },
        CallFilter {
            call_sid: part("a"),
            ..none()
        },
        CallFilter {
            assistant_name: part("rare"),
            ..none()
        },
        CallFilter {
            assistant_name: part("u"),
            customer_phone: part("99"),
            ..none()
        },
        CallFilter {
            min_duration: Some(998),
            ..none()
        },
        CallFilter {
            max_duration: Some(900),
            date_to: noon(4),
            ..none()
        },
    ];
    for filter in cases {
        check_list(&reader, &world, &filter, 617);
    }
}
