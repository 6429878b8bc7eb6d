//! The folder of recordings: what stays, what goes, and what a crash leaves.

use tempfile::TempDir;

use super::*;
use crate::store::Writer;

fn replica() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.db");
    drop(Writer::open(&path, "https://upstream.test").unwrap());
    (folder, path)
}

fn open(path: &Path, most: u64) -> Arc<Cache> {
    Arc::new(Cache::open(path, most).unwrap())
}

fn key(call: i64, recording: i64) -> Key {
    Key { call, recording }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn keep(cache: &Arc<Cache>, key: Key, seconds: i64, audio: &[u8]) {
    let mut draft = cache.draft(Some(audio.len() as u64)).unwrap().unwrap();
    assert!(draft.write(audio).unwrap());
    draft
        .keep(key, at(seconds), "audio/mpeg".to_owned())
        .unwrap();
}

/// The names of the stored recordings, without playing them.
fn names(path: &Path) -> Vec<String> {
    let folder = fs::read_dir(format!("{}-audio", path.display())).unwrap();
    let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != FEED).collect();
    names.sort();
    names
}

fn holds(cache: &Cache, key: Key) -> bool {
    cache.lock().entries.contains_key(&key)
}

#[test]
fn the_least_recently_played_goes_also_after_a_restart() {
    let (_folder, path) = replica();
    let cache = open(&path, 30);
    for (recording, seconds) in [(1, 100), (2, 200), (3, 300)] {
        keep(&cache, key(5, recording), seconds, &[7; 10]);
    }
    assert!(cache.play(key(5, 1), at(400)).is_some());
    drop(cache);
    let cache = open(&path, 30);
    keep(&cache, key(5, 4), 500, &[7; 10]);
    let held = [1, 2, 3, 4].map(|recording| holds(&cache, key(5, recording)));
    assert_eq!(held, [true, false, true, true]);
    assert_eq!(names(&path).len(), 3);
    assert_eq!(open(&path, 15).lock().bytes, 10, "a smaller one at start");
}

#[test]
fn what_is_under_way_has_its_room_and_one_too_long_has_none() {
    let (_folder, path) = replica();
    let cache = open(&path, 30);
    keep(&cache, key(5, 1), 100, &[7; 10]);
    assert!(cache.draft(Some(31)).unwrap().is_none());
    assert!(holds(&cache, key(5, 1)), "nothing goes for it");
    let draft = cache.draft(Some(25)).unwrap().unwrap();
    assert!(!holds(&cache, key(5, 1)));
    assert!(cache.draft(Some(10)).unwrap().is_none());
    drop(draft);
    assert_eq!((names(&path).len(), cache.lock().reserved), (0, 0));
    let mut unknown = cache.draft(None).unwrap().unwrap();
    assert!(unknown.write(&[7; 30]).unwrap());
    assert!(!unknown.write(&[7; 1]).unwrap());
}

#[test]
fn what_broke_off_or_is_not_whole_is_removed_and_a_strangers_file_is_not() {
    let (_folder, path) = replica();
    let cache = open(&path, 100);
    keep(&cache, key(5, 1), 100, &[7; 10]);
    keep(&cache, key(5, 2), 100, &[7; 10]);
    let folder = PathBuf::from(format!("{}-audio", path.display()));
    let cut = names(&path)[0].clone();
    fs::write(folder.join(&cut), [7; 9]).unwrap();
    assert!(cache.play(key(5, 1), at(1)).is_none(), "not even once");
    drop(cache);
    fs::write(folder.join(&cut), [7; 9]).unwrap();
    fs::write(folder.join("draft-1"), [7; 5]).unwrap();
    fs::write(folder.join("README"), "mine").unwrap();
    let cache = open(&path, 100);
    assert!(!holds(&cache, key(5, 1)) && holds(&cache, key(5, 2)));
    let left = names(&path);
    assert_eq!((left.len(), left[1].as_str()), (2, "README"));
}

#[test]
fn another_replica_in_the_same_place_hears_nothing_of_the_first_ones() {
    let (_folder, path) = replica();
    keep(&open(&path, 100), key(5, 1), 100, &[7; 10]);
    assert!(holds(&open(&path, 100), key(5, 1)));
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    drop(Writer::open(&path, "https://upstream.test").unwrap());
    let cache = open(&path, 100);
    assert!(!holds(&cache, key(5, 1)) && names(&path).is_empty());
}

#[test]
fn one_fetched_anew_takes_the_place_of_the_one_before() {
    let (_folder, path) = replica();
    let cache = open(&path, 100);
    keep(&cache, key(5, 1), 100, &[7; 10]);
    keep(&cache, key(5, 1), 200, &[8; 12]);
    let (kept, _) = cache.play(key(5, 1), at(300)).unwrap();
    assert_eq!((kept.length, kept.fetched), (12, at(200)));
    assert_eq!((names(&path).len(), cache.lock().bytes), (1, 12));
    cache.remove_call(5);
    assert_eq!((names(&path).len(), cache.lock().bytes), (0, 0));
}

#[test]
fn nobody_else_on_the_machine_can_read_it() {
    let (_folder, path) = replica();
    keep(&open(&path, 100), key(5, 1), 100, &[7; 10]);
    let folder = PathBuf::from(format!("{}-audio", path.display()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(&names(&path)[0])), 0o600);
}
