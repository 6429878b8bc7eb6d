//! The order of changes, and whose it is.

use burki_edge::store::{Changed, Changes, Reader, Writer};
use tempfile::TempDir;

use super::store_file::*;

fn upsert(seq: u64, body: &str) -> (u64, Changed) {
    (seq, Changed::Upsert(body.to_owned()))
}

fn delete(seq: u64, id: i64) -> (u64, Changed) {
    (seq, Changed::Delete(id))
}

fn told(changes: &Changes) -> Vec<(u64, Changed)> {
    let items = changes.items.iter();
    items
        .map(|change| (change.seq, change.what.clone()))
        .collect()
}

#[test]
fn each_change_comes_once_at_its_latest_place() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = |id, note| record(id, "completed", Some(id), None, note);
    let calls = (1..=4).map(|id| call(id, "")).collect();
    writer.merge(answer(1, calls)).unwrap();
    writer.merge(answer(2, vec![call(2, "new")])).unwrap();
    writer.merge(absence(3, 1)).unwrap();
    writer.merge(absence(3, 3)).unwrap();
    writer.merge(denial(4, &[(3, 4)])).unwrap();
    let reader = Reader::open(&path).unwrap();
    let all = reader.changes(0, 100).unwrap();
    let expected = [
        upsert(1, &call(1, "").body),
        upsert(4, &call(4, "").body),
        upsert(5, &call(2, "new").body),
        delete(6, 3),
    ];
    assert_eq!(told(&all), expected, "call 1, a suspect, is served");
    assert_eq!((all.next, all.more), (6, false));
    assert_eq!(all.feed_id, writer.feed_id());

    let first = reader.changes(0, 2).unwrap();
    assert_eq!(told(&first), expected[..2]);
    assert_eq!((first.next, first.more), (4, true));
    let rest = reader.changes(first.next, 2).unwrap();
    assert_eq!(told(&rest), expected[2..]);
    assert_eq!((rest.next, rest.more), (6, false));
    for after in [6, 7, u64::MAX] {
        let none = reader.changes(after, 2).unwrap();
        assert_eq!((none.items.len(), none.next, none.more), (0, after, false));
    }
    let only_whether = reader.changes(5, 0).unwrap();
    assert_eq!((only_whether.next, only_whether.more), (5, true));
}

#[test]
fn a_respelled_or_unchanged_call_keeps_its_place() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = record(1, "completed", Some(1), None, "");
    let respelled = call.body.replacen(':', ": ", 1);
    let respelled = burki_edge::model::Call::from_json(&respelled).unwrap();
    writer.merge(answer(1, vec![call.clone()])).unwrap();
    writer.merge(answer(2, vec![call])).unwrap();
    writer.merge(answer(3, vec![respelled.clone()])).unwrap();
    let changes = Reader::open(&path).unwrap().changes(0, 9).unwrap();
    assert_eq!(told(&changes), [upsert(1, &respelled.body)]);
}

#[test]
fn the_order_goes_on_after_a_restart_and_another_file_has_another() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let call = |id| record(id, "completed", Some(id), None, "");
    writer.merge(answer(1, vec![call(1), call(2)])).unwrap();
    writer.merge(absence(2, 2)).unwrap();
    // The highest number is now a tombstone's.
    writer.merge(denial(3, &[(2, 3)])).unwrap();
    let (feed, row_counts) = (writer.feed_id().to_owned(), writer.row_counts());
    assert!(feed.len() == 16 && feed.bytes().all(|digit| digit.is_ascii_hexdigit()));
    drop(writer);
    let mut writer = Writer::open(&path, URL).unwrap();
    assert_eq!(
        (writer.feed_id(), writer.row_counts()),
        (&*feed, row_counts)
    );
    writer.merge(answer(4, vec![call(3)])).unwrap();
    let changes = Reader::open(&path).unwrap().changes(1, 9).unwrap();
    assert_eq!(told(&changes), [delete(3, 2), upsert(4, &call(3).body)]);
    assert_eq!(changes.feed_id, feed);
    let other = Writer::open(&folder.path().join("other.db"), URL).unwrap();
    assert_ne!(other.feed_id(), feed);
}

#[test]
fn both_sides_come_from_their_indexes_in_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    drop(Writer::open(&path, URL).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let plan: Vec<String> = connection
        .prepare(
            "EXPLAIN QUERY PLAN
             SELECT change_seq, id, body FROM calls WHERE change_seq > 1
             UNION ALL
             SELECT change_seq, id, NULL FROM tombstones WHERE change_seq > 1
             ORDER BY change_seq LIMIT 2",
        )
        .unwrap()
        .query_map([], |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("calls_by_change") && plan.contains("tombstones_by_change"));
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}
