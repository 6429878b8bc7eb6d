//! Counts without a scan, and whom to ask about.

use std::collections::BTreeSet;

use burki_edge::model::Timestamp;
use burki_edge::store::Writer;
use proptest::prelude::*;
use tempfile::TempDir;

use super::store_file::*;

const DAY: i64 = 86_400_000_000;

/// Instants about the ends of days, before and after 1970, and anywhere else.
fn instants() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => (-4..5_i64, -1..2_i64).prop_map(|(day, off)| day * DAY + off),
        2 => -4 * DAY..5 * DAY,
        1 => prop_oneof![Just(Timestamp::MIN.as_micros()), Just(Timestamp::MAX.as_micros())],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_count_equals_counting_the_rows(
        starts in prop::collection::vec((prop::option::weighted(0.9, instants()), prop::bool::weighted(0.2)), 0..60),
        bounds in prop::collection::vec((instants(), instants()), 20),
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let calls = starts.iter().zip(0..).map(|((start, _), id)| {
            let call = record(id, "completed", None, None, "");
            let start = start.map_or("null".to_owned(), |at| {
                format!("\"{}\"", Timestamp::from_micros(at).to_naive())
            });
            let body = call.body.replace("\"started_at\":null", &format!("\"started_at\":{start}"));
            burki_edge::model::Call::from_json(&body).unwrap()
        });
        writer.merge(answer(1, calls.collect())).unwrap();
        for ((_, suspect), id) in starts.iter().zip(0..) {
            if *suspect {
                writer.merge(absence(2, id)).unwrap();
            }
        }
        let sure: Vec<Option<i64>> =
            starts.iter().filter(|(_, suspect)| !suspect).map(|(start, _)| *start).collect();
        let ends = [(i64::MIN, i64::MAX), (i64::MIN, 0), (0, i64::MAX), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN)];
        for (from, to) in bounds.into_iter().chain(ends) {
            let within = sure.iter().flatten().filter(|at| from <= **at && **at <= to).count();
            let counted = writer
                .count_between(Timestamp::from_micros(from), Timestamp::from_micros(to))
                .unwrap();
            prop_assert_eq!(counted, within as u64, "{}..={}", from, to);
        }
    }
}

/// Calls 0 to 99, of which those below 40 are suspects since different instants.
fn with_suspects(folder: &TempDir) -> Writer {
    let mut writer = Writer::open(&folder.path().join("edge.db"), URL).unwrap();
    let calls = (0..100).map(|id| record(id, "completed", (id % 7 > 0).then_some(id), None, ""));
    writer.merge(answer(1, calls.collect())).unwrap();
    for id in 0..40 {
        writer.merge(absence(100 - id as u64, id)).unwrap();
    }
    writer
}

#[test]
fn suspects_come_longest_suspected_first() {
    let folder = TempDir::new().unwrap();
    let writer = with_suspects(&folder);
    assert_eq!(writer.suspects(3).unwrap(), [39, 38, 37]);
    assert_eq!(writer.suspects(100).unwrap().len(), 40);
    assert!(writer.suspects(0).unwrap().is_empty());
}

#[test]
fn a_sample_is_of_different_suspects_the_same_for_a_draw_and_spread() {
    let folder = TempDir::new().unwrap();
    let mut writer = with_suspects(&folder);
    let mut drawn = BTreeSet::new();
    for draw in 0..50 {
        let sample = writer.sample_suspects(5, draw).unwrap();
        assert_eq!(sample, writer.sample_suspects(5, draw).unwrap());
        let different: BTreeSet<_> = sample.into_iter().collect();
        assert_eq!(different.len(), 5);
        drawn.extend(different);
    }
    assert_eq!(drawn, (0..40).collect(), "each is drawn at some time");
    assert_eq!(writer.sample_suspects(1000, 1).unwrap().len(), 40);
    writer.remove_suspects(request(200), 200, 100).unwrap();
    assert!(writer.sample_suspects(5, 1).unwrap().is_empty());
}

#[test]
fn a_canary_is_held_and_no_suspect() {
    let folder = TempDir::new().unwrap();
    let mut writer = with_suspects(&folder);
    let canaries: BTreeSet<_> = (0..100)
        .map(|draw| writer.canary(draw).unwrap().unwrap())
        .collect();
    assert!(canaries.iter().all(|id| (40..100).contains(id)));
    assert!(canaries.len() > 20);
    for id in 40..100 {
        writer.merge(absence(300, id)).unwrap();
    }
    assert_eq!(writer.canary(1).unwrap(), None);
    let one = record(-5, "completed", None, None, "");
    writer.merge(answer(301, vec![one])).unwrap();
    for draw in 0..20 {
        assert_eq!(
            writer.canary(draw).unwrap(),
            Some(-5),
            "found from any point"
        );
    }
    let empty = Writer::open(&folder.path().join("empty.db"), URL).unwrap();
    assert_eq!(empty.canary(1).unwrap(), None);
}
