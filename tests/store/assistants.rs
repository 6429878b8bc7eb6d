//! What assistants are called, where their calls do not tell.

use burki_edge::model::{Call, CallFilter, Part, Timestamp};
use burki_edge::store::{Reader, Writer};
use tempfile::TempDir;

use super::store_file::*;

fn call(id: i64, assistant: i64, more: &str) -> Call {
    Call::from_json(&format!(
        r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","assistant_id":{assistant},"started_at":"2026-11-20T09:00:00"{more}}}"#
    ))
    .unwrap()
}

fn named(reader: &Reader, part: &str) -> Vec<i64> {
    let filter = CallFilter {
        assistant_name: Some(Part::new(part)),
        ..CallFilter::default()
    };
    let listed = reader.list(&filter, 0, 100).unwrap();
    assert_eq!(listed.total as usize, listed.rows.len());
    listed.rows.iter().map(|row| row.id).collect()
}

#[test]
fn calls_are_found_by_their_assistants_listed_name_and_renamed_with_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let before = vec![
        call(1, 7, ""),
        call(2, 7, r#","assistant_name":null"#),
        call(3, 7, r#","assistant_name":"Own word""#),
        call(4, 8, ""),
    ];
    writer.merge(answer(1, before)).unwrap();
    let now = Timestamp::from_micros(0);
    let listed = |names: &[(i64, &str)]| {
        let names = names.iter().map(|(id, name)| (*id, (*name).to_owned()));
        names.collect::<Vec<_>>()
    };
    // One that has no call counts for nothing, and one that is listed twice is one.
    let told = listed(&[(7, "Sales"), (9, "Nobody's"), (7, "Sales (day)")]);
    writer.keep_assistants(told, now).unwrap();
    writer.merge(answer(2, vec![call(5, 7, "")])).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(named(&reader, "sales (day)"), [5, 1]);
    assert_eq!(named(&reader, "own"), [3]);
    assert_eq!(named(&reader, "nobody"), [0; 0]);
    let connection = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(wrong_books(&connection), 0);

    writer
        .keep_assistants(listed(&[(7, "Support")]), now)
        .unwrap();
    assert_eq!(named(&reader, "sales"), [0; 0]);
    assert_eq!(named(&reader, "support"), [5, 1]);
    assert_eq!(wrong_books(&connection), 0);
    drop(writer);
    let mut writer = Writer::open(&path, URL).unwrap();
    writer.merge(answer(3, vec![call(6, 7, "")])).unwrap();
    assert_eq!(named(&reader, "support"), [6, 5, 1], "they are in the file");
    assert_eq!(wrong_books(&connection), 0);
}
