//! The store's promises, against real files.

#![expect(clippy::expect_used, reason = "a test may fail where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use burki_edge::model::{Call, CallKey, Timestamp, Verified, Window};
use burki_edge::store::{Complete, Learned, Merged, Reader, StoreError, Writer};
use proptest::prelude::*;
use tempfile::TempDir;

const URL: &str = "https://api.burki.dev";

fn record(id: i64, status: &str, start: Option<i64>, duration: Option<i64>, note: &str) -> Call {
    let start = start.map_or("null".to_owned(), |second| {
        format!(
            "\"{}\"",
            Timestamp::from_micros(second * 1_000_000).to_naive()
        )
    });
    let duration = duration.map_or("null".to_owned(), |seconds| seconds.to_string());
    Call::from_json(&format!(
        r#"{{"call_sid":"CA{id}","call_meta":{{"note":"{note}"}},"id":{id},"assistant_id":{},"status":"{status}","duration":{duration},"started_at":{start}}}"#,
        id % 3
    ))
    .expect("a record")
}

fn answer(seq: u64, calls: Vec<Call>) -> Learned {
    Learned {
        request: Verified {
            at: Timestamp::from_micros(seq as i64),
            seq,
        },
        oldest_in_flight: seq,
        newest_seq: seq,
        calls,
        singly: false,
        absent: None,
        complete: None,
        windows: None,
    }
}

fn window(from: i64, to: i64, seq: u64) -> Window {
    let verified = Verified {
        at: Timestamp::from_micros(seq as i64),
        seq,
    };
    let at = Timestamp::from_micros;
    Window {
        from: at(from),
        to: at(to),
        verified,
        rows: 1,
        open_ended: false,
    }
}

fn body(path: &Path, id: i64) -> Option<String> {
    let reader = Reader::open(path).expect("a reader");
    reader
        .call(&CallKey::Id(id))
        .expect("a read")
        .map(|held| held.body)
}

fn files(folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name");
            (name, entry.metadata().expect("metadata").len())
        })
        .collect()
}

#[test]
fn a_text_is_kept_byte_for_byte_and_counted_by_what_it_says() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let odd = r#"{"id":1, "call_sid":"CA1","status":"completed","n":1.10,"big":12345678901234567890,"e":"\u00e9"}"#;
    let respelled = r#"{"big":12345678901234567890,"n":1.10,"status":"completed","call_sid":"CA1","id":1,"e":"é"}"#;
    let other_number = r#"{"big":12345678901234567891,"n":1.10,"status":"completed","call_sid":"CA1","id":1,"e":"é"}"#;
    for (seq, text, expected) in [
        (
            1,
            odd,
            Merged {
                new: 1,
                ..Merged::default()
            },
        ),
        (
            2,
            odd,
            Merged {
                unchanged: 1,
                ..Merged::default()
            },
        ),
        (
            3,
            respelled,
            Merged {
                respelled: 1,
                ..Merged::default()
            },
        ),
        (
            4,
            other_number,
            Merged {
                changed: 1,
                ..Merged::default()
            },
        ),
    ] {
        let call = Call::from_json(text).unwrap();
        assert_eq!(
            writer.merge(answer(seq, vec![call])).unwrap(),
            expected,
            "{seq}"
        );
        assert_eq!(body(&path, 1).as_deref(), Some(text));
    }
}

#[test]
fn an_answer_never_replaces_what_a_later_request_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let old = record(1, "ongoing", Some(10), None, "old");
    let new = record(1, "completed", Some(10), Some(5), "new");
    writer.merge(answer(5, vec![new.clone()])).unwrap();
    let merged = writer.merge(answer(4, vec![old])).unwrap();
    assert_eq!(
        merged,
        Merged {
            stale: 1,
            ..Merged::default()
        }
    );
    assert_eq!(body(&path, 1).as_deref(), Some(&*new.body));
}

#[test]
fn an_answer_never_replaces_what_a_later_request_found_unchanged() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let held = record(1, "completed", Some(10), Some(5), "held");
    writer.merge(answer(1, vec![held.clone()])).unwrap();
    // Request 2 is under way; 3 confirms the text, which is not worth a write; then 2 arrives.
    let confirmation = Learned {
        oldest_in_flight: 2,
        ..answer(3, vec![held.clone()])
    };
    writer.merge(confirmation).unwrap();
    let late = writer
        .merge(answer(
            2,
            vec![record(1, "ongoing", Some(10), None, "late")],
        ))
        .unwrap();
    assert_eq!(late.stale, 1);
    assert_eq!(body(&path, 1).as_deref(), Some(&*held.body));
}

