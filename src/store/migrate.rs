//! From an older schema to this one.

use rusqlite::Connection;

use super::schema::{SCHEMA, VERSION};

/// Makes a file of version 1 one of version 2, or leaves it as it was.
///
/// The tables are made anew and filled: a table that was altered keeps the marks of it in its
/// text, and the file's schema is to be `schema.sql` and nothing else. The file grows by its size
/// and keeps the room for what comes. The calls are given their places in the order of changes as
/// they were heard of.
pub fn from_1(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "DROP INDEX calls_by_sid;
         DROP INDEX calls_by_start;
         DROP INDEX open_calls;
         DROP INDEX suspects;
         ALTER TABLE replica RENAME TO replica_1;
         ALTER TABLE calls RENAME TO calls_1;
         ALTER TABLE coverage RENAME TO coverage_1;
         ALTER TABLE rollups RENAME TO rollups_1;",
    )?;
    transaction.execute_batch(SCHEMA)?;
    // CROSS JOIN keeps to the order of ids, in which a B-tree is filled best; the places alone are
    // sorted, not the texts.
    transaction.execute_batch(
        "INSERT INTO replica (one, base_url, organization_id, request_seq, feed_id)
         SELECT one, base_url, organization_id, request_seq, lower(hex(randomblob(8)))
         FROM replica_1;
         WITH places AS MATERIALIZED (
             SELECT id, row_number() OVER (ORDER BY request_seq, id) AS place FROM calls_1)
         INSERT INTO calls (id, call_sid, assistant_id, assistant_name, customer_phone_number,
             status, duration, started_at, open, suspect_at, seen_at, request_seq, change_seq,
             body_hash, body)
         SELECT c.id, call_sid, assistant_id, assistant_name, customer_phone_number,
             status, duration, started_at, open, suspect_at, seen_at, request_seq, place,
             body_hash, body
         FROM calls_1 AS c CROSS JOIN places ON places.id = c.id ORDER BY c.id;
         INSERT INTO coverage SELECT * FROM coverage_1;
         INSERT INTO rollups SELECT * FROM rollups_1;
         DROP TABLE replica_1;
         DROP TABLE calls_1;
         DROP TABLE coverage_1;
         DROP TABLE rollups_1;",
    )?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
