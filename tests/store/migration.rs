//! From version 1, by a file that version 1 wrote.

use std::fs;
use std::path::{Path, PathBuf};

use burki_edge::model::CallKey;
use burki_edge::store::{Census, Changed, Reader, StoreError, Writer};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::support::*;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema1.db");

fn version_1(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("edge.db");
    fs::copy(FIXTURE, &path).unwrap();
    path
}

fn rows(path: &Path, statement: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open(path).unwrap();
    let mut select = connection.prepare(statement).unwrap();
    let columns = select.column_count();
    let rows = select
        .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

const OLD_COLUMNS: &str = "SELECT id, call_sid, assistant_id, assistant_name,
    customer_phone_number, status, duration, started_at, open, suspect_at, seen_at, request_seq,
    body_hash, body FROM calls ORDER BY id";

#[test]
fn a_file_of_version_1_keeps_all_it_holds_and_gets_the_schema_of_a_fresh_one() {
    let folder = TempDir::new().unwrap();
    let path = version_1(&folder);
    let fresh = folder.path().join("fresh.db");
    drop(Writer::open(&fresh, URL).unwrap());
    let old = [
        OLD_COLUMNS,
        "SELECT * FROM coverage",
        "SELECT * FROM rollups",
        "SELECT base_url, organization_id, request_seq FROM replica",
    ];
    let before = old.map(|statement| rows(&path, statement));
    assert_eq!(before[0].len(), 20);

    let writer = Writer::open(&path, URL).unwrap();
    assert_eq!(writer.identity().organization_id, Some(7));
    assert_eq!((writer.request_seq(), writer.windows().len()), (9, 2));
    assert_eq!(writer.feed_id().len(), 16);
    let census = Census {
        calls: 20,
        suspects: 3,
        tombstones: 0,
    };
    assert_eq!(writer.census(), census);
    assert_eq!(old.map(|statement| rows(&path, statement)), before);
    let schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";
    assert_eq!(rows(&path, schema), rows(&fresh, schema));
    for pragma in ["PRAGMA user_version", "PRAGMA application_id"] {
        assert_eq!(rows(&path, pragma), rows(&fresh, pragma));
    }
    assert_eq!(
        rows(&path, "PRAGMA integrity_check")[0][0],
        Value::Text("ok".into())
    );
    assert_eq!(wrong_rollups(&Connection::open(&path).unwrap()), 0);
}

#[test]
fn calls_of_version_1_are_changes_in_the_order_they_were_heard_of() {
    let folder = TempDir::new().unwrap();
    let path = version_1(&folder);
    let mut writer = Writer::open(&path, URL).unwrap();
    let reader = Reader::open(&path).unwrap();
    let changes = reader.changes(0, 100).unwrap();
    let order = rows(&path, "SELECT body FROM calls ORDER BY request_seq, id");
    assert_eq!(changes.items.len(), 20);
    for ((change, body), place) in changes.items.iter().zip(order).zip(1..) {
        assert_eq!(change.seq, place);
        let Changed::Upsert(text) = &change.what else {
            panic!("nothing was deleted");
        };
        assert_eq!(body, [Value::Text(text.clone())]);
    }
    // It goes on from there, and what was a suspect may be proven gone.
    assert_eq!(writer.merge(denial(10, &[(15, 10)])).unwrap().removed, 1);
    let gone = reader.changes(20, 100).unwrap().items;
    assert_eq!((gone[0].seq, &gone[0].what), (21, &Changed::Delete(15)));
    assert!(reader.tombstone(&CallKey::Id(15)).unwrap().is_some());
    let feed = writer.feed_id().to_owned();
    drop(writer);
    assert_eq!(Writer::open(&path, URL).unwrap().feed_id(), feed);
}

#[test]
fn a_migration_that_breaks_off_leaves_version_1() {
    let folder = TempDir::new().unwrap();
    let path = version_1(&folder);
    // By the time this one is in the way, the others are renamed and made anew.
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE tombstones (x)")
        .unwrap();
    let schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";
    let before = (rows(&path, schema), rows(&path, OLD_COLUMNS));
    assert!(matches!(
        Writer::open(&path, URL),
        Err(StoreError::Sqlite(_))
    ));
    assert_eq!((rows(&path, schema), rows(&path, OLD_COLUMNS)), before);
    assert_eq!(rows(&path, "PRAGMA user_version"), [[Value::Integer(1)]]);
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP TABLE tombstones")
        .unwrap();
    assert_eq!(Writer::open(&path, URL).unwrap().census().calls, 20);
}

#[test]
fn a_reader_of_version_1_is_told_what_to_start() {
    let folder = TempDir::new().unwrap();
    let path = version_1(&folder);
    let refusal = Reader::open(&path).err().unwrap();
    assert!(matches!(
        refusal,
        StoreError::Older {
            found: 1,
            known: 2,
            ..
        }
    ));
    assert!(
        refusal.to_string().contains("burki-edge serve"),
        "{refusal}"
    );
    drop(Writer::open(&path, URL).unwrap());
    Reader::open(&path).unwrap();
}
