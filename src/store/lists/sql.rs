//! The statements of lists: conditions, the parts of a list's order, and how each part is read.

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, Row, params_from_iter};

use crate::model::{CallFilter, Timestamp};
use crate::store::lists::place::Place;

/// The first column of an index. The start follows in each but that of the SID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Start,
    Status,
    Assistant,
    Phone,
    Name,
    Duration,
    Sid,
}

impl Field {
    fn index(self) -> &'static str {
        match self {
            Field::Start => "INDEXED BY calls_by_start",
            Field::Status => "INDEXED BY calls_by_status",
            Field::Assistant => "INDEXED BY calls_by_assistant",
            Field::Phone => "INDEXED BY calls_by_phone",
            Field::Name => "INDEXED BY calls_by_name",
            Field::Duration => "INDEXED BY calls_by_duration",
            // Calls found by their SID are read by id.
            Field::Sid => "",
        }
    }

    /// The condition that the index answers.
    fn condition(self) -> &'static str {
        match self {
            Field::Start => "true",
            // The index is partial: SQLite uses it only if the query states its condition.
            Field::Status => "status = ? AND status <> 'completed'",
            Field::Assistant => "assistant_id = ?",
            Field::Phone => "customer_phone_number = ?",
            Field::Name => "assistant_name = ?",
            Field::Duration => "duration BETWEEN ? AND ?",
            Field::Sid => "id = ?",
        }
    }
}

/// Conditions that must all hold, and the values of their parameters.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    text: String,
    values: Vec<Value>,
    /// True if a condition is on the SID, which only its own index has.
    sid: bool,
}

impl Conditions {
    pub fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self.values.extend(values);
    }

    pub fn asks_sid(&self) -> bool {
        self.sid
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What the filter asks of a call besides its start and `known`, which the index answers.
    pub fn of(filter: &CallFilter, known: Field) -> Conditions {
        let mut conditions = Conditions::default();
        if let (Some(status), true) = (&filter.status, known != Field::Status) {
            conditions.and("status = ?", [status.clone().into()]);
        }
        if let (Some(id), true) = (filter.assistant_id, known != Field::Assistant) {
            conditions.and("assistant_id = ?", [id.into()]);
        }
        if let (Some([min, max]), true) = (durations(filter), known != Field::Duration) {
            conditions.and("duration BETWEEN ? AND ?", [min.into(), max.into()]);
        }
        for (field, condition, part) in [
            (
                Field::Phone,
                "has(customer_phone_number, ?)",
                &filter.customer_phone,
            ),
            (
                Field::Name,
                "has(assistant_name, ?)",
                &filter.assistant_name,
            ),
            // The last, because the index by start lacks it.
            (Field::Sid, "has(call_sid, ?)", &filter.call_sid),
        ] {
            if let (Some(part), true) = (part, known != field) {
                conditions.and(condition, [part.as_str().to_owned().into()]);
                conditions.sid |= field == Field::Sid;
            }
        }
        conditions
    }
}

/// The inclusive bounds of the durations that match, in seconds.
pub fn durations(filter: &CallFilter) -> Option<[f64; 2]> {
    let (min, max) = (filter.min_duration, filter.max_duration);
    let bound = |seconds: Option<i64>, none| seconds.map_or(none, |seconds| seconds as f64);
    let bounds = [bound(min, f64::NEG_INFINITY), bound(max, f64::INFINITY)];
    (min.is_some() || max.is_some()).then_some(bounds)
}

/// A range of a list.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// True if it includes calls without a start, which come first.
    pub nulls: bool,
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// If set, only calls after this place.
    pub after: Option<Place>,
}

impl Reach {
    pub fn of(filter: &CallFilter) -> Reach {
        Reach {
            nulls: !filter.is_dated(),
            from: filter.date_from.map(Timestamp::as_micros),
            to: filter.date_to.map(Timestamp::as_micros),
            after: None,
        }
    }

    pub fn has(&self, place: &Place) -> bool {
        let Some(start) = place.started_at.map(Timestamp::as_micros) else {
            return self.nulls;
        };
        self.from.is_none_or(|from| from <= start) && self.to.is_none_or(|to| start <= to)
    }

