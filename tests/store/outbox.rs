//! Changes that wait for the upstream are in the file before anybody is told so, and go with what
//! came of them.

use burki_edge::model::Timestamp;
use burki_edge::store::{NewWrite, Queued, Reader, Writer};
use rusqlite::Connection;
use tempfile::TempDir;

use super::store_file::*;

fn change(call_id: i64, metadata: &str) -> NewWrite {
    NewWrite {
        call_id,
        metadata: metadata.to_owned(),
        accepted_at: Timestamp::from_micros(5),
        may_have_arrived: false,
        limit: 3,
    }
}

fn writer(folder: &TempDir) -> Writer {
    let mut writer = Writer::open(&folder.path().join("edge.db"), URL).unwrap();
    let calls = (1..4).map(|id| record(id, "completed", Some(id), Some(1), "old"));
    writer.merge(answer(1, calls.collect())).unwrap();
    writer
}

fn accepted(queued: Queued) -> (u64, String) {
    match queued {
        Queued::Accepted { write_id, body } => (write_id, body),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_is_in_the_file_when_it_is_accepted_and_the_call_is_untouched() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = writer(&folder);
    let before = body(&path, 1).unwrap();
    let changes = writer.row_counts();
    let (first, laid) = accepted(writer.queue_write(change(1, r#"{"note":1}"#)).unwrap());
    assert_eq!(laid, before.replace(r#""note":"old""#, r#""note":1"#));
    let (second, laid) = accepted(writer.queue_write(change(1, r#"{"b":2}"#)).unwrap());
    assert_eq!(laid, before.replace(r#""note":"old""#, r#""note":1,"b":2"#));
    assert!(first < second);
    // As a process finds it that comes after one that was killed: nothing was closed.
    let writes = Reader::open(&path).unwrap().writes().unwrap();
    let seen: Vec<_> = writes
        .iter()
        .map(|write| (write.write_id, write.metadata.as_str(), write.sent_at))
        .collect();
    assert_eq!(
        seen,
        [(first, r#"{"note":1}"#, None), (second, r#"{"b":2}"#, None)]
    );
    assert_eq!(writes[1].before.as_deref(), Some(r#"{"note":"old"}"#));
    assert_eq!(
        (body(&path, 1).unwrap(), writer.row_counts()),
        (before, changes)
    );
    drop(writer);
    let again = Writer::open(&path, URL).unwrap();
    let kept: Vec<_> = again
        .outbox()
        .writes
        .iter()
        .map(|w| (**w).clone())
        .collect();
    assert_eq!(kept, writes);
    let connection = Connection::open(&path).unwrap();
    let synchronous: i64 = connection
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .unwrap();
    assert!(synchronous >= 2, "FULL");
}

#[test]
fn there_may_be_so_many_and_only_of_calls_that_are_held() {
    let folder = TempDir::new().unwrap();
    let mut writer = writer(&folder);
    assert_eq!(
        writer.queue_write(change(99, "{}")).unwrap(),
        Queued::NotStored
    );
    for id in 1..4 {
        accepted(writer.queue_write(change(id, "{}")).unwrap());
    }
    assert_eq!(writer.queue_write(change(1, "{}")).unwrap(), Queued::Full);
    // One that failed is still kept; only what is dropped makes room.
    writer.fail_write(1, "no").unwrap();
    assert_eq!(writer.queue_write(change(1, "{}")).unwrap(), Queued::Full);
    assert!(writer.drop_write(1).unwrap() && !writer.drop_write(1).unwrap());
    accepted(writer.queue_write(change(1, "{}")).unwrap());
}

#[test]
fn no_number_is_given_twice_also_by_the_next_process() {
    let folder = TempDir::new().unwrap();
    let mut first = writer(&folder);
    let (id, _) = accepted(first.queue_write(change(1, "{}")).unwrap());
    first.drop_write(id).unwrap();
    drop(first);
    let mut second = Writer::open(&folder.path().join("edge.db"), URL).unwrap();
    let (next, _) = accepted(second.queue_write(change(1, "{}")).unwrap());
    assert_eq!(next, id + 1);
}

#[test]
fn a_change_goes_with_the_answer_that_shows_it_made() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = writer(&folder);
    let (first, _) = accepted(writer.queue_write(change(1, r#"{"note":"new"}"#)).unwrap());
    let (second, _) = accepted(writer.queue_write(change(1, r#"{"b":2}"#)).unwrap());
    writer
        .mark_sent(first, Timestamp::from_micros(8), &[])
        .unwrap();
    assert!(writer.outbox().find(first).unwrap().sent_at.is_some());
    let mut learned = answer(4, vec![record(1, "completed", Some(1), Some(1), "new")]);
    learned.newest_seq = 6;
    let (merged, settled) = writer.merge_written(learned, first).unwrap();
    assert_eq!((merged.changed, settled), (1, true));
    let writes = Reader::open(&path).unwrap().writes().unwrap();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].write_id, second);
    assert_eq!(writes[0].before.as_deref(), Some(r#"{"note":"new"}"#));
    // What was under way when it was made may not have seen it.
    let older = writer
        .merge(answer(
            5,
            vec![record(1, "completed", Some(1), Some(1), "old")],
        ))
        .unwrap();
    assert_eq!(older.stale, 1);
    assert!(body(&path, 1).unwrap().contains("new"));
}

#[test]
fn an_answer_that_may_be_older_than_what_is_held_settles_nothing() {
    let folder = TempDir::new().unwrap();
    let mut writer = writer(&folder);
    let (id, _) = accepted(writer.queue_write(change(1, r#"{"note":"new"}"#)).unwrap());
    let newer = record(1, "completed", Some(1), Some(1), "newer");
    writer.merge(answer(9, vec![newer])).unwrap();
    let late = answer(4, vec![record(1, "completed", Some(1), Some(1), "new")]);
    let (merged, settled) = writer.merge_written(late, id).unwrap();
    assert_eq!((merged.stale, settled), (1, false));
    assert!(writer.outbox().find(id).is_some());
}

#[test]
fn conflicts_are_counted_once_and_the_last_twenty_remembered() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = writer(&folder);
    for at in 0..25 {
        let (id, _) = accepted(writer.queue_write(change(1, "{}")).unwrap());
        let keys = ["a".to_owned(), format!("é{at}")];
        for _ in 0..2 {
            writer
                .mark_sent(id, Timestamp::from_micros(at), &keys)
                .unwrap();
        }
        writer.drop_write(id).unwrap();
    }
    assert_eq!(writer.outbox().conflicts, 25);
    let conflicts = Reader::open(&path).unwrap().conflicts().unwrap();
    assert_eq!(conflicts.len(), 20);
    assert_eq!(
        (conflicts[19].write_id, &*conflicts[19].keys[1]),
        (25, "é24")
    );
    drop(writer);
    assert_eq!(Writer::open(&path, URL).unwrap().outbox().conflicts, 25);
}
