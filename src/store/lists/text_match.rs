//! Which phone numbers, names and SIDs contain a part.
//!
//! Trigrams find candidates, which are then compared with the part: a text may have all its
//! trigrams in other places. A part too short to have one, or with common trigrams, is searched for
//! in the whole dictionary.

use rusqlite::{Connection, OptionalExtension};

use crate::model::{Part, Timestamp};
use crate::store::lists::place::Place;

/// The most texts whose calls are gathered one by one. A part that is in more is searched for in a
/// walk.
const FEW_TEXTS: usize = 4096;

/// More candidates are in too many texts anyway, and take long to look up one by one.
const MOST_PHONES: usize = FEW_TEXTS;

/// The most SIDs that are compared and returned, with their places.
const MOST_SIDS: usize = 10_000;

/// Three that do not overlap are nine characters, which leave hardly a wrong candidate. They are
/// taken from the end, because many numbers begin alike.
const MOST_TRIGRAMS: usize = 3;

pub enum Found<T> {
    /// All that contain it, and the number of their calls.
    Few(Vec<T>, u64),
    /// Too many to list. The number of calls, or `None` if it was not to be counted.
    Many(Option<u64>),
}

impl<T> Found<T> {
    pub fn calls(&self) -> Option<u64> {
        match self {
            Found::Few(_, calls) => Some(*calls),
            Found::Many(calls) => *calls,
        }
    }
}

/// The texts found so far to contain the part.
struct Texts<'a> {
    part: &'a Part,
    texts: Vec<String>,
    few: bool,
    calls: u64,
}

impl<'a> Texts<'a> {
    fn new(part: &'a Part) -> Texts<'a> {
        Texts {
            part,
            texts: Vec::new(),
            few: true,
            calls: 0,
        }
    }

    fn look(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        let text = row.get_ref(0)?.as_str()?;
        if self.part.is_in(text) {
            self.calls += row.get::<_, u64>(1)?;
            self.few &= self.texts.len() < FEW_TEXTS;
            if self.few {
                self.texts.push(text.to_owned());
            }
        }
        Ok(())
    }

    fn found(self) -> Found<String> {
        match self.few {
            true => Found::Few(self.texts, self.calls),
            false => Found::Many(Some(self.calls)),
        }
    }
}

/// Phone numbers that contain the part. If they are many, their calls are counted only if
/// `counted`.
pub fn phones(
    connection: &Connection,
    part: &Part,
    counted: bool,
) -> rusqlite::Result<Found<String>> {
    let mut texts = Texts::new(part);
    let candidates = match trigrams(part) {
        Some(trigrams) => candidates(connection, "phone_trigrams", &trigrams, MOST_PHONES)?,
        None => None,
    };
    if let Some(candidates) = candidates {
        let mut select =
            connection.prepare_cached("SELECT phone, calls FROM phones WHERE phone_id = ?1")?;
        for id in candidates {
            select.query_row([id], |row| texts.look(row))?;
        }
        return Ok(texts.found());
    }
    if !counted {
        return Ok(Found::Many(None));
    }
    if part.is_caseless() {
        return caseless_phones(connection, part);
    }
    let mut select = connection.prepare_cached("SELECT phone, calls FROM phones")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        texts.look(row)?;
    }
    Ok(texts.found())
}

/// The same for a part without letters, as nearly all are: SQLite's own `instr` searches the
/// dictionary without a call into Rust for each number.
fn caseless_phones(connection: &Connection, part: &Part) -> rusqlite::Result<Found<String>> {
    let part = part.as_str();
    let calls = connection
        .prepare_cached("SELECT coalesce(sum(calls), 0) FROM phones WHERE instr(phone, ?1) > 0")?
        .query_row([part], |row| row.get(0))?;
    let mut select = connection
        .prepare_cached("SELECT phone FROM phones WHERE instr(phone, ?1) > 0 LIMIT ?2")?;
    let found = select.query_map((part, FEW_TEXTS + 1), |row| row.get(0))?;
    let texts = found.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(match texts.len() <= FEW_TEXTS {
        true => Found::Few(texts, calls),
        false => Found::Many(Some(calls)),
    })
}

