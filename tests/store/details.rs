//! What belongs to calls, in the file.

use std::collections::BTreeSet;
use std::path::Path;

use burki_edge::model::{Detail, Timestamp};
use burki_edge::store::{DetailObservation, DueDetails, Reader, Writer};
use tempfile::TempDir;

use super::store_file::{URL, absence, answer, denial, record, request};

use Detail::{Recordings, Transcripts};

const MOST: usize = 100;
const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn file() -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("edge.db");
    (folder, path)
}

fn keeping(path: &Path, kinds: &[Detail]) -> Writer {
    let mut writer = Writer::open(path, URL).expect("a writer");
    writer.keep_kinds(&set(kinds)).expect("kept");
    writer
}

fn set(kinds: &[Detail]) -> BTreeSet<Detail> {
    kinds.iter().copied().collect()
}

fn keep(writer: &mut Writer, id: i64, kind: Detail, seq: u64, body: &str) -> bool {
    let learned = DetailObservation {
        request: request(seq),
        newest_seq: seq,
        call_id: id,
        kind,
        body: Some(body.into()),
    };
    let kinds = set(&[Transcripts, Recordings]);
    let last: burki_edge::store::Again = Box::new(|_| None);
    writer.keep_detail(&learned, &kinds, &last).expect("kept")
}

fn due(writer: &Writer) -> Vec<DueDetails> {
    writer.due_details(NOW, MOST).expect("a read").0
}

fn due_ids(writer: &Writer) -> Vec<i64> {
    due(writer).iter().map(|due| due.call_id).collect()
}

fn body(path: &Path, id: i64, kind: Detail) -> Option<String> {
    let reader = Reader::open(path).expect("a reader");
    let held = reader.detail(id, kind).expect("a read");
    held.map(|held| held.body)
}

#[test]
fn a_call_is_due_once_it_has_ended_and_the_newest_first() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[Transcripts, Recordings]);
    let calls = vec![
        record(1, "completed", Some(10), None, ""),
        record(2, "failed", Some(30), None, ""),
        record(3, "ongoing", Some(20), None, ""),
        record(4, "completed", None, None, ""),
    ];
    writer.merge(answer(1, calls)).unwrap();
    assert_eq!(due_ids(&writer), [2, 1, 4]);
    assert_eq!(writer.details_counts().due, 3);
    let ended = record(3, "completed", Some(20), None, "");
    writer.merge(answer(2, vec![ended])).unwrap();
    assert_eq!(due_ids(&writer), [2, 3, 1, 4]);
    drop(writer);
    let writer = Writer::open(&path, URL).unwrap();
    assert_eq!(writer.details_counts().due, 4);
    assert!(writer.details_counts().wanted);
}

#[test]
fn nothing_is_due_where_nothing_is_kept_until_something_is() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[]);
    let call = record(1, "completed", Some(10), None, "");
    writer.merge(answer(1, vec![call])).unwrap();
    assert!(due_ids(&writer).is_empty());
    writer.keep_kinds(&set(&[Transcripts])).unwrap();
    assert_eq!(due_ids(&writer), [1]);
    writer.keep_kinds(&set(&[])).unwrap();
    assert_eq!((due_ids(&writer), writer.details_counts().due), (vec![], 0));
}

#[test]
fn a_round_ends_with_the_last_kind_and_a_new_kind_begins_another() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[Transcripts, Recordings]);
    let call = record(1, "completed", Some(10), None, "");
    writer.merge(answer(1, vec![call])).unwrap();
    assert!(!keep(&mut writer, 1, Transcripts, 2, "[1]"));
    assert_eq!(due(&writer)[0].answered, set(&[Transcripts]));
    assert!(keep(&mut writer, 1, Recordings, 3, "[2]"));
    assert!(due_ids(&writer).is_empty());
    let books = writer.details_counts();
    assert_eq!((books.due, books.kept), (0, 2));
    let kinds = set(&[Transcripts, Recordings, Detail::Metrics]);
    writer.keep_kinds(&kinds).unwrap();
    let again = due(&writer);
    assert_eq!(again[0].answered, set(&[Transcripts, Recordings]));
    assert_eq!(writer.details_counts().due, 1);
}

