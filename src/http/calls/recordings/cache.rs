//! The cache of recordings that were played: whole files in a folder of their own, up to a total
//! size, the least recently played evicted first.
//!
//! A file gets its name when it is whole and on the disk, so that every file with such a name can
//! be served. Its modification time is when it was last played; the rest is in its name. Everything
//! here blocks, and belongs on the blocking pool.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::http::calls::recordings::file_name::{Key, StoredRecording, system_time};
use crate::model::{CallKey, Timestamp};
use crate::store::{Reader, StoreError};

/// The file beside the recordings that names their replica. A new replica may be of another
/// organization, whose calls may have the same ids.
const FEED: &str = "feed";

/// The prefix of files that are not whole yet.
const DRAFT: &str = "draft-";

/// The bytes for which room is made at once.
const STEP: u64 = 1 << 20;

pub struct Cache {
    folder: PathBuf,
    store_path: PathBuf,
    /// The most bytes in all.
    most: u64,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    entries: BTreeMap<Key, Entry>,
    /// The bytes of the entries.
    bytes: u64,
    /// The bytes reserved for drafts.
    reserved: u64,
    drafts: u64,
}

struct Entry {
    kept: StoredRecording,
    used: SystemTime,
}

/// A recording that is being received. Dropped before it is whole, it leaves nothing behind.
pub struct Draft {
    cache: Arc<Cache>,
    path: PathBuf,
    file: File,
    hash: Sha256,
    written: u64,
    reserved: u64,
}

impl Cache {
    /// The folder of the recordings beside a replica.
    pub fn folder(store_path: &Path) -> PathBuf {
        let mut folder = store_path.as_os_str().to_owned();
        folder.push("-audio");
        PathBuf::from(folder)
    }

