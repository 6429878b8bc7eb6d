//! A temporary replica beside the real one, for the duration of a comparison.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::store::error::StoreError;
use crate::store::file::lock::FileLock;

/// The database, its companions and its lock. The lock is removed last: the process that has it is
/// the only one to touch the others.
const ENDS: [&str; 4] = ["", "-wal", "-shm", ".lock"];

/// The path of a file that is removed when this value is dropped. Drop its writer first.
pub struct TempReplica {
    path: PathBuf,
}

impl TempReplica {
    /// Reserves `<file>.verify` and removes what a killed run left there.
    ///
    /// # Errors
    /// Another process uses it, or the folder can't be written to.
    pub fn beside(file: &Path) -> Result<TempReplica, StoreError> {
        let path = with_end(file, ".verify");
        let lock = FileLock::acquire(&path)?;
        for end in &ENDS[..3] {
            remove(&with_end(&path, end)).map_err(|source| StoreError::Io {
                path: path.clone(),
                source,
            })?;
        }
        drop(lock);
        Ok(TempReplica { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what a killed run left beside the file. The files of a live run stay.
    pub fn clear(file: &Path) {
        let path = with_end(file, ".verify");
        if ENDS.iter().any(|end| with_end(&path, end).exists()) {
            drop(TempReplica { path });
        }
    }
}

impl Drop for TempReplica {
    fn drop(&mut self) {
        // Another process that has the lock uses the file; the next run removes what is left.
        let Ok(_lock) = FileLock::acquire(&self.path) else {
            return;
        };
        for end in ENDS {
            let path = with_end(&self.path, end);
            if let Err(error) = remove(&path) {
                warn!(path = %path.display(), %error, "a temporary file could not be removed");
            }
        }
    }
}

pub(in crate::store) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::{Reader, Writer};

    const URL: &str = "https://api.burki.dev";

    fn names(folder: &TempDir) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn it_begins_empty_and_leaves_nothing() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edge.db");
        for left in [
            "edge.db.verify",
            "edge.db.verify-wal",
            "edge.db.verify.lock",
        ] {
            std::fs::write(folder.path().join(left), "of a run that was killed").unwrap();
        }
        let scratch = TempReplica::beside(&file).unwrap();
        let writer = Writer::open(scratch.path(), URL).unwrap();
        let reader = Reader::open(scratch.path()).unwrap();
        assert_eq!(reader.scan().count(), 0);
        assert_eq!(reader.identity().unwrap(), *writer.identity());
        drop(writer);
        drop(scratch);
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn what_a_run_that_was_killed_left_is_removed_and_a_run_is_not_disturbed() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edge.db");
        TempReplica::clear(&file);
        assert_eq!(names(&folder), [""; 0]);
        for left in ["edge.db.verify", "edge.db.verify-wal"] {
            std::fs::write(folder.path().join(left), "of a run that was killed").unwrap();
        }
        TempReplica::clear(&file);
        assert_eq!(names(&folder), [""; 0]);
        let scratch = TempReplica::beside(&file).unwrap();
        let writer = Writer::open(scratch.path(), URL).unwrap();
        let before = names(&folder);
        TempReplica::clear(&file);
        assert_eq!(names(&folder), before);
        drop(writer);
    }

    #[test]
    fn it_is_not_taken_from_who_uses_it() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edge.db");
        let scratch = TempReplica::beside(&file).unwrap();
        let writer = Writer::open(scratch.path(), URL).unwrap();
        let refused = TempReplica::beside(&file);
        assert!(matches!(refused, Err(StoreError::Locked(_))));
        // A path that another run uses by now is left to that run.
        let before = names(&folder);
        drop(scratch);
        assert_eq!(names(&folder), before);
        drop(writer);
    }
}