#[test]
fn an_older_answer_never_replaces_a_newer_one() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[]);
    let call = record(1, "completed", Some(10), None, "");
    writer.merge(answer(1, vec![call])).unwrap();
    keep(&mut writer, 1, Transcripts, 5, "[5]");
    keep(&mut writer, 1, Transcripts, 4, "[4]");
    assert_eq!(body(&path, 1, Transcripts).as_deref(), Some("[5]"));
    keep(&mut writer, 1, Transcripts, 6, "[6]");
    assert_eq!(body(&path, 1, Transcripts).as_deref(), Some("[6]"));
    assert_eq!(writer.details_counts().kept, 1);
    drop(writer);
    assert_eq!(Writer::open(&path, URL).unwrap().request_seq(), 6);
}

#[test]
fn an_answer_from_before_a_change_does_not_count_for_the_round_after_it() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[Transcripts]);
    let call = record(1, "completed", Some(10), None, "");
    writer.merge(answer(3, vec![call])).unwrap();
    keep(&mut writer, 1, Transcripts, 2, "[2]");
    assert_eq!(due(&writer)[0].answered, set(&[]));
    let reader = Reader::open(&path).unwrap();
    let held = reader.detail(1, Transcripts).unwrap().unwrap();
    assert!(!held.ended, "it may have gone on when this was asked for");
    keep(&mut writer, 1, Transcripts, 4, "[4]");
    let held = reader.detail(1, Transcripts).unwrap().unwrap();
    assert!(held.ended);
    // Done, and its metadata changes within the day.
    keep(&mut writer, 1, Recordings, 5, "[]");
    assert!(due_ids(&writer).is_empty());
    let changed = record(1, "completed", Some(10), None, "changed");
    writer.merge(answer(6, vec![changed])).unwrap();
    let again = due(&writer);
    assert!(again[0].again && again[0].answered.is_empty());
    assert_eq!(writer.details_counts().due, 0);
}

#[test]
fn what_is_put_off_is_due_later_and_lets_the_others_pass() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[Transcripts]);
    let calls = (1..=3).map(|id| record(id, "completed", Some(id), None, ""));
    writer.merge(answer(1, calls.collect())).unwrap();
    let later = Timestamp::from_micros(NOW.as_micros() + 7);
    writer.put_off(&[(3, later)]).unwrap();
    let (calls, next) = writer.due_details(NOW, MOST).unwrap();
    assert_eq!(calls.len(), 2);
    assert_eq!(next, Some(later));
    let (calls, next) = writer.due_details(later, MOST).unwrap();
    let failed = calls.iter().find(|due| due.call_id == 3).unwrap();
    assert_eq!((failed.failures, next), (1, None));
    assert_eq!(writer.details_counts().due, 3);
}

#[test]
fn a_deleted_call_leaves_no_details_and_takes_none() {
    let (_folder, path) = file();
    let mut writer = keeping(&path, &[Transcripts, Recordings]);
    let calls = (1..=2).map(|id| record(id, "completed", Some(id), None, ""));
    writer.merge(answer(1, calls.collect())).unwrap();
    keep(&mut writer, 1, Transcripts, 2, "[1]");
    keep(&mut writer, 2, Transcripts, 2, "[2]");
    writer.merge(absence(3, 1)).unwrap();
    writer.merge(denial(4, &[(1, 4)])).unwrap();
    keep(&mut writer, 1, Transcripts, 5, "[late]");
    assert_eq!(due_ids(&writer), [2]);
    let books = writer.details_counts();
    assert_eq!((books.due, books.kept), (1, 1));
    let connection = rusqlite::Connection::open(&path).unwrap();
    let ids = connection.query_row("SELECT group_concat(call_id) FROM details", [], |row| {
        row.get::<_, String>(0)
    });
    assert_eq!(ids.unwrap(), "2");
}

/// It may have a status that nothing comes after.
#[test]
fn an_open_call_is_due_once_it_has_been_open_for_a_day() {
    const DAY: i64 = 86_400;
    const START: i64 = 1_790_000_000;
    for (age, due) in [(60, false), (DAY - 1, false), (DAY, true)] {
        let (_folder, path) = file();
        let mut writer = keeping(&path, &[Transcripts]);
        let open = record(1, "ongoing", Some(START), None, "");
        let mut learned = answer(1, vec![open]);
        learned.request.at = Timestamp::from_micros((START + age) * 1_000_000);
        writer.merge(learned).unwrap();
        assert_eq!(writer.details_counts().due, u64::from(due), "{age} s");
    }
}
