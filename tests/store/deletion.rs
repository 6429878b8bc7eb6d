//! Deletion by proof, and calls that come back.

use burki_edge::model::CallKey;
use burki_edge::store::{Merged, Observation, Reader, RowCounts, Writer};
use tempfile::TempDir;

use super::store_file::*;

fn removed(removed: usize) -> Merged {
    Merged {
        removed,
        ..Merged::default()
    }
}

#[test]
fn a_suspect_whose_deletion_is_proven_is_a_tombstone_and_no_row() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (1..=3).map(|id| record(id, "completed", Some(id), Some(1), ""));
    writer.merge(answer(1, calls.collect())).unwrap();
    writer.merge(absence(2, 1)).unwrap();
    assert_eq!(writer.merge(denial(9, &[(1, 4)])).unwrap(), removed(1));
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.call(&CallKey::Id(1)).unwrap(), None);
    for key in [CallKey::Id(1), CallKey::Sid("CA1".into())] {
        let gone = reader.tombstone(&key).unwrap().unwrap();
        assert_eq!(gone, request(4).at, "the denial's time, not the proof's");
    }
    assert_eq!(reader.tombstone(&CallKey::Id(2)).unwrap(), None);
    let row_counts = RowCounts {
        calls: 2,
        suspects: 0,
        tombstones: 1,
    };
    assert_eq!(writer.row_counts(), row_counts);
    assert_eq!(writer.merge(denial(10, &[(1, 5)])).unwrap(), removed(0));
}

#[test]
fn a_denial_removes_nobody_who_is_no_suspect_or_was_heard_of_since() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = |id| record(id, "completed", Some(id), None, "");
    writer
        .merge(answer(1, (1..=4).map(call).collect()))
        .unwrap();
    // 2 was denied by a request older than its suspicion, 3 is back.
    writer.merge(absence(6, 2)).unwrap();
    writer.merge(absence(6, 3)).unwrap();
    writer.merge(answer(8, vec![call(3)])).unwrap();
    // 4 is back in the very answer that proves the others gone.
    writer.merge(absence(6, 4)).unwrap();
    let proof = Observation {
        calls: vec![call(4)],
        ..denial(9, &[(1, 7), (2, 5), (3, 7), (4, 7), (99, 7)])
    };
    let unchanged = Merged {
        unchanged: 1,
        ..Merged::default()
    };
    assert_eq!(writer.merge(proof).unwrap(), unchanged);
    assert_eq!(
        (writer.row_counts().calls, writer.row_counts().tombstones),
        (4, 0)
    );
    assert_eq!(writer.suspects(9).unwrap(), [2]);
}

#[test]
fn a_suspicion_of_the_same_answer_is_no_proof() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    writer
        .merge(answer(1, vec![record(1, "failed", None, None, "")]))
        .unwrap();
    let both = Observation {
        absent: Some(CallKey::Id(1)),
        ..denial(2, &[(1, 2)])
    };
    assert_eq!(writer.merge(both).unwrap(), removed(0));
    assert_eq!(writer.suspects(9).unwrap(), [1]);
}

#[test]
fn an_older_answer_never_revives_a_tombstone_and_a_later_one_does() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = record(1, "completed", Some(1), Some(1), "");
    writer.merge(answer(1, vec![call.clone()])).unwrap();
    writer.merge(absence(2, 1)).unwrap();
    writer.merge(denial(5, &[(1, 5)])).unwrap();
    drop(writer);
    let mut writer = Writer::open(&path, URL).unwrap();
    let late = writer.merge(answer(4, vec![call.clone()])).unwrap();
    assert_eq!((late.new, late.stale), (0, 1));
    assert_eq!(body(&path, 1), None);
    let back = writer.merge(answer(6, vec![call.clone()])).unwrap();
    assert_eq!((back.new, back.stale), (1, 0));
    assert_eq!(body(&path, 1).as_deref(), Some(&*call.body));
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.tombstone(&CallKey::Id(1)).unwrap(), None);
    assert_eq!(writer.row_counts().tombstones, 0);
}

#[test]
fn a_mass_deletion_runs_in_pieces_and_spares_calls_seen_since() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (0..20).map(|id| record(id, "completed", Some(id), Some(1), ""));
    writer.merge(answer(1, calls.collect())).unwrap();
    for id in 0..10 {
        writer.merge(absence(2, id)).unwrap();
    }
    writer.merge(absence(7, 15)).unwrap();
    assert_eq!(writer.remove_suspects(request(8), 7, 4).unwrap(), 4);
    assert_eq!(writer.remove_suspects(request(8), 7, 100).unwrap(), 6);
    assert_eq!(writer.remove_suspects(request(8), 7, 100).unwrap(), 0);
    assert_eq!(writer.suspects(100).unwrap(), [15]);
    assert_eq!(
        (writer.row_counts().calls, writer.row_counts().tombstones),
        (10, 10)
    );
    assert_eq!(
        wrong_rollups(&rusqlite::Connection::open(&path).unwrap()),
        0
    );
    drop(writer);
    let writer = Writer::open(&path, URL).unwrap();
    assert_eq!(writer.request_seq(), 8, "its number is not given again");
}