    /// The ranges of an index that make up the reach, in the list's order: an index read backwards
    /// has its NULLs last, a list has them first.
    fn parts(&self) -> Vec<(Conditions, &'static str)> {
        let mut parts = Vec::new();
        let start = self.after.and_then(|place| place.started_at);
        if self.nulls && start.is_none() {
            let mut nulls = Conditions::default();
            nulls.and("started_at IS NULL", []);
            if let Some(after) = self.after {
                nulls.and("id < ?", [after.id.into()]);
            }
            parts.push((nulls, "id DESC"));
        }
        let mut started = self.started();
        if let (Some(start), Some(after)) = (start, self.after) {
            let values = [start.as_micros().into(), after.id.into()];
            started.and("(started_at, id) < (?, ?)", values);
        }
        parts.push((started, "started_at DESC, id DESC"));
        parts
    }

    fn started(&self) -> Conditions {
        let mut started = Conditions::default();
        if let Some(from) = self.from {
            started.and("started_at >= ?", [from.into()]);
        }
        if let Some(to) = self.to {
            started.and("started_at <= ?", [to.into()]);
        }
        if started.is_empty() {
            started.and("started_at IS NOT NULL", []);
        }
        started
    }
}

/// An index, the key to read in it, and the remaining conditions.
pub struct Source<'a> {
    pub connection: &'a Connection,
    pub field: Field,
    pub key: Vec<Value>,
    pub rest: &'a Conditions,
}

const PLACE: &str = "started_at, id";
const HELD: &str = "id, body, body_hash, started_at, seen_at, suspect_at";

impl<'a> Source<'a> {
    /// Up to `limit` places of the reach in its order, after the first `skip`.
    pub fn places(
        &self,
        reach: Reach,
        mut skip: u64,
        limit: usize,
    ) -> rusqlite::Result<Vec<Place>> {
        let mut places = Vec::new();
        for (part, order) in reach.parts() {
            let room = limit - places.len();
            if room == 0 {
                break;
            }
            let before = places.len();
            self.read(PLACE, &part, order, (room, skip), place, &mut places)?;
            if skip > 0 && places.len() == before {
                // All of this part was skipped; the next part skips the rest.
                let (mut count, values) = self.statement("count(*)", &part, "")?;
                let count: u64 = count.query_row(params_from_iter(values), |row| row.get(0))?;
                skip = skip.saturating_sub(count);
            } else {
                skip = 0;
            }
        }
        Ok(places)
    }

    /// Up to `limit` rows of the reach, in its order.
    pub fn rows<T>(
        &self,
        reach: Reach,
        limit: usize,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut rows = Vec::new();
        for (part, order) in reach.parts() {
            let room = limit - rows.len();
            if room > 0 {
                self.read(HELD, &part, order, (room, 0), read, &mut rows)?;
            }
        }
        Ok(rows)
    }

    /// All places of the reach, in no order.
    pub fn gather(&self, reach: Reach, into: &mut Vec<Place>) -> rusqlite::Result<()> {
        let dates = if reach.nulls {
            Conditions::default()
        } else {
            reach.started()
        };
        let (mut select, values) = self.statement(PLACE, &dates, "")?;
        let mut rows = select.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            into.push(place(row)?);
        }
        Ok(())
    }

    /// Visits every place of the reach, in its order.
    pub fn visit(&self, reach: Reach, mut visit: impl FnMut(Place)) -> rusqlite::Result<()> {
        for (part, order) in reach.parts() {
            let (mut select, values) =
                self.statement(PLACE, &part, &format!(" ORDER BY {order}"))?;
            let mut rows = select.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                visit(place(row)?);
            }
        }
        Ok(())
    }

    fn read<T>(
        &self,
        columns: &str,
        part: &Conditions,
        order: &str,
        (limit, skip): (usize, u64),
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
        into: &mut Vec<T>,
    ) -> rusqlite::Result<()> {
        let end = format!(" ORDER BY {order} LIMIT ? OFFSET ?");
        let (mut select, mut values) = self.statement(columns, part, &end)?;
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        values.push(i64::try_from(skip).unwrap_or(i64::MAX).into());
        let mut rows = select.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            into.push(read(row)?);
        }
        Ok(())
    }

    fn statement(
        &self,
        columns: &str,
        part: &Conditions,
        end: &str,
    ) -> rusqlite::Result<(CachedStatement<'a>, Vec<Value>)> {
        let statement = self.connection.prepare_cached(&format!(
            "SELECT {columns} FROM calls {} WHERE {}{}{}{end}",
            self.field.index(),
            self.field.condition(),
            part.text,
            self.rest.text,
        ))?;
        let mut values = self.key.clone();
        values.extend_from_slice(&part.values);
        values.extend_from_slice(&self.rest.values);
        Ok((statement, values))
    }
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        started_at: row.get::<_, Option<i64>>(0)?.map(Timestamp::from_micros),
        id: row.get(1)?,
    })
}