#[test]
fn a_page_that_fails_to_commit_leaves_rows_coverage_and_rollups_unmoved() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let before = vec![window(0, 9, 1)];
    let first = Learned {
        windows: Some(before.clone()),
        ..answer(1, vec![record(1, "failed", Some(1), None, "")])
    };
    writer.merge(first).unwrap();
    // Two windows cannot begin at the same instant: the last statement of the transaction fails.
    let broken = vec![window(0, 9, 1), window(50, 60, 2), window(50, 70, 2)];
    let second = Learned {
        windows: Some(broken),
        ..answer(2, vec![record(2, "failed", Some(2), None, "")])
    };
    assert!(matches!(writer.merge(second), Err(StoreError::Sqlite(_))));
    assert_eq!(writer.windows(), before);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.windows().unwrap(), before);
    assert_eq!(reader.totals().unwrap().calls, 1);
    assert_eq!(body(&path, 2), None);
}

#[test]
fn an_answer_without_news_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls: Vec<_> = (0..100)
        .map(|id| record(id, "completed", Some(id), Some(1), ""))
        .collect();
    let learned = |seq| Learned {
        windows: Some(vec![window(0, 99, seq)]),
        ..answer(seq, calls.clone())
    };
    writer.merge(learned(1)).unwrap();
    let before = files(folder.path());
    for seq in 2..20 {
        assert_eq!(writer.merge(learned(seq)).unwrap().unchanged, 100);
    }
    assert_eq!(files(folder.path()), before);
    assert_eq!(
        writer.windows()[0].verified.seq,
        1,
        "on disk the time of verification lags"
    );
    writer.keep_windows(vec![window(0, 99, 19)]).unwrap();
    assert_eq!(
        Reader::open(&path).unwrap().windows().unwrap()[0]
            .verified
            .seq,
        19
    );
}

#[test]
fn a_call_the_upstream_denies_is_a_suspect_and_served_until_it_is_seen_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = record(1, "ongoing", Some(1), None, "");
    writer.merge(answer(5, vec![call.clone()])).unwrap();
    let reader = Reader::open(&path).unwrap();
    let denied = |seq, key| Learned {
        absent: Some(key),
        ..answer(seq, vec![])
    };
    writer.merge(denied(4, CallKey::Id(1))).unwrap();
    assert!(
        !reader.call(&CallKey::Id(1)).unwrap().unwrap().suspect,
        "an older answer proves nothing"
    );
    writer.merge(denied(6, CallKey::Sid("CA1".into()))).unwrap();
    let held = reader.call(&CallKey::Sid("CA1".into())).unwrap().unwrap();
    assert!(held.suspect);
    assert_eq!(held.body, &*call.body);
    assert_eq!(reader.totals().unwrap().suspects, 1);
    writer.merge(answer(7, vec![call])).unwrap();
    assert!(!reader.call(&CallKey::Id(1)).unwrap().unwrap().suspect);
}

/// A list that is complete from `from` on, and holds the calls `ids`.
fn complete(seq: u64, from: i64, ids: std::ops::Range<i64>, believed: bool) -> Learned {
    let calls = ids
        .clone()
        .map(|id| record(id, "completed", Some(id), None, ""))
        .collect();
    let complete = Complete {
        started: Some(Timestamp::from_micros(from * 1_000_000)..=Timestamp::MAX),
        without_start: true,
        listed: ids.clone().collect(),
        believed,
    };
    Learned {
        complete: Some(complete),
        ..answer(seq, calls)
    }
}

fn suspects(path: &Path) -> u64 {
    Reader::open(path)
        .expect("a reader")
        .totals()
        .expect("totals")
        .suspects
}

#[test]
fn what_a_complete_list_leaves_out_is_a_suspect_and_what_it_does_not_cover_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let mut calls: Vec<_> = (0..100)
        .map(|id| record(id, "completed", Some(id), None, ""))
        .collect();
    calls.push(record(100, "failed", None, None, ""));
    writer.merge(answer(5, calls)).unwrap();
    writer.merge(complete(4, 50, 60..100, false)).unwrap();
    assert_eq!(
        suspects(&path),
        0,
        "the list was asked for before they were heard of"
    );
    writer.merge(complete(6, 50, 60..100, false)).unwrap();
    assert_eq!(
        suspects(&path),
        11,
        "calls 50 to 59, and the one without a start"
    );
    writer.merge(complete(7, 50, 50..100, false)).unwrap();
    assert_eq!(suspects(&path), 1);
}

#[test]
fn a_list_that_leaves_out_very_many_calls_is_not_believed_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (0..1000)
        .map(|id| record(id, "completed", Some(id), None, ""))
        .collect();
    let before = vec![window(0, 999, 1)];
    writer
        .merge(Learned {
            windows: Some(before.clone()),
            ..answer(1, calls)
        })
        .unwrap();
    let empty = |seq, believed| Learned {
        windows: Some(vec![window(0, 2000, seq)]),
        ..complete(seq, 0, 0..0, believed)
    };
    assert_eq!(writer.merge(empty(2, false)).unwrap().unbelieved, 1000);
    assert_eq!((suspects(&path), writer.windows()), (0, &*before));
    assert_eq!(writer.merge(empty(3, true)).unwrap().unbelieved, 0);
    assert_eq!(suspects(&path), 1000);
}

