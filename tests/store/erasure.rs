//! What is gone leaves nothing in the file, and every table can be looked through.

use std::fs;
use std::path::Path;

use burki_edge::model::{Call, CallFilter, Detail, Part, Timestamp};
use burki_edge::store::{Again, DetailObservation, Reader, Writer};
use rusqlite::Connection;
use tempfile::TempDir;

use super::store_file::*;

const NUMBER: &str = "+4930901820777";
const SID: &str = "CAerasederasederased";

/// A call whose every text is its own.
fn call(id: i64, sid: &str, number: &str) -> Call {
    Call::from_json(&format!(
        r#"{{"call_sid":"{sid}","call_meta":{{"note":"said by {number}"}},"id":{id},"assistant_id":1,"assistant_name":"of {sid}","customer_phone_number":"{number}","status":"completed","duration":1,"started_at":"2026-01-01T00:00:0{}"}}"#,
        id % 10
    ))
    .unwrap()
}

fn holds(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).unwrap();
    let text = text.as_bytes();
    bytes.windows(text.len()).any(|window| window == text)
}

/// Rowids that the index has for a trigram, whatever its table says.
fn indexed(path: &Path, index: &str, trigram: &str) -> bool {
    // A trigram's entry is of those bytes: it is in the index while any rowid is.
    let connection = Connection::open(path).unwrap();
    let blocks = format!("SELECT block FROM {index}_data");
    let mut select = connection.prepare(&blocks).unwrap();
    let blocks = select
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .unwrap();
    let part = trigram.as_bytes();
    blocks
        .map(Result::unwrap)
        .any(|block| block.windows(part.len()).any(|window| window == part))
}

fn erase(writer: &mut Writer) {
    let mut steps = 0;
    while !writer.erase_traces().unwrap() {
        steps += 1;
        assert!(steps < 1000, "it does not end");
    }
}

#[test]
fn a_call_that_is_gone_is_nowhere_in_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let others = (10..400).map(|id| call(id, &format!("CB{id:08}"), &format!("+1415{id:07}")));
    writer.merge(answer(1, others.collect())).unwrap();
    writer.merge(answer(2, vec![call(5, SID, NUMBER)])).unwrap();
    let transcript = format!(r#"[{{"content":"my number is {NUMBER}"}}]"#);
    let learned = DetailObservation {
        call_id: 5,
        kind: Detail::Transcripts,
        request: request(3),
        newest_seq: 3,
        body: Some(transcript.into()),
    };
    let again: Again = Box::new(|_| None);
    let kinds = [Detail::Transcripts].into();
    writer.keep_detail(&learned, &kinds, &again).unwrap();
    writer.empty_log().unwrap();
    assert!(holds(&path, NUMBER) && holds(&path, SID));

    writer.merge(absence(4, 5)).unwrap();
    assert_eq!(writer.merge(denial(9, &[(5, 5)])).unwrap().removed, 1);
    writer.empty_log().unwrap();
    for text in [NUMBER, SID, "my number is", "of CAerased", "said by +4930"] {
        assert!(!holds(&path, text), "{text}");
    }
    // The trigrams of others are still there, and no more of these.
    assert!(writer.has_traces());
    erase(&mut writer);
    writer.empty_log().unwrap();
    assert!(!writer.has_traces());
    assert!(!indexed(&path, "sid_trigrams", "era"), "of the SID");
    assert!(!indexed(&path, "phone_trigrams", "777"), "of the number");
    drop(writer);
    let writer = Writer::open(&path, URL).unwrap();
    assert!(!writer.has_traces(), "and that is remembered");
    let reader = Reader::open(&path).unwrap();
    let filter = CallFilter {
        call_sid: Some(Part::new("cb00000012")),
        ..CallFilter::default()
    };
    assert_eq!(reader.list(&filter, 0, 10).unwrap().total, 1);
}

/// What goes while the traces of others are removed is not forgotten.
#[test]
fn traces_that_come_while_others_are_removed_stay_known() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (1..9).map(|id| call(id, &format!("CB{id:08}"), "+14155550100"));
    writer.merge(answer(1, calls.collect())).unwrap();
    assert!(!writer.has_traces());
    let gone = |writer: &mut Writer, id: i64, seq: u64| {
        writer.merge(absence(seq, id)).unwrap();
        let removed = writer.merge(denial(seq + 2, &[(id, seq + 1)])).unwrap();
        assert_eq!(removed.removed, 1);
    };
    gone(&mut writer, 1, 10);
    assert!(!writer.erase_traces().unwrap());
    gone(&mut writer, 2, 20);
    erase(&mut writer);
    assert!(writer.has_traces());
    drop(writer);
    let mut writer = Writer::open(&path, URL).unwrap();
    assert!(writer.has_traces(), "also after a start");
    erase(&mut writer);
    assert!(!writer.has_traces());
}

#[test]
fn calls_from_before_the_history_are_dropped_in_pieces_without_a_word() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (1..=50).map(|id| record(id, "completed", Some(id), Some(1), ""));
    writer.merge(answer(7, calls.collect())).unwrap();
    writer.merge(absence(8, 3)).unwrap();
    let changes = |after| Reader::open(&path).unwrap().changes(after, 100).unwrap();
    let last = changes(0).items.last().unwrap().seq;
    let before = Timestamp::from_micros(21_000_000);
    let heard = |at| Timestamp::from_micros(at);
    assert_eq!(
        writer.drop_before(before, heard(7), 100).unwrap(),
        0,
        "heard of since"
    );
    assert_eq!(writer.drop_before(before, heard(9), 15).unwrap(), 15);
    assert_eq!(writer.drop_before(before, heard(9), 15).unwrap(), 5);
    assert_eq!(writer.drop_before(before, heard(9), 15).unwrap(), 0);
    let row_counts = writer.row_counts();
    assert_eq!(
        (row_counts.calls, row_counts.suspects, row_counts.tombstones),
        (30, 0, 0)
    );
    assert!(changes(last).items.is_empty(), "nothing was deleted");
    let connection = Connection::open(&path).unwrap();
    assert_eq!(wrong_rollups(&connection), 0);
    assert_eq!(wrong_books(&connection), 0);
    drop(writer);
    assert_eq!(Writer::open(&path, URL).unwrap().row_counts(), row_counts);
}

/// As DuckDB, sqlite-utils and Datasette do it.
#[test]
fn every_table_can_be_counted_and_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    let calls = (1..9).map(|id| call(id, &format!("CB{id:08}"), "+14155550100"));
    writer.merge(answer(1, calls.collect())).unwrap();
    let connection = Connection::open(&path).unwrap();
    let mut select = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
        .unwrap();
    let names = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let names: Vec<String> = names.map(Result::unwrap).collect();
    assert!(names.len() > 20);
    for name in names {
        let count = format!("SELECT count(*) FROM \"{name}\"");
        let counted: i64 = connection
            .query_row(&count, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut all = connection
            .prepare(&format!("SELECT * FROM \"{name}\""))
            .unwrap();
        let mut rows = all.query([]).unwrap();
        let mut read = 0;
        while rows
            .next()
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .is_some()
        {
            read += 1;
        }
        assert_eq!(read, counted, "{name}");
        if name == "sid_trigrams" {
            assert_eq!(counted, 8);
        }
    }
}
