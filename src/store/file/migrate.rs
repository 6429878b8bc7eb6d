//! The migration of a file from an older schema to this one.

use rusqlite::{Connection, Transaction};

use crate::store::file::schema::{SCHEMA, VERSION};

/// Migrates a file of an older `version` in one transaction.
///
/// The tables are created again and filled: SQLite records an altered table's history in its SQL
/// text, and the file's schema has to be exactly `schema.sql`. The file grows by its size; later
/// writes reuse the free pages.
pub fn from(version: i64, connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    // Dropped first: a virtual table can't be renamed with its shadow tables, and FROM_ANY fills
    // them.
    transaction
        .execute_batch("DROP TABLE IF EXISTS phone_trigrams; DROP TABLE IF EXISTS sid_trigrams;")?;
    let tables = names(&transaction, "table")?;
    for index in names(&transaction, "index")? {
        transaction.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    for table in &tables {
        transaction.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    transaction.execute_batch(SCHEMA)?;
    let kept: &[&str] = match version {
        1 => &[FROM_1],
        2 => &[FROM_2],
        3 | 4 => &[REPLICA_3, FROM_3],
        _ => &[REPLICA_5, FROM_3],
    };
    for kept in kept {
        transaction.execute_batch(kept)?;
    }
    // Tables about the upstream. Schema 4 had one of them at first, and later both.
    for table in ["limits", "assistants"] {
        if tables.iter().any(|old| old == table) {
            let keep = format!("INSERT INTO {table} SELECT * FROM old_{table}");
            transaction.execute_batch(&keep)?;
        }
    }
    transaction.execute_batch(FROM_ANY)?;
    for table in &tables {
        transaction.execute_batch(&format!("DROP TABLE old_{table}"))?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// The names of the file's tables or indexes, without SQLite's internal ones.
fn names(transaction: &Transaction<'_>, kind: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = transaction
        .prepare("SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite%'")?;
    select.query_map([kind], |row| row.get(0))?.collect()
}

/// Numbers the changes by request, then id, because version 1 has no numbers. CROSS JOIN keeps the
/// order of ids, in which a B-tree is filled fastest; only the numbers are sorted, not the texts.
const FROM_1: &str = "
    INSERT INTO replica (one, base_url, organization_id, request_seq, feed_id)
    SELECT one, base_url, organization_id, request_seq, lower(hex(randomblob(8)))
    FROM old_replica;
    WITH places AS MATERIALIZED (
        SELECT id, row_number() OVER (ORDER BY request_seq, id) AS place FROM old_calls)
    INSERT INTO calls (id, call_sid, assistant_id, assistant_name, customer_phone_number,
        status, duration, started_at, open, suspect_at, seen_at, request_seq, change_seq,
        body_hash, body)
    SELECT c.id, call_sid, assistant_id, assistant_name, customer_phone_number,
        status, duration, started_at, open, suspect_at, seen_at, request_seq, place,
        body_hash, body
    FROM old_calls AS c CROSS JOIN places ON places.id = c.id ORDER BY c.id;";

const FROM_2: &str = "
    INSERT INTO replica (one, base_url, organization_id, request_seq, feed_id)
    SELECT one, base_url, organization_id, request_seq, feed_id FROM old_replica;
    INSERT INTO calls (id, call_sid, assistant_id, assistant_name, customer_phone_number,
        status, duration, started_at, open, suspect_at, seen_at, request_seq, change_seq,
        body_hash, body)
    SELECT id, call_sid, assistant_id, assistant_name, customer_phone_number,
        status, duration, started_at, open, suspect_at, seen_at, request_seq, change_seq,
        body_hash, body
    FROM old_calls ORDER BY id;
    INSERT INTO tombstones
    SELECT id, text_hash(call_sid), deleted_at, request_seq, change_seq FROM old_tombstones;
    INSERT INTO followed SELECT * FROM old_followed;";

/// Adds the columns that `replica` lacked: the key's hash came with version 5.
const REPLICA_3: &str = "INSERT INTO replica SELECT *, NULL, 0 FROM old_replica;";
const REPLICA_5: &str = "INSERT INTO replica SELECT *, 0 FROM old_replica;";

/// The tables that are the same from version 3 on.
const FROM_3: &str = "
    INSERT INTO calls SELECT * FROM old_calls ORDER BY id;
    INSERT INTO tombstones
    SELECT id, text_hash(call_sid), deleted_at, request_seq, change_seq FROM old_tombstones;
    INSERT INTO followed SELECT * FROM old_followed;
    INSERT INTO details SELECT * FROM old_details;
    INSERT INTO details_due SELECT * FROM old_details_due;
    INSERT INTO writes SELECT * FROM old_writes;
    INSERT INTO written SELECT * FROM old_written;
    INSERT INTO conflicts SELECT * FROM old_conflicts;";

/// The coverage, which all versions have, and the derived tables, which are computed from the rows.
/// Older versions read whole seconds only, and refused a sum that overflowed.
const FROM_ANY: &str = "
    INSERT INTO coverage SELECT * FROM old_coverage;
    UPDATE calls SET duration = body ->> '$.duration'
    WHERE duration IS NULL AND json_type(body, '$.duration') IN ('integer', 'real');
    INSERT INTO rollups (day, status, assistant_id, calls, timed, instant, duration_us)
    SELECT coalesce((started_at - (started_at % 86400000000 + 86400000000) % 86400000000)
            / 86400000000, -1000000) AS day, status, coalesce(assistant_id, 0), count(*),
        count(duration), count(*) FILTER (WHERE duration = 0),
        coalesce(sum(CAST(round(duration * 1000000) AS INTEGER)), 0)
    FROM calls GROUP BY 1, 2, 3;
    INSERT INTO totals (status, assistant_id, calls, timed, duration_us)
    SELECT status, assistant_id, sum(calls), sum(timed), sum(duration_us)
    FROM rollups GROUP BY status, assistant_id;
    INSERT INTO durations (duration, calls)
    SELECT duration, count(*) FROM calls WHERE duration IS NOT NULL GROUP BY duration;
    INSERT INTO names (name, calls)
    SELECT assistant_name, count(*) FROM calls WHERE assistant_name IS NOT NULL
    GROUP BY assistant_name;
    INSERT INTO phones (phone, calls)
    SELECT customer_phone_number, count(*) FROM calls WHERE customer_phone_number IS NOT NULL
    GROUP BY customer_phone_number;
    INSERT INTO phone_trigrams (rowid, phone)
    SELECT phone_id, fold(phone) FROM phones ORDER BY phone_id;
    INSERT INTO sid_trigrams (rowid, call_sid) SELECT id, fold(call_sid) FROM calls ORDER BY id;";
