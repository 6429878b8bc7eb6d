//! Reads with a time limit.

use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use crate::store::error::StoreError;
use crate::store::read::reader::Reader;

/// The clock is read after this many instructions of SQLite's virtual machine: some tens of
/// microseconds.
const STEPS: i32 = 10_000;

impl Reader {
    /// Runs `work`, and interrupts a statement that is still running after `limit`.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] if a statement was interrupted, else the error of `work`.
    pub fn within<T>(
        &self,
        limit: Duration,
        work: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let is_over = move || start.elapsed() >= limit;
        self.connection.progress_handler(STEPS, Some(is_over))?;
        let result = work(self);
        self.connection.progress_handler(0, None::<fn() -> bool>)?;
        result.map_err(|error| match error {
            StoreError::Sqlite(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == ErrorCode::OperationInterrupted =>
            {
                StoreError::TooLong
            }
            error => error,
        })
    }

    /// A number that changes when another connection commits to the file. Numbers of different
    /// readers can't be compared.
    pub fn data_version(&self) -> Result<i64, StoreError> {
        let mut pragma = self.connection.prepare_cached("PRAGMA data_version")?;
        Ok(pragma.query_row([], |row| row.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallFilter;
    use crate::store::Writer;

    fn file() -> (tempfile::TempDir, Reader) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("replica.db");
        drop(Writer::open(&path, "https://upstream.test").unwrap());
        let reader = Reader::open(&path).unwrap();
        (folder, reader)
    }

    #[test]
    fn a_statement_that_takes_too_long_is_broken_off_and_the_next_is_not() {
        let (_folder, reader) = file();
        let endless = |reader: &Reader| {
            let count = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n)
                         SELECT count(*) FROM n";
            let counted = reader.connection.query_row(count, [], |row| row.get(0));
            Ok(counted.map(|count: i64| count)?)
        };
        let broken_off = reader.within(Duration::from_millis(20), endless);
        assert!(matches!(broken_off, Err(StoreError::TooLong)));
        let count = |reader: &Reader| reader.count(&CallFilter::default());
        assert_eq!(reader.within(Duration::from_secs(60), count).unwrap(), 0);
    }

    #[test]
    fn the_data_version_changes_with_another_connections_commit() {
        let (folder, reader) = file();
        let before = reader.data_version().unwrap();
        assert_eq!(reader.data_version().unwrap(), before);
        let other = rusqlite::Connection::open(folder.path().join("replica.db")).unwrap();
        other.execute_batch("CREATE TABLE another (x)").unwrap();
        assert_ne!(reader.data_version().unwrap(), before);
    }
}
