//! Connections: their settings, their SQL functions, and the check of the schema's version.

use std::path::Path;
use std::time::Duration;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, OpenFlags, ToSql};

use crate::model::{Part, fold, text_hash};
use crate::store::error::StoreError;
use crate::store::file::migrate;
use crate::store::file::schema::{SCHEMA, VERSION};

/// How long the writer waits for another program's lock. A client that waits for a call waits as
/// long, and then gets the call although it can't be stored.
pub const BUSY: Duration = Duration::from_secs(1);

/// The same for a reader, which waits only while the write-ahead log is recovered.
const READERS_BUSY: Duration = Duration::from_secs(1);

/// Marks the file as burki-edge's (`PRAGMA application_id`): "BURK".
const APPLICATION_ID: i64 = 0x4255_524B;

/// Opens the writer's connection. An empty file gets the schema; an older one is migrated.
///
/// Commits are synced to disk (`synchronous = FULL`): they are few, and an acknowledged one must
/// survive a power failure.
pub fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let version = version(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Deleted content is overwritten, so that a deleted call leaves nothing in the file.
    connection.pragma_update(None, "secure_delete", true)?;
    // A fill changes the same index pages again and again. The rarer the checkpoints, the fewer
    // times each page is written to the file. 16,384 pages are 64 MiB.
    connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
    // A log that a reader kept from being checkpointed grows beyond that; this shrinks it again.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // In KiB, by the sign: room for the index by SID, whose inserts come in random order.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // The trigrams are of texts in lower case; SQLite's `lower` changes ASCII only.
    define(&connection, "fold", 1, |context| {
        Ok(context.get_raw(0).as_str_or_null()?.map(fold))
    })?;
    define(&connection, "text_hash", 1, |context| {
        Ok(text_hash(context.get_raw(0).as_str()?))
    })?;
    // SQLite's own sum becomes a float on overflow, which a STRICT column of integers refuses.
    define(&connection, "wrap", 2, |context| {
        Ok(context.get::<i64>(0)?.wrapping_add(context.get(1)?))
    })?;
    if (1..VERSION).contains(&version) {
        migrate::from(version, &mut connection)?;
    }
    if version == 0 {
        let create = connection.transaction()?;
        create.execute_batch(SCHEMA)?;
        create.pragma_update(None, "application_id", APPLICATION_ID)?;
        create.pragma_update(None, "user_version", VERSION)?;
        create.commit()?;
        // A checkpoint, so that a copy of the file alone has its tables from the start.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(connection)
}

/// Checks that a reader of this version can read the file.
///
/// # Errors
/// The file is another program's, has another version of the schema, or can't be opened.
pub fn check(path: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(READERS_BUSY)?;
    match version(&connection, path)? {
        VERSION => Ok(()),
        0 => Err(StoreError::Foreign(path.to_owned())),
        found => Err(StoreError::Older {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

/// Configures a read-only connection. It maps the file into memory: with a million calls, that
/// gives 1.4 times the reads by id of copying pages into a cache of its own. Mapped pages count as
/// resident memory, but the system can reclaim them.
///
/// # Errors
/// The file is another program's or has another version of the schema; [`check`] reports which.
pub fn configure_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(READERS_BUSY)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if (pragma("application_id")?, pragma("user_version")?) != (APPLICATION_ID, VERSION) {
        return Err(rusqlite::Error::InvalidQuery);
    }
    connection.pragma_update(None, "query_only", true)?;
    // Maps the whole file, whatever its size.
    connection.pragma_update(None, "mmap_size", 1_i64 << 40)?;
    // In KiB, by the sign: room for pages of the write-ahead log, which is not mapped.
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.set_prepared_statement_cache_capacity(64);
    // True if a text contains a part that is already in lower case; NULL contains none.
    define(connection, "has", 2, |context| {
        let text = context.get_raw(0).as_str_or_null()?;
        let part = context.get_raw(1).as_str()?;
        Ok(text.is_some_and(|text| Part::is_folded_in(part, text)))
    })
}

fn define<T: ToSql>(
    connection: &Connection,
    name: &str,
    arguments: i32,
    function: impl Fn(&Context<'_>) -> rusqlite::Result<T> + Send + 'static,
) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(name, arguments, flags, move |context| function(context))
}

/// The schema's version in the file; 0 if the file is empty.
fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application_id = match pragma("application_id") {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::NotADatabase =>
        {
            return Err(StoreError::Foreign(path.to_owned()));
        }
        other => other?,
    };
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application_id, tables) {
        (APPLICATION_ID, _) => match pragma("user_version")? {
            found if found > VERSION => Err(StoreError::Newer {
                path: path.to_owned(),
                found,
                known: VERSION,
            }),
            found => Ok(found),
        },
        (0, 0) => Ok(0),
        _ => Err(StoreError::Foreign(path.to_owned())),
    }
}
