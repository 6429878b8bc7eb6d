//! What an answer does to the rows.

use burki_edge::model::{Call, Timestamp};
use burki_edge::store::{Merged, Observation, Reader, StoreError, Writer};
use tempfile::TempDir;

use super::store_file::*;

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

/// Else a claim that was taken back would be there again after a restart.
#[test]
fn windows_of_another_shape_are_written_though_no_call_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let both = vec![window(0, 9, 1), window(10, 19, 1)];
    for windows in [both.clone(), vec![window(10, 19, 1)], Vec::new(), both] {
        let learned = Observation {
            windows: Some(windows.clone()),
            ..answer(1, Vec::new())
        };
        writer.merge(learned).unwrap();
        assert_eq!(Reader::open(&path).unwrap().windows().unwrap(), windows);
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
    let confirmation = Observation {
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
fn an_answer_tells_of_a_call_that_a_later_request_only_missed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let there = |start, name| record(1, "completed", Some(start), Some(5), name);
    writer.merge(answer(3, vec![there(10, "held")])).unwrap();
    // Requests 2, 4 and 5 are under way; 6 does not find the call where it was.
    let missing = Observation {
        oldest_in_flight: 2,
        ..absence(6, 1)
    };
    writer.merge(missing).unwrap();
    let late = |seq, start, name| Observation {
        oldest_in_flight: 2,
        ..answer(seq, vec![there(start, name)])
    };
    let moved = writer.merge(late(5, 99, "moved")).unwrap();
    assert_eq!((moved.changed, suspects(&path)), (1, 1));
    assert_eq!(body(&path, 1).as_deref(), Some(&*there(99, "moved").body));
    for older in [2, 4] {
        assert_eq!(writer.merge(late(older, 10, "old")).unwrap().stale, 1);
    }
    // What removes it is a denial after it was missed, as before.
    let denied = |seq| denial(8, &[(1, seq)]);
    assert_eq!(writer.merge(denied(5)).unwrap().removed, 0);
    assert_eq!(writer.merge(late(7, 99, "moved")).unwrap().unchanged, 1);
    assert_eq!(suspects(&path), 0);
}

#[test]
fn a_page_that_fails_to_commit_leaves_rows_coverage_and_rollups_unmoved() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let before = vec![window(0, 9, 1)];
    let first = Observation {
        windows: Some(before.clone()),
        ..answer(1, vec![record(1, "failed", Some(1), None, "")])
    };
    writer.merge(first).unwrap();
    // Two windows cannot begin at the same instant: the last statement of the transaction fails.
    let broken = vec![window(0, 9, 1), window(50, 60, 2), window(50, 70, 2)];
    let second = Observation {
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
    let learned = |seq| Observation {
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
    drop(writer);
    assert_eq!(
        Writer::open(&path, URL).unwrap().request_seq(),
        19,
        "the next run's requests are later than what the windows know"
    );
}

/// A text of which one thing changes is written in place unless what is indexed or counted changes.
#[test]
fn a_call_of_which_one_thing_changes_is_found_and_counted_by_it() {
    let base = r#"{"id":1,"call_sid":"CA1","status":"failed","assistant_id":4,"duration":7.5,"started_at":"2026-01-01T00:00:00","customer_phone_number":"+491","assistant_name":"Sales"}"#;
    for (text, other) in [
        (r#""status":"failed""#, r#""status":"completed""#),
        (r#""assistant_id":4"#, r#""assistant_id":5"#),
        (r#""duration":7.5"#, r#""duration":8.5"#),
        (r#""duration":7.5"#, r#""duration":null"#),
        (r#""duration":7.5"#, r#""duration":0"#),
        ("2026-01-01", "2026-01-02"),
        ("+491", "+492"),
        ("Sales", "Support"),
        ("CA1", "CA2"),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let changed = base.replace(text, other);
        assert_ne!(changed, base);
        for (place, text) in [base, &changed, base, &changed].iter().enumerate() {
            let call = Call::from_json(text).unwrap();
            let seq = place as u64 + 1;
            writer.merge(answer(seq, vec![call.clone()])).unwrap();
            let connection = rusqlite::Connection::open(&path).unwrap();
            assert_eq!(wrong_rollups(&connection), 0, "{other}, {place}");
            assert_eq!(wrong_books(&connection), 0, "{other}, {place}");
            let row = connection.query_row(
                "SELECT call_sid, status, assistant_id, duration, started_at FROM calls",
                [],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, Option<i64>>(2)?,
                        row.get::<_, Option<f64>>(3)?,
                        row.get::<_, Option<i64>>(4)?,
                    ))
                },
            );
            let start = call.started_at.map(Timestamp::as_micros);
            let told = (
                call.call_sid,
                call.status,
                call.assistant_id,
                call.duration,
                start,
            );
            assert_eq!(row.unwrap(), told);
        }
    }
}
