//! The writer's lock, and the creation of files that only their owner can read.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// A lock that lasts as long as the file has a writer. The system releases it however the process
/// ends.
///
/// It locks `<file>.lock`, not the database: SQLite's own locks on a file are released when the
/// process closes any descriptor of that file.
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

/// True if a process has the file open for writing, as a running edge does.
pub fn is_written(database: &Path) -> Result<bool, StoreError> {
    match FileLock::acquire(database) {
        Ok(_) => Ok(false),
        Err(StoreError::Locked(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Opens the file, and creates it with mode 0600 if it is missing. SQLite gives its companions
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
