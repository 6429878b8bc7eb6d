//! Detects that an open file was removed, replaced or cut off.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::store::error::StoreError;
use crate::store::file::temp_replica::with_end;

/// The files beside an open database. Without its log or the log's index, the next process that
/// opens the database does not see what was written; without its lock, two may write.
const BESIDE: [&str; 3] = ["-wal", "-shm", ".lock"];

/// An open database: its path, and its files by device and inode.
#[derive(Clone, Debug)]
pub struct OpenedFile {
    path: PathBuf,
    parts: Vec<Part>,
    /// The greatest length of the database seen so far, in bytes.
    longest: Arc<AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The write-ahead log beside the file, as of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// In bytes.
    pub size: u64,
    pub changed: Option<SystemTime>,
}

impl OpenedFile {
    /// Records a database that was just opened and read, so that its log exists.
    pub fn of(path: &Path) -> Result<OpenedFile, StoreError> {
        let mut parts = vec![Part::of(path.to_owned()).map_err(|source| StoreError::Io {
            path: path.to_owned(),
            source,
        })?];
        let beside = BESIDE.iter().map(|end| with_end(path, end));
        parts.extend(beside.filter_map(|path| Part::of(path).ok()));
        Ok(OpenedFile {
            path: path.to_owned(),
            parts,
            longest: Arc::default(),
        })
    }

    /// # Errors
    /// A file is missing or another one, so that writes would be lost; or the database has shrunk.
    pub fn check(&self) -> Result<(), StoreError> {
        for part in &self.parts {
            match Part::of(part.path.clone()) {
                Ok(now) if now == *part => {}
                Ok(_) => return Err(StoreError::Moved(part.path.clone())),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(StoreError::Moved(part.path.clone()));
                }
                Err(source) => {
                    return Err(StoreError::Io {
                        path: part.path.clone(),
                        source,
                    });
                }
            }
        }
        // Its metadata is read, but it is never opened: closing it would release every lock that
        // SQLite has on it in this process. No operation makes it shorter while it is open.
        let length = std::fs::metadata(&self.path).map_or(0, |about| about.len());
        match self.longest.fetch_max(length, Ordering::Relaxed) > length {
            true => Err(StoreError::Damaged(self.path.clone())),
            false => Ok(()),
        }
    }

    pub fn log(&self) -> LogFile {
        let about = std::fs::metadata(with_end(&self.path, "-wal")).ok();
        LogFile {
            size: about.as_ref().map_or(0, Metadata::len),
            changed: about.and_then(|about| about.modified().ok()),
        }
    }
}

impl Part {
    fn of(path: PathBuf) -> io::Result<Part> {
        let about = std::fs::metadata(&path)?;
        Ok(Part {
            path,
            device: about.dev(),
            inode: about.ino(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Writer;

    #[test]
    fn a_part_that_is_removed_replaced_or_put_back_is_noticed() {
        for end in ["", "-wal", "-shm", ".lock"] {
            let folder = tempfile::TempDir::new().unwrap();
            let file = folder.path().join("edge.db");
            let writer = Writer::open(&file, "https://upstream.test").unwrap();
            let opened = writer.file();
            opened.check().unwrap();
            let (path, aside) = (with_end(&file, end), folder.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            assert!(matches!(opened.check(), Err(StoreError::Moved(it)) if it == path));
            fs::copy(&aside, &path).unwrap();
            assert!(matches!(opened.check(), Err(StoreError::Moved(it)) if it == path));
            fs::rename(&aside, &path).unwrap();
            opened.check().unwrap();
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_noticed() {
        for left in [0, 5000] {
            let folder = tempfile::TempDir::new().unwrap();
            let file = folder.path().join("edge.db");
            let writer = Writer::open(&file, "https://upstream.test").unwrap();
            writer.file().check().unwrap();
            let cut = fs::OpenOptions::new().write(true).open(&file).unwrap();
            cut.set_len(left).unwrap();
            let checked = writer.file().check();
            assert!(matches!(checked, Err(StoreError::Damaged(_))));
        }
    }
}