#[test]
fn the_file_and_its_companions_are_the_owners_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    writer
        .merge(answer(1, vec![record(1, "failed", None, None, "")]))
        .unwrap();
    let names: Vec<_> = files(folder.path()).into_keys().collect();
    assert_eq!(
        names,
        ["edge.db", "edge.db-shm", "edge.db-wal", "edge.db.lock"]
    );
    for name in names {
        let mode = fs::metadata(folder.path().join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_has_one_writer() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let first = Writer::open(&path, URL).unwrap();
    let refusal = Writer::open(&path, URL).err().unwrap();
    assert!(matches!(refusal, StoreError::Locked(_)));
    assert!(refusal.to_string().contains("store.path"), "{refusal}");
    drop(first);
    Writer::open(&path, URL).unwrap();
}

#[test]
fn a_file_of_another_upstream_or_organization_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    writer.identify(7).unwrap();
    writer.identify(7).unwrap();
    let refusal = writer.identify(8).unwrap_err().to_string();
    assert!(
        refusal.contains("organization 7") && refusal.contains("organization 8"),
        "{refusal}"
    );
    drop(writer);
    let refusal = Writer::open(&path, "http://other:8000")
        .err()
        .unwrap()
        .to_string();
    assert!(
        refusal.contains(URL) && refusal.contains("http://other:8000"),
        "{refusal}"
    );
    let writer = Writer::open(&path, URL).unwrap();
    assert_eq!(writer.identity().organization_id, Some(7));
}

#[test]
fn a_file_of_another_kind_or_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "not a database, but long enough to have a header of one hundred bytes".repeat(4),
    )
    .unwrap();
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let newer = folder.path().join("newer.db");
    drop(Writer::open(&newer, URL).unwrap());
    rusqlite::Connection::open(&newer)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    for (path, part) in [
        (text, "not a burki-edge file"),
        (other, "not a burki-edge file"),
        (newer, "newer burki-edge"),
    ] {
        let before = fs::read(&path).unwrap();
        let refusal = Writer::open(&path, URL).err().unwrap().to_string();
        assert!(refusal.contains(part), "{refusal}");
        assert!(Reader::open(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_reader_cannot_write_and_does_not_create() {
    let folder = TempDir::new().unwrap();
    assert!(Reader::open(&folder.path().join("none.db")).is_err());
    assert!(files(folder.path()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the naive model: a map that keeps, for each call, the text of the latest request.
    #[test]
    fn rows_rollups_and_guard_equal_a_naive_map(
        answers in prop::collection::vec(
            (1..40_u64, prop::collection::vec((0..12_i64, 0..3_usize, 0..4_i64, prop::option::of(0..9_i64)), 0..8)),
            1..20,
        )
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let mut model: BTreeMap<i64, (u64, Call)> = BTreeMap::new();
        for (seq, rows) in answers {
            let mut calls: Vec<Call> = Vec::new();
            for (id, status, day, duration) in rows {
                if calls.iter().all(|call| call.id != id) {
                    let status = ["ongoing", "completed", "failed"][status];
                    let start = (day > 0).then_some(day * 86_400);
                    calls.push(record(id, status, start, duration, ""));
                }
            }
            for call in &calls {
                let newest = model.get(&call.id).map_or(0, |(seq, _)| *seq);
                if seq >= newest {
                    model.insert(call.id, (seq, call.clone()));
                }
            }
            writer.merge(Learned { oldest_in_flight: 0, ..answer(seq, calls) }).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        for (id, (_, call)) in &model {
            let held = reader.call(&CallKey::Id(*id)).unwrap().unwrap();
            prop_assert_eq!(&held.body, &*call.body);
        }
        prop_assert_eq!(reader.totals().unwrap().calls, model.len() as u64);
        let connection = rusqlite::Connection::open(&path).unwrap();
        let differences: i64 = connection.query_row(
            "WITH naive AS (
                 SELECT coalesce(started_at / 86400000000, -1000000) AS day, status,
                        coalesce(assistant_id, 0) AS assistant_id, count(*) AS calls,
                        count(duration) AS timed, coalesce(sum(duration), 0) AS duration
                 FROM calls GROUP BY 1, 2, 3)
             SELECT (SELECT count(*) FROM (SELECT * FROM naive EXCEPT SELECT * FROM rollups))
                  + (SELECT count(*) FROM (SELECT * FROM rollups EXCEPT SELECT * FROM naive))",
            [],
            |row| row.get(0),
        ).unwrap();
        prop_assert_eq!(differences, 0);
    }
}
