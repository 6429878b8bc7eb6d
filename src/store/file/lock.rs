//! One process a file, and nobody else's eyes.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// Held for as long as the file has a writer; the system lets go of it however the process ends.
///
/// The lock is on `<file>.lock`, not on the database itself: SQLite's own locks on a file are
/// dropped when any descriptor of it is closed in the same process.
pub struct FileLock {
    _file: File,
}

impl FileLock {
    pub fn acquire(database: &Path) -> Result<FileLock, StoreError> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let file = open_private(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(FileLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(database.to_owned())),
            Err(TryLockError::Error(source)) => Err(StoreError::Io { path, source }),
        }
    }
}

/// Whether a process has the file open to write it: a running edge keeps it up to date.
pub fn is_written(database: &Path) -> Result<bool, StoreError> {
    match FileLock::acquire(database) {
        Ok(_) => Ok(false),
        Err(StoreError::Locked(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates the file readable by its owner alone, if it isn't there; SQLite gives its companions
/// (`-wal`, `-shm`) the same mode.
pub fn open_private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::Io {
            path: path.to_owned(),
            source,
        })
}
