//! From older versions, by files that they wrote.

use std::fs;
use std::path::{Path, PathBuf};

use burki_edge::model::{CallFilter, CallKey, Part};
use burki_edge::store::{Changed, Reader, RowCounts, StoreError, Writer};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::store_file::*;

/// A file that an older version wrote, and what it holds.
struct Old {
    version: i64,
    file: &'static str,
    row_counts: RowCounts,
    request_seq: u64,
    windows: usize,
    /// The last place in its order of changes; version 1 has none, and gives each call its own.
    changes: u64,
}

/// The files of the versions after it hold the same.
const SCHEMA_3: Old = Old {
    version: 3,
    file: "",
    row_counts: RowCounts {
        calls: 22,
        suspects: 2,
        tombstones: 1,
    },
    request_seq: 8,
    windows: 2,
    changes: 24,
};

const OLD: [Old; 6] = [
    Old {
        version: 1,
        file: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema1.db"),
        row_counts: RowCounts {
            calls: 20,
            suspects: 3,
            tombstones: 0,
        },
        request_seq: 9,
        windows: 2,
        changes: 20,
    },
    Old {
        version: 2,
        file: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema2.db"),
        row_counts: RowCounts {
            calls: 22,
            suspects: 2,
            tombstones: 1,
        },
        request_seq: 21,
        windows: 2,
        changes: 24,
    },
    Old {
        version: 3,
        file: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema3.db"),
        ..SCHEMA_3
    },
    // As it was first, and as it was before the key was stamped.
    Old {
        version: 4,
        file: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema4.db"),
        ..SCHEMA_3
    },
    Old {
        version: 4,
        file: concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/schema4-assistants.db"
        ),
        ..SCHEMA_3
    },
    Old {
        version: 5,
        file: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema5.db"),
        ..SCHEMA_3
    },
];

fn copy(old: &Old, folder: &TempDir) -> PathBuf {
    let path = folder.path().join(format!("edge-{}.db", old.version));
    fs::copy(old.file, &path).unwrap();
    path
}

