//! What the tests build answers of, and how they look at the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burki_edge::model::{Call, CallKey, Timestamp, Verified, Window};
use burki_edge::store::{Complete, Observation, Reader, Trust};

pub const URL: &str = "https://api.burki.dev";

pub fn record(
    id: i64,
    status: &str,
    start: Option<i64>,
    duration: Option<i64>,
    note: &str,
) -> Call {
    let start = start.map_or("null".to_owned(), |second| {
        format!(
            "\"{}\"",
            Timestamp::from_micros(second * 1_000_000).to_naive()
        )
    });
    let duration = duration.map_or("null".to_owned(), |seconds| seconds.to_string());
    Call::from_json(&format!(
        r#"{{"call_sid":"CA{id}","call_meta":{{"note":"{note}"}},"id":{id},"assistant_id":{},"status":"{status}","duration":{duration},"started_at":{start}}}"#,
        id % 3
    ))
    .expect("a record")
}

pub fn answer(seq: u64, calls: Vec<Call>) -> Observation {
    Observation {
        oldest_in_flight: seq,
        newest_seq: seq,
        calls,
        denied: vec![],
        ..Observation::of(request(seq))
    }
}

pub fn window(from: i64, to: i64, seq: u64) -> Window {
    let at = Timestamp::from_micros;
    Window {
        from: at(from),
        to: at(to),
        verified: request(seq),
        rows: 1,
        open_ended: false,
    }
}

pub fn body(path: &Path, id: i64) -> Option<String> {
    let reader = Reader::open(path).expect("a reader");
    reader
        .call(&CallKey::Id(id))
        .expect("a read")
        .map(|held| held.body)
}

pub fn files(folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name");
            (name, entry.metadata().expect("metadata").len())
        })
        .collect()
}

/// A list that is complete from `from` on, and holds the calls `ids`.
pub fn complete(seq: u64, from: i64, ids: std::ops::Range<i64>, belief: Trust) -> Observation {
    let calls = ids
        .clone()
        .map(|id| record(id, "completed", Some(id), None, ""))
        .collect();
    let complete = Complete {
        started: Some(Timestamp::from_micros(from * 1_000_000)..=Timestamp::MAX),
        without_start: true,
        listed: ids.clone().collect(),
        belief,
    };
    Observation {
        complete: Some(complete),
        ..answer(seq, calls)
    }
}

pub fn suspects(path: &Path) -> u64 {
    Reader::open(path)
        .expect("a reader")
        .totals()
        .expect("totals")
        .suspects
}

/// The upstream denied the calls `denied`, each by a request of its own, and that proves it.
pub fn denial(seq: u64, denied: &[(i64, u64)]) -> Observation {
    Observation {
        denied: denied
            .iter()
            .map(|(id, seq)| (*id, request(*seq)))
            .collect(),
        ..answer(seq, vec![])
    }
}

/// The upstream said that it has no such call.
pub fn absence(seq: u64, id: i64) -> Observation {
    Observation {
        absent: Some(CallKey::Id(id)),
        ..answer(seq, vec![])
    }
}

pub fn request(seq: u64) -> Verified {
    Verified {
        at: Timestamp::from_micros(seq as i64),
        seq,
    }
}

/// Where the rollups differ from the rows they count; the table says nothing else.
pub fn wrong_rollups(connection: &rusqlite::Connection) -> i64 {
    connection
        .query_row(
            "WITH naive AS (
                 SELECT coalesce((started_at - (started_at % 86400000000 + 86400000000)
                            % 86400000000) / 86400000000, -1000000) AS day, status,
                        coalesce(assistant_id, 0) AS assistant_id, count(*) AS calls,
                        count(duration) AS timed,
                        count(*) FILTER (WHERE duration = 0) AS instant,
                        coalesce(sum(CAST(round(duration * 1000000) AS INTEGER)), 0)
                 FROM calls GROUP BY 1, 2, 3)
             SELECT (SELECT count(*) FROM (SELECT * FROM naive EXCEPT SELECT * FROM rollups))
                  + (SELECT count(*) FROM (SELECT * FROM rollups EXCEPT SELECT * FROM naive))",
            [],
            |row| row.get(0),
        )
        .expect("a count")
}

/// Where any of the books differs from the rows it counts.
pub fn wrong_books(connection: &rusqlite::Connection) -> i64 {
    let books = [
        (
            "SELECT coalesce((started_at - (started_at % 86400000000 + 86400000000) % 86400000000)
                 / 86400000000, -1000000), status, coalesce(assistant_id, 0), count(*),
                 count(duration) FROM calls GROUP BY 1, 2, 3",
            "SELECT day, status, assistant_id, calls, timed FROM rollups",
        ),
        (
            "SELECT status, coalesce(assistant_id, 0), count(*), count(duration) FROM calls
             GROUP BY 1, 2",
            "SELECT status, assistant_id, calls, timed FROM totals",
        ),
        (
            "SELECT duration, count(*) FROM calls WHERE duration IS NOT NULL GROUP BY 1",
            "SELECT duration, calls FROM durations",
        ),
        (
            "SELECT assistant_name, count(*) FROM calls WHERE assistant_name IS NOT NULL
             GROUP BY 1",
            "SELECT name, calls FROM names",
        ),
        (
            "SELECT customer_phone_number, count(*) FROM calls
             WHERE customer_phone_number IS NOT NULL GROUP BY 1",
            "SELECT phone, calls FROM phones",
        ),
    ];
    let wrong = books.map(|(naive, book)| {
        let differences = format!(
            "SELECT (SELECT count(*) FROM (SELECT * FROM ({naive}) EXCEPT SELECT * FROM ({book})))
                  + (SELECT count(*) FROM (SELECT * FROM ({book}) EXCEPT SELECT * FROM ({naive})))"
        );
        let count = connection.query_row(&differences, [], |row| row.get::<_, i64>(0));
        count.expect("a count")
    });
    wrong.iter().sum()
}
