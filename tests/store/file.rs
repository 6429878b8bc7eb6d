//! The file: whose it is, who may open it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use burki_edge::model::{Call, Unit};
use burki_edge::store::{Reader, StoreError, Writer};
use tempfile::TempDir;

use super::store_file::*;

#[test]
fn the_file_and_its_companions_are_the_owners_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    writer
        .merge(answer(1, vec![record(1, "failed", None, None, "")]))
        .unwrap();
    let names: Vec<_> = files(folder.path()).into_keys().collect();
    assert_eq!(
        names,
        ["edge.db", "edge.db-shm", "edge.db-wal", "edge.db.lock"]
    );
    for name in names {
        let mode = fs::metadata(folder.path().join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_has_one_writer() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let first = Writer::open(&path, URL).unwrap();
    let refusal = Writer::open(&path, URL).err().unwrap();
    assert!(matches!(refusal, StoreError::Locked(_)));
    assert!(refusal.to_string().contains("store.path"), "{refusal}");
    drop(first);
    Writer::open(&path, URL).unwrap();
}

#[test]
fn a_file_tells_the_finest_unit_of_its_starts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let finest = || Writer::open(&path, URL).unwrap().finest_start();
    assert_eq!(finest(), Unit::SECOND, "nothing is held");
    let whole = record(1, "failed", Some(1_700_000_000), None, "").body;
    let undated = record(9, "failed", None, None, "");
    for (id, fraction, micros) in [(2, ".5", 100_000), (3, ".120", 10_000), (4, ".000009", 1)] {
        let mut text: serde_json::Value = serde_json::from_str(&whole).unwrap();
        let start = text["started_at"].as_str().unwrap();
        let start = start.split('.').next().unwrap().to_owned() + fraction;
        (text["id"], text["started_at"]) = (id.into(), start.into());
        let call = Call::from_json(&text.to_string()).unwrap();
        let mut writer = Writer::open(&path, URL).unwrap();
        writer
            .merge(answer(id, vec![call, undated.clone()]))
            .unwrap();
        drop(writer);
        assert_eq!(finest().as_micros(), micros, "{fraction}");
    }
}

#[test]
fn a_file_of_another_upstream_or_organization_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    let mut writer = Writer::open(&path, URL).unwrap();
    writer.identify(7).unwrap();
    writer.identify(7).unwrap();
    let refusal = writer.identify(8).unwrap_err().to_string();
    assert!(
        refusal.contains("organization 7") && refusal.contains("organization 8"),
        "{refusal}"
    );
    drop(writer);
    let refusal = Writer::open(&path, "http://other:8000")
        .err()
        .unwrap()
        .to_string();
    assert!(
        refusal.contains(URL) && refusal.contains("http://other:8000"),
        "{refusal}"
    );
    let writer = Writer::open(&path, URL).unwrap();
    assert_eq!(writer.identity().organization_id, Some(7));
}

#[test]
fn a_foreign_or_newer_file_is_refused_and_left_unchanged() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "not a database, but long enough to have a header of one hundred bytes".repeat(4),
    )
    .unwrap();
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let newer = folder.path().join("newer.db");
    drop(Writer::open(&newer, URL).unwrap());
    rusqlite::Connection::open(&newer)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    for (path, part) in [
        (text, "not a burki-edge file"),
        (other, "not a burki-edge file"),
        (newer, "newer burki-edge"),
    ] {
        let before = fs::read(&path).unwrap();
        let refusal = Writer::open(&path, URL).err().unwrap().to_string();
        assert!(refusal.contains(part), "{refusal}");
        assert!(Reader::open(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_reader_cannot_write_and_does_not_create() {
    let folder = TempDir::new().unwrap();
    assert!(Reader::open(&folder.path().join("none.db")).is_err());
    assert!(files(folder.path()).is_empty());
}
