//! Whether the file that is open is still the one at its path.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::StoreError;

/// A file by its path and by what the system knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The write-ahead log beside the file, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// In bytes.
    pub size: u64,
    pub changed: Option<SystemTime>,
}

impl OpenedFile {
    /// Of a file that was opened just now.
    pub fn of(path: &Path) -> Result<OpenedFile, StoreError> {
        let about = std::fs::metadata(path).map_err(|source| StoreError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(OpenedFile {
            path: path.to_owned(),
            device: about.dev(),
            inode: about.ino(),
        })
    }

    /// # Errors
    /// It is gone, or another file is there: what is written goes where nobody finds it.
    pub fn check(&self) -> Result<(), StoreError> {
        let is_it = |about: &Metadata| (about.dev(), about.ino()) == (self.device, self.inode);
        match std::fs::metadata(&self.path) {
            Ok(about) if is_it(&about) => Ok(()),
            Ok(_) => Err(StoreError::Moved(self.path.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StoreError::Moved(self.path.clone()))
            }
            Err(source) => Err(StoreError::Io {
                path: self.path.clone(),
                source,
            }),
        }
    }

    pub fn log(&self) -> LogFile {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        let about = std::fs::metadata(path).ok();
        LogFile {
            size: about.as_ref().map_or(0, Metadata::len),
            changed: about.and_then(|about| about.modified().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_removed_replaced_or_put_back_is_noticed() {
        let folder = tempfile::TempDir::new().unwrap();
        let (path, aside) = (folder.path().join("edge.db"), folder.path().join("aside"));
        fs::write(&path, "one").unwrap();
        let place = OpenedFile::of(&path).unwrap();
        place.check().unwrap();
        fs::rename(&path, &aside).unwrap();
        assert!(matches!(place.check(), Err(StoreError::Moved(_))));
        fs::write(&path, "another").unwrap();
        assert!(matches!(place.check(), Err(StoreError::Moved(_))));
        fs::rename(&aside, &path).unwrap();
        place.check().unwrap();
        assert_eq!(place.log().size, 0);
        fs::write(folder.path().join("edge.db-wal"), "log").unwrap();
        assert_eq!(place.log().size, 3);
    }
}
