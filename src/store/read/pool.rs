//! The pool of all connections that read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use r2d2::{CustomizeConnection, NopErrorHandler, Pool};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use crate::store::error::StoreError;
use crate::store::file::connection;
use crate::store::read::reader::Reader;

/// How long a caller waits for a free connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pool of connections to one file that can't write. Cheap to clone. Each is opened when it is
/// first needed, and stays open.
#[derive(Clone)]
pub struct Readers {
    path: PathBuf,
    pool: Pool<SqliteConnectionManager>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    pub open: u32,
    /// Open connections that are not in use.
    pub idle: u32,
}

/// Configures each new connection: see [`connection::configure_reader`].
#[derive(Debug)]
struct Configure;

impl CustomizeConnection<Connection, rusqlite::Error> for Configure {
    fn on_acquire(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection::configure_reader(connection)
    }
}

impl Reader {
    /// Opens a single reader; a server has [`Readers`].
    pub fn open(path: &Path) -> Result<Reader, StoreError> {
        connection::check(path)?;
        Readers::of(path, 1).get()
    }
}

impl Readers {
    /// A pool of at most `most` connections to a file that need not exist yet.
    pub fn of(path: &Path, most: u32) -> Readers {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let manager = SqliteConnectionManager::file(path).with_flags(flags);
        let pool = Pool::builder()
            .max_size(most)
            .min_idle(Some(0))
            // Nothing is closed while the pool lives. Otherwise its threads would wait for the next
            // check of idle connections, up to half a minute, before they end with it.
            .max_lifetime(None)
            .idle_timeout(None)
            .connection_timeout(PATIENCE)
            // A connection to a file does not go stale.
            .test_on_check_out(false)
            // The caller of `get` gets the reason.
            .error_handler(Box::new(NopErrorHandler))
            .connection_customizer(Box::new(Configure))
            .build_unchecked(manager);
        Readers {
            path: path.to_owned(),
            pool,
        }
    }

    /// Takes a connection, which returns to the pool when it is dropped.
    ///
    /// # Errors
    /// This version can't read the file, or no connection was free in time.
    pub fn get(&self) -> Result<Reader, StoreError> {
        match self.pool.get() {
            Ok(connection) => Ok(Reader { connection }),
            Err(_) => {
                connection::check(&self.path)?;
                Err(StoreError::NoReader)
            }
        }
    }

    pub fn state(&self) -> PoolState {
        let state = self.pool.state();
        PoolState {
            open: state.connections,
            idle: state.idle_connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Writer;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        drop(Writer::open(&path, "https://upstream.test").unwrap());
        (folder, path)
    }

    #[test]
    fn connections_are_opened_when_needed_and_used_again() {
        let (_folder, path) = file();
        let readers = Readers::of(&path, 2);
        let state = |open, idle| PoolState { open, idle };
        assert_eq!(readers.state(), state(0, 0));
        let first = readers.get().unwrap();
        let second = readers.get().unwrap();
        assert_eq!(readers.state(), state(2, 0));
        assert!(matches!(readers.get(), Err(StoreError::NoReader)));
        drop((first, second));
        assert_eq!(readers.state(), state(2, 2));
        readers.get().unwrap().totals().unwrap();
    }

    #[test]
    fn a_connection_can_not_write_and_knows_the_schemas_functions() {
        let (_folder, path) = file();
        let reader = Readers::of(&path, 1).get().unwrap();
        assert!(reader.connection.execute("DELETE FROM calls", []).is_err());
        let has = "SELECT has('edge', 'ed')";
        let found: bool = reader
            .connection
            .query_row(has, [], |row| row.get(0))
            .unwrap();
        assert!(found);
    }

    #[test]
    fn what_a_panic_left_open_is_ended() {
        let (_folder, path) = file();
        let readers = Readers::of(&path, 1);
        let stored_call = readers.clone();
        let panicked = std::thread::spawn(move || {
            let reader = stored_call.get().unwrap();
            reader.hold().unwrap();
            panic!("of the test's making");
        });
        assert!(panicked.join().is_err());
        let reader = readers.get().unwrap();
        assert!(reader.connection.is_autocommit());
        assert_eq!(readers.state().open, 1);
    }

    /// Other tests have pools too; a pool has three threads.
    #[test]
    fn the_threads_of_a_pool_end_with_it() {
        let (_folder, path) = file();
        for _ in 0..200 {
            drop(Reader::open(&path).unwrap());
        }
        let names = std::fs::read_dir("/proc/self/task").unwrap();
        let names = names.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        let is_a_pools = |name: &String| name.starts_with("r2d2-worker");
        let threads = names.flatten().filter(is_a_pools).count();
        assert!(threads < 300, "{threads} of 600 are left");
    }

    #[test]
    fn a_file_that_is_none_is_told_apart_from_a_pool_that_is_used_up() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        assert!(matches!(
            Readers::of(&path, 1).get(),
            Err(StoreError::Sqlite(_))
        ));
        std::fs::write(&path, "of another program, and long enough to be looked at").unwrap();
        assert!(matches!(
            Readers::of(&path, 1).get(),
            Err(StoreError::Foreign(_))
        ));
    }
}
