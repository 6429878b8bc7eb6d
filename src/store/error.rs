//! The errors of the file, each with what the operator can do about it.

use std::path::PathBuf;

/// An error of the file. Its `Display` leaves out the source: print the chain.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: another burki-edge has this file open; stop it, or set another store.path", .0.display())]
    Locked(PathBuf),
    #[error("{}: not a burki-edge file; move it away or set another store.path", .0.display())]
    Foreign(PathBuf),
    #[error("{}: written by a newer burki-edge (schema {found}, this one knows {known}); update this one", .path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("{}: written by an older burki-edge (schema {found}, this one knows {known}); start `burki-edge serve` or `sync` once, which brings it up to date", .path.display())]
    Older {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error(
        "{}: holds the calls of {recorded}, not of {configured}; set upstream.base_url back, or give the other upstream its own store.path",
        .path.display()
    )]
    OtherBaseUrl {
        path: PathBuf,
        recorded: String,
        configured: String,
    },
    #[error(
        "{}: holds the calls of organization {recorded}, but the API key is of organization {found}; use that organization's key, or give this one its own store.path",
        .path.display()
    )]
    OtherOrganization {
        path: PathBuf,
        recorded: i64,
        found: i64,
    },
    #[error("{}: can't be opened; store.path needs a folder that exists and may be written to", .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: was removed or replaced while it was open; put it back, or start burki-edge again", .0.display())]
    Moved(PathBuf),
    #[error("{}: was overwritten or cut off while it was open; put a copy in its place, and start burki-edge again", .0.display())]
    Damaged(PathBuf),
    #[error("no connection to the file was free within a second")]
    NoReader,
    #[error("a read was broken off, since it took too long")]
    TooLong,
    #[error("SQLite failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// True if SQLite could not have written the file as it is.
    pub fn is_damage(&self) -> bool {
        let code = match self {
            StoreError::Damaged(_) => return true,
            StoreError::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        };
        matches!(
            code,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        )
    }
}
