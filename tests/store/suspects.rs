//! Who is a suspect, and which lists are believed.

use burki_edge::model::CallKey;
use burki_edge::store::{Merged, Observation, Reader, Trust, Writer};
use tempfile::TempDir;

use super::store_file::*;

#[test]
fn a_denied_call_is_a_suspect_and_served_until_it_is_seen_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = record(1, "ongoing", Some(1), None, "");
    writer.merge(answer(5, vec![call.clone()])).unwrap();
    let reader = Reader::open(&path).unwrap();
    let denied = |seq, key| Observation {
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

#[test]
fn only_what_a_complete_list_covers_and_leaves_out_is_a_suspect() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let mut calls: Vec<_> = (0..100)
        .map(|id| record(id, "completed", Some(id), None, ""))
        .collect();
    calls.push(record(100, "failed", None, None, ""));
    writer.merge(answer(5, calls)).unwrap();
    writer
        .merge(complete(4, 50, 60..100, Trust::UnlessMany))
        .unwrap();
    assert_eq!(
        suspects(&path),
        0,
        "the list was asked for before they were heard of"
    );
    writer
        .merge(complete(6, 50, 60..100, Trust::UnlessMany))
        .unwrap();
    assert_eq!(
        suspects(&path),
        11,
        "calls 50 to 59, and the one without a start"
    );
    writer
        .merge(complete(7, 50, 50..100, Trust::UnlessMany))
        .unwrap();
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
        .merge(Observation {
            windows: Some(before.clone()),
            ..answer(1, calls)
        })
        .unwrap();
    let empty = |seq, belief| Observation {
        windows: Some(vec![window(0, 2000, seq)]),
        ..complete(seq, 0, 0..0, belief)
    };
    assert_eq!(
        writer
            .merge(empty(2, Trust::UnlessMany))
            .unwrap()
            .unbelieved,
        1000
    );
    assert_eq!((suspects(&path), writer.windows()), (0, &*before));
    assert_eq!(writer.merge(empty(3, Trust::Whole)).unwrap().unbelieved, 0);
    assert_eq!(suspects(&path), 1000);
}

#[test]
fn of_an_answer_that_is_not_believed_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (0..10).map(|id| record(id, "completed", Some(id), None, ""));
    let before = vec![window(0, 9, 1)];
    writer
        .merge(Observation {
            windows: Some(before.clone()),
            ..answer(1, calls.collect())
        })
        .unwrap();
    writer.merge(absence(2, 9)).unwrap();
    let row_counts = writer.row_counts();
    let doubted = Observation {
        // Call 0 changed, 20 is new, 9 is proven gone, 1 to 8 are left out.
        calls: vec![
            record(0, "failed", Some(0), None, "changed"),
            record(20, "failed", Some(20), None, "new"),
        ],
        absent: Some(CallKey::Id(0)),
        denied: vec![(9, request(3))],
        windows: Some(vec![window(0, 99, 3)]),
        ..complete(3, 0, 20..21, Trust::UpTo(7))
    };
    // 0 is on the answer but not on the list: it was written by this request, so is not missing.
    let unbelieved = Merged {
        unbelieved: 8,
        ..Merged::default()
    };
    assert_eq!(writer.merge(doubted).unwrap(), unbelieved);
    assert_eq!(
        (writer.row_counts(), writer.windows()),
        (row_counts, &*before)
    );
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.windows().unwrap(), before);
    assert_eq!(reader.totals().unwrap().suspects, 1);
    assert_eq!(reader.changes(10, 10).unwrap().items, []);
    assert_eq!(body(&path, 20), None);
    drop(writer);
    assert_eq!(Writer::open(&path, URL).unwrap().request_seq(), 2);
}

#[test]
fn a_list_that_keeps_none_of_three_or_more_is_not_believed() {
    for (held, listed, believed) in [
        (2, 100..101, true),
        (3, 100..101, false),
        (3, 100..100, false),
        (3, 2..3, true),
        (40, 39..40, true),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let calls = (0..held).map(|id| record(id, "completed", Some(id), None, ""));
        writer.merge(answer(1, calls.collect())).unwrap();
        // It kept the listed one also if that says something else now.
        let mut list = complete(2, 0, listed.clone(), Trust::UnlessMany);
        list.calls = listed
            .clone()
            .map(|id| record(id, "failed", Some(id), None, "changed"))
            .collect();
        let merged = writer.merge(list).unwrap();
        assert_eq!(merged.unbelieved == 0, believed, "{held} held, {listed:?}");
        assert_eq!(suspects(&path) > 0, believed, "{held} held, {listed:?}");
    }
}

#[test]
fn a_list_is_believed_up_to_what_it_may_leave_out() {
    for (most, listed, believed) in [
        (58, 0..1, false),
        (59, 0..1, true),
        (usize::MAX, 0..1, true),
        // Nothing that is held is on it.
        (usize::MAX, 0..0, false),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let calls = (0..60).map(|id| record(id, "completed", Some(id), None, ""));
        writer.merge(answer(1, calls.collect())).unwrap();
        let left_out = 60 - listed.clone().count();
        let merged = writer.merge(complete(2, 0, listed, Trust::UpTo(most)));
        assert_eq!(merged.unwrap().unbelieved == 0, believed, "{most}");
        assert_eq!(suspects(&path), if believed { left_out as u64 } else { 0 });
    }
}

#[test]
fn a_denial_never_doubts_what_a_later_request_found_unchanged() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = record(1, "completed", Some(1), None, "");
    writer.merge(answer(1, vec![call.clone()])).unwrap();
    let confirmation = Observation {
        oldest_in_flight: 2,
        ..answer(3, vec![call])
    };
    writer.merge(confirmation).unwrap();
    for key in [CallKey::Id(1), CallKey::Sid("CA1".into())] {
        let late = Observation {
            absent: Some(key),
            ..answer(2, vec![])
        };
        writer.merge(late).unwrap();
        assert_eq!(suspects(&path), 0);
    }
}