/// Names that contain the part. They are few, so all are compared.
pub fn names(connection: &Connection, part: &Part) -> rusqlite::Result<Found<String>> {
    let mut texts = Texts::new(part);
    let mut select = connection.prepare_cached("SELECT name, calls FROM names")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        texts.look(row)?;
    }
    Ok(texts.found())
}

/// Calls whose SID contains the part. If they are many, they are counted only if `counted`.
pub fn sids(connection: &Connection, part: &Part, counted: bool) -> rusqlite::Result<Found<Place>> {
    let trigrams = trigrams(part);
    if counted
        && let Some(trigram) = &trigrams
        && part.as_str().len() == 3
    {
        // The part is one ASCII trigram, so every SID that has the trigram contains the part.
        let calls = connection
            .prepare_cached("SELECT count(*) FROM sid_trigrams WHERE sid_trigrams MATCH ?1")?
            .query_row([trigram], |row| row.get(0))?;
        if calls > MOST_SIDS as u64 {
            return Ok(Found::Many(Some(calls)));
        }
    }
    if let Some(trigrams) = &trigrams
        && let Some(candidates) = candidates(connection, "sid_trigrams", trigrams, MOST_SIDS)?
    {
        return few_sids(connection, part, candidates);
    }
    if !counted {
        return Ok(Found::Many(None));
    }
    let mut select =
        connection.prepare_cached("SELECT call_sid, id FROM calls INDEXED BY calls_by_sid")?;
    let mut rows = select.query([])?;
    let (mut ids, mut calls) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if part.is_in(row.get_ref(0)?.as_str()?) {
            calls += 1;
            if ids.len() <= MOST_SIDS {
                ids.push(row.get(1)?);
            }
        }
    }
    if ids.len() > MOST_SIDS {
        return Ok(Found::Many(Some(calls)));
    }
    few_sids(connection, part, ids)
}

fn few_sids(connection: &Connection, part: &Part, ids: Vec<i64>) -> rusqlite::Result<Found<Place>> {
    let mut select =
        connection.prepare_cached("SELECT call_sid, started_at FROM calls WHERE id = ?1")?;
    let mut places = Vec::new();
    for id in ids {
        let place = select
            .query_row([id], |row| {
                let started_at = row.get::<_, Option<i64>>(1)?.map(Timestamp::from_micros);
                let found = part.is_in(row.get_ref(0)?.as_str()?);
                Ok(found.then_some(Place { started_at, id }))
            })
            .optional()?;
        places.extend(place.flatten());
    }
    let calls = places.len() as u64;
    Ok(Found::Few(places, calls))
}

/// The rows of a trigram table that have all these trigrams, ascending; `None` if there are more
/// than `most`.
fn candidates(
    connection: &Connection,
    table: &str,
    trigrams: &str,
    most: usize,
) -> rusqlite::Result<Option<Vec<i64>>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT rowid FROM {table} WHERE {table} MATCH ?1 LIMIT ?2"
    ))?;
    let rows = select.query_map((trigrams, most + 1), |row| row.get(0))?;
    let ids = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok((ids.len() <= most).then_some(ids))
}

/// The part's trigrams as an FTS5 query; `None` if they would miss a match.
fn trigrams(part: &Part) -> Option<String> {
    let chars: Vec<char> = part.as_str().chars().collect();
    // FTS5 ignores NUL in texts and at the end of a query.
    if chars.len() < 3 || chars.contains(&'\0') {
        return None;
    }
    let last = chars.len() - 3;
    let mut starts: Vec<usize> = (0..=last).rev().step_by(3).take(MOST_TRIGRAMS).collect();
    if starts.len() == 1 && last > 0 {
        starts.push(0);
    }
    let trigrams = starts.iter().map(|at| {
        let text: String = chars[*at..at + 3].iter().collect();
        format!("\"{}\"", text.replace('"', "\"\""))
    });
    Some(trigrams.collect::<Vec<_>>().join(" AND "))
}
