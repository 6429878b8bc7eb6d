//! From an older schema to this one.

use rusqlite::{Connection, Transaction};

use crate::store::file::schema::{SCHEMA, VERSION};

/// Makes a file of an older `version` one of this, or leaves it as it was.
///
/// The tables are made anew and filled: a table that was altered keeps the marks of it in its
/// text, and the file's schema is to be `schema.sql` and nothing else. The file grows by its size
/// and keeps the room for what comes.
pub fn from(version: i64, connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    // They hold what the calls say, and a virtual table can't be renamed with its parts.
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
    // What was learned of the upstream: schema 4 came with one of them, and then with both.
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

/// What the file's own schema names, leaving out what SQLite makes of itself.
fn names(transaction: &Transaction<'_>, kind: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = transaction
        .prepare("SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite%'")?;
    select.query_map([kind], |row| row.get(0))?.collect()
}

/// The calls are given their places in the order of changes as they were heard of. CROSS JOIN keeps
/// to the order of ids, in which a B-tree is filled best; the places alone are sorted, not the
/// texts.
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

/// Whose calls they are: version 5 came with the key's hash.
const REPLICA_3: &str = "INSERT INTO replica SELECT *, NULL, 0 FROM old_replica;";
const REPLICA_5: &str = "INSERT INTO replica SELECT *, 0 FROM old_replica;";

/// What is the same from version 3 on.
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

/// What is the same in all of them, and what no older one has: the books are made of the rows. A
/// sum that does not fit was refused by the older versions, and they read whole seconds alone.
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