    /// Opens the folder beside the replica, or creates it. Removes unfinished files, those of
    /// another replica or of deleted calls, and the least recently played beyond `most` bytes.
    pub fn open(store_path: &Path, most: u64) -> io::Result<Cache> {
        let folder = Cache::folder(store_path);
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => fs::set_permissions(&folder, Permissions::from_mode(0o700)),
            _ => Err(error),
        })?;
        let cache = Cache {
            folder,
            store_path: store_path.to_owned(),
            most,
            index: Mutex::default(),
        };
        let feed = cache.reader()?.feed_id().map_err(io::Error::other)?;
        let of_this = fs::read_to_string(cache.folder.join(FEED)).is_ok_and(|text| text == feed);
        cache.take_up(of_this)?;
        if !of_this {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(cache.folder.join(FEED))?;
            file.write_all(feed.as_bytes())?;
        }
        cache.sweep()?;
        Ok(cache)
    }

    fn take_up(&self, of_this: bool) -> io::Result<()> {
        let mut index = self.lock();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            let kept = StoredRecording::parse(&name);
            if kept.is_none() && !name.starts_with(DRAFT) {
                // Not a file of the edge.
                continue;
            }
            let about = file.metadata()?;
            let whole =
                kept.filter(|kept| of_this && about.is_file() && about.len() == kept.length);
            match whole {
                Some(kept) => {
                    let used = about.modified()?;
                    index.put(&self.folder, Entry { kept, used });
                }
                None => fs::remove_file(file.path())?,
            }
        }
        index.make_room(&self.folder, self.most, 0);
        Ok(())
    }

    fn reader(&self) -> io::Result<Reader> {
        Reader::open(&self.store_path).map_err(io::Error::other)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stored recording, and records that it was played `now`.
    pub fn play(&self, key: Key, now: Timestamp) -> Option<(StoredRecording, File)> {
        let mut index = self.lock();
        let entry = index.entries.get_mut(&key)?;
        let path = self.folder.join(entry.kept.file_name());
        let file = File::open(path).and_then(|file| {
            let whole = file.metadata()?.len() == entry.kept.length;
            if whole {
                Ok(file)
            } else {
                Err(ErrorKind::InvalidData.into())
            }
        });
        let Ok(file) = file else {
            // Another program has changed or removed the file.
            index.remove(&self.folder, key);
            return None;
        };
        entry.used = system_time(now);
        // If this is lost, it only counts as played less recently.
        let _ = file.set_modified(entry.used);
        Some((entry.kept.clone(), file))
    }

    /// Begins to store a recording; `None` if there can be no room for its length.
    ///
    /// Room is made as the bytes come, not for the announced length: one that breaks off has
    /// evicted no more than it has received.
    pub fn draft(self: &Arc<Cache>, length: Option<u64>) -> io::Result<Option<Draft>> {
        if length.is_some_and(|length| length > self.most) {
            return Ok(None);
        }
        let reserved = length.unwrap_or(STEP).min(STEP).min(self.most);
        let number = {
            let mut index = self.lock();
            if !index.make_room(&self.folder, self.most, reserved) {
                return Ok(None);
            }
            index.reserved += reserved;
            index.drafts += 1;
            index.drafts
        };
        let path = self.folder.join(format!("{DRAFT}{number}"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = file.inspect_err(|_| self.lock().reserved -= reserved)?;
        Ok(Some(Draft {
            cache: Arc::clone(self),
            path,
            file,
            hash: Sha256::new(),
            written: 0,
            reserved,
        }))
    }

    pub fn remove(&self, key: Key) {
        self.lock().remove(&self.folder, key);
    }

    /// Removes all stored recordings of a call.
    pub fn remove_call(&self, call: i64) {
        let mut index = self.lock();
        let key = |recording| Key { call, recording };
        let of_call = index.entries.range(key(i64::MIN)..=key(i64::MAX));
        for key in of_call.map(|(key, _)| *key).collect::<Vec<_>>() {
            index.remove(&self.folder, key);
        }
    }

    /// Removes the stored recordings of deleted calls.
    pub fn sweep(&self) -> io::Result<()> {
        let mut calls: Vec<i64> = self.lock().entries.keys().map(|key| key.call).collect();
        calls.dedup();
        let reader = self.reader()?;
        let is_deleted = |call| -> Result<bool, StoreError> {
            Ok(reader.tombstone(&CallKey::Id(call))?.is_some())
        };
        for call in calls {
            if is_deleted(call).map_err(io::Error::other)? {
                self.remove_call(call);
            }
        }
        Ok(())
    }
}

impl Index {
    /// Adds an entry. Of two of the same recording, the one that was fetched later stays.
    fn put(&mut self, folder: &Path, entry: Entry) {
        let kept = &entry.kept;
        if let Some(other) = self.entries.get(&kept.key) {
            let (old, new) = (&other.kept, kept);
            let (older, newer) = match new.fetched >= old.fetched {
                true => (old, new),
                false => (new, old),
            };
            let (lost, stays) = (older.file_name(), std::ptr::eq(newer, new));
            if lost != newer.file_name() {
                let _ = fs::remove_file(folder.join(lost));
            }
            if !stays {
                return;
            }
            self.bytes -= other.kept.length;
        }
        self.bytes += kept.length;
        self.entries.insert(kept.key, entry);
    }

    fn remove(&mut self, folder: &Path, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.kept.length;
            // It is gone already, or is found and counted again at the next start.
            let _ = fs::remove_file(folder.join(entry.kept.file_name()));
        }
    }

    /// Makes room for `more` bytes by evicting what was least recently played. Returns whether
    /// there is room; if there can't be, nothing is evicted.
    fn make_room(&mut self, folder: &Path, most: u64, more: u64) -> bool {
        let Some(room) = most.checked_sub(self.reserved.saturating_add(more)) else {
            return false;
        };
        if self.bytes > room {
            let mut by_use: Vec<_> = self
                .entries
                .values()
                .map(|e| (e.used, e.kept.key))
                .collect();
            by_use.sort_unstable();
            for (_, key) in by_use {
                if self.bytes <= room {
                    break;
                }
                self.remove(folder, key);
            }
        }
        true
    }
}

impl Draft {
    /// Returns whether there was room.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<bool> {
        let written = self.written + piece.len() as u64;
        if written > self.reserved {
            let cache = &self.cache;
            let needed = written - self.reserved;
            let more = needed
                .max(STEP)
                .min(cache.most.saturating_sub(self.reserved));
            let mut index = cache.lock();
            if more < needed || !index.make_room(&cache.folder, cache.most, more) {
                return Ok(false);
            }
            index.reserved += more;
            drop(index);
            self.reserved += more;
        }
        self.file.write_all(piece)?;
        self.hash.update(piece);
        self.written = written;
        Ok(true)
    }

    pub fn written(&self) -> u64 {
        self.written
    }

    /// Stores the recording, which is whole.
    pub fn keep(self, key: Key, fetched: Timestamp, content_type: String) -> io::Result<()> {
        // Otherwise a power failure could leave the name without the content.
        self.file.sync_all()?;
        let used = system_time(fetched);
        self.file.set_modified(used)?;
        let digest = self.hash.clone().finalize();
        let hash = digest
            .iter()
            .take(8)
            .fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let kept = StoredRecording {
            key,
            hash,
            length: self.written,
            fetched,
            content_type,
        };
        let mut index = self.cache.lock();
        fs::rename(&self.path, self.cache.folder.join(kept.file_name()))?;
        index.put(&self.cache.folder, Entry { kept, used });
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.cache.lock().reserved -= self.reserved;
        // It was renamed if it was stored.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
