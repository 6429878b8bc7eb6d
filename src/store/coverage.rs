//! The coverage table: the windows on disk.

use rusqlite::{Connection, Row};

use crate::model::{Timestamp, Verified, Window};

pub fn read(connection: &Connection) -> rusqlite::Result<Vec<Window>> {
    connection
        .prepare_cached(
            "SELECT from_at, to_at, verified_at, request_seq, row_count, open_ended FROM coverage
             ORDER BY from_at",
        )?
        .query_map([], window)?
        .collect()
}

/// Changes the table from `before` to `after`, both oldest first. Only windows that differ are
/// written.
pub fn write(connection: &Connection, before: &[Window], after: &[Window]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM coverage WHERE from_at = ?1")?;
    let mut insert =
        connection.prepare_cached("INSERT INTO coverage VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let (gone, new) = differences(before, after);
    for window in gone {
        delete.execute([window.from.as_micros()])?;
    }
    for window in new {
        insert.execute((
            window.from.as_micros(),
            window.to.as_micros(),
            window.verified.at.as_micros(),
            window.verified.seq,
            window.rows,
            window.open_ended,
        ))?;
    }
    Ok(())
}

/// True if both cover the same ranges. A new time of verification alone is not worth a write: a
/// time on disk that lags only makes the replica look older than it is.
pub fn same_shape(before: &[Window], after: &[Window]) -> bool {
    let shape = |window: &Window| (window.from, window.to, window.open_ended);
    before.iter().map(shape).eq(after.iter().map(shape))
}

fn differences<'a>(
    before: &'a [Window],
    after: &'a [Window],
) -> (Vec<&'a Window>, Vec<&'a Window>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let (mut old, mut young) = (before.iter().peekable(), after.iter().peekable());
    loop {
        match (old.peek(), young.peek()) {
            (None, None) => return (gone, new),
            (Some(_), None) => gone.extend(old.next()),
            (None, Some(_)) => new.extend(young.next()),
            (Some(a), Some(b)) if a.from < b.from => gone.extend(old.next()),
            (Some(a), Some(b)) if a.from > b.from => new.extend(young.next()),
            (Some(a), Some(b)) => {
                if a != b {
                    gone.push(a);
                    new.push(b);
                }
                old.next();
                young.next();
            }
        }
    }
}

fn window(row: &Row<'_>) -> rusqlite::Result<Window> {
    Ok(Window {
        from: Timestamp::from_micros(row.get(0)?),
        to: Timestamp::from_micros(row.get(1)?),
        verified: Verified {
            at: Timestamp::from_micros(row.get(2)?),
            seq: row.get(3)?,
        },
        rows: row.get(4)?,
        open_ended: row.get(5)?,
    })
}