fn version_1(folder: &TempDir) -> PathBuf {
    copy(&OLD[0], folder)
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
    customer_phone_number, status, CAST(duration AS REAL), started_at, open, suspect_at, seen_at, request_seq,
    body_hash, body FROM calls ORDER BY id";

const SCHEMA: &str = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";

#[test]
fn an_older_file_keeps_its_rows_and_gets_the_current_schema() {
    for old in OLD {
        let folder = TempDir::new().unwrap();
        let path = copy(&old, &folder);
        let fresh = folder.path().join("fresh.db");
        drop(Writer::open(&fresh, URL).unwrap());
        let mut kept = vec![
            OLD_COLUMNS,
            "SELECT * FROM coverage",
            "SELECT day, status, assistant_id, calls, timed FROM rollups",
            "SELECT base_url, organization_id, request_seq FROM replica",
        ];
        if old.version > 1 {
            kept.extend([
                "SELECT feed_id FROM replica",
                "SELECT id, change_seq FROM calls ORDER BY id",
                "SELECT id, deleted_at, request_seq, change_seq FROM tombstones",
                "SELECT * FROM followed",
            ]);
        }
        if old.version > 4 {
            kept.push("SELECT key_hash FROM replica");
        }
        if old.version > 2 {
            kept.extend([
                "SELECT base_url, organization_id, request_seq, feed_id, details FROM replica",
                "SELECT * FROM details",
                "SELECT * FROM details_due",
                "SELECT * FROM writes",
                "SELECT * FROM written",
            ]);
        }
        let has = |table: &str| {
            let named = format!("SELECT name FROM sqlite_schema WHERE name = '{table}'");
            !rows(&path, &named).is_empty()
        };
        let learned = [
            ("limits", "SELECT * FROM limits"),
            ("assistants", "SELECT * FROM assistants"),
        ];
        for (_, select) in learned.into_iter().filter(|(table, _)| has(table)) {
            assert_eq!(rows(&path, select).len(), 1, "{select}");
            kept.push(select);
        }
        let look = || -> Vec<_> { kept.iter().map(|select| rows(&path, select)).collect() };
        let before = look();
        assert_eq!(before[0].len() as u64, old.row_counts.calls);
        let buried = match old.version {
            1 => Vec::new(),
            _ => rows(&path, "SELECT call_sid FROM tombstones"),
        };

        let writer = Writer::open(&path, URL).unwrap();
        assert_eq!(writer.identity().organization_id, Some(7));
        assert_eq!(writer.request_seq(), old.request_seq);
        assert_eq!(writer.windows().len(), old.windows);
        assert_eq!(writer.feed_id().len(), 16);
        assert_eq!(writer.row_counts(), old.row_counts);
        assert_eq!(look(), before);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(buried.len() as u64, old.row_counts.tombstones);
        for sid in buried {
            let [Value::Text(sid)] = &*sid else {
                panic!("a SID");
            };
            let buried = reader.tombstone(&CallKey::Sid(sid.clone())).unwrap();
            assert!(buried.is_some(), "{sid}");
        }
        assert_eq!(rows(&path, SCHEMA), rows(&fresh, SCHEMA));
        for pragma in ["PRAGMA user_version", "PRAGMA application_id"] {
            assert_eq!(rows(&path, pragma), rows(&fresh, pragma));
        }
        assert_eq!(
            rows(&path, "PRAGMA integrity_check")[0][0],
            Value::Text("ok".into())
        );
        let connection = Connection::open(&path).unwrap();
        assert_eq!(wrong_rollups(&connection), 0);
        assert_eq!(wrong_books(&connection), 0);
    }
}

/// Older versions kept whole seconds alone, and the text says the rest.
#[test]
fn a_duration_that_an_older_version_could_not_keep_is_read_from_its_text() {
    for old in OLD {
        let folder = TempDir::new().unwrap();
        let path = copy(&old, &folder);
        let connection = Connection::open(&path).unwrap();
        let told = r#"json_set(body, '$.duration', 34.5)"#;
        let statement = format!(
            "UPDATE calls SET duration = NULL, body = {told} WHERE id = (SELECT min(id) FROM calls)"
        );
        assert_eq!(connection.execute(&statement, []).unwrap(), 1);
        drop(connection);
        drop(Writer::open(&path, URL).unwrap());
        let durations = rows(
            &path,
            "SELECT duration FROM calls WHERE body ->> '$.duration' = 34.5",
        );
        assert_eq!(durations, [[Value::Real(34.5)]]);
        let connection = Connection::open(&path).unwrap();
        assert_eq!(wrong_rollups(&connection), 0);
        assert_eq!(wrong_books(&connection), 0);
    }
}

#[test]
fn calls_of_an_older_version_are_listed_and_found() {
    for old in OLD {
        let folder = TempDir::new().unwrap();
        let path = copy(&old, &folder);
        drop(Writer::open(&path, URL).unwrap());
        let reader = Reader::open(&path).unwrap();
        let all = reader.list(&CallFilter::default(), 0, 1000).unwrap();
        assert_eq!(all.total, old.row_counts.calls);
        assert_eq!(all.rows.len() as u64, all.total);
        for (id, sid) in rows(&path, "SELECT id, call_sid FROM calls")
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone()))
        {
            let (Value::Integer(id), Value::Text(sid)) = (id, sid) else {
                panic!("an id and a SID");
            };
            let filter = CallFilter {
                call_sid: Some(Part::new(&sid)),
                ..CallFilter::default()
            };
            let found = reader.list(&filter, 0, 1000).unwrap().rows;
            assert!(found.iter().any(|row| row.id == id), "{sid}");
        }
    }
}

#[test]
fn the_order_of_changes_goes_on_where_it_was() {
    for old in OLD {
        let folder = TempDir::new().unwrap();
        let path = copy(&old, &folder);
        let mut writer = Writer::open(&path, URL).unwrap();
        let call = record(5_000, "completed", Some(1), Some(1), "");
        writer.merge(answer(100, vec![call])).unwrap();
        let reader = Reader::open(&path).unwrap();
        let next = reader.changes(old.changes, 100).unwrap().items;
        assert_eq!((next.len(), next[0].seq), (1, old.changes + 1));
    }
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
    // By the time this one is in the way, the tables are renamed and others made anew.
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE VIEW tombstones AS SELECT 1")
        .unwrap();
    let before = (rows(&path, SCHEMA), rows(&path, OLD_COLUMNS));
    assert!(matches!(
        Writer::open(&path, URL),
        Err(StoreError::Sqlite(_))
    ));
    assert_eq!((rows(&path, SCHEMA), rows(&path, OLD_COLUMNS)), before);
    assert_eq!(rows(&path, "PRAGMA user_version"), [[Value::Integer(1)]]);
    Connection::open(&path)
        .unwrap()
        .execute_batch("DROP VIEW tombstones")
        .unwrap();
    assert_eq!(Writer::open(&path, URL).unwrap().row_counts().calls, 20);
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
            known: 6,
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
