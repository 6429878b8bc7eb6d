//! How a list is read: the total from the rollups, and the page from the index that costs the
//! least.
//!
//! The costs are estimates of time in nanoseconds. They affect an answer's speed, not its content.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::model::CallFilter;
use crate::store::lists::day_skip::skip_days;
use crate::store::lists::known_counts;
use crate::store::lists::place::Place;
use crate::store::lists::sql::{Conditions, Field, Reach, Source, durations};
use crate::store::lists::text_match::{self, Found};
use crate::store::read::reader::StoredCall;
use crate::store::read::reader::stored_call;

/// One step in an index, with its conditions.
const STEP: f64 = 200.0;
/// One lookup of a row, for a column that the index lacks.
const LOOK: f64 = 1_500.0;
/// The start of a statement at another key.
const SEEK: f64 = 2_500.0;

/// The most calls of which a list that is read page by page gathers all places for every page.
const FEW: u64 = 4_000;

/// A list, and its matches in the dictionaries.
pub struct Query<'a> {
    connection: &'a Connection,
    filter: &'a CallFilter,
    phones: Option<Found<String>>,
    names: Option<Found<String>>,
    sids: Option<Found<Place>>,
    /// The number of all calls, and the number of those on days that the filter touches.
    all: u64,
    dated: u64,
}

/// One way to read a list.
struct Way {
    field: Field,
    /// One statement for each; none if the places are known.
    keys: Vec<Vec<Value>>,
    /// The number of calls it leads to, before any other condition.
    calls: u64,
    rest: Conditions,
}

impl Way {
    /// The cost of one step.
    fn step(&self) -> f64 {
        // The index by start covers every column but the SID.
        let covered = self.field == Field::Start && !self.rest.asks_sid();
        STEP + if covered || self.rest.is_empty() {
            0.0
        } else {
            LOOK
        }
    }

    /// The cost of gathering all matches.
    fn gathering(&self) -> f64 {
        self.keys.len() as f64 * SEEK + self.calls as f64 * self.step()
    }

    /// True if it is in the list's order, so that a page can be read from it.
    fn is_ordered(&self) -> bool {
        !matches!(self.field, Field::Duration | Field::Sid) && self.keys.len() == 1
    }

    /// The cost of walking to the end of a page, if the matches lie evenly among the other calls.
    fn walking(&self, end: f64, total: u64) -> f64 {
        let steps = end * self.calls as f64 / (total.max(1)) as f64;
        SEEK + steps.min(self.calls as f64) * self.step()
    }
}

impl<'a> Query<'a> {
    pub fn counted(connection: &'a Connection, filter: &'a CallFilter) -> rusqlite::Result<Self> {
        Query::new(connection, filter, true)
    }

    pub fn uncounted(connection: &'a Connection, filter: &'a CallFilter) -> rusqlite::Result<Self> {
        Query::new(connection, filter, false)
    }

    fn new(
        connection: &'a Connection,
        filter: &'a CallFilter,
        counted: bool,
    ) -> rusqlite::Result<Query<'a>> {
        let phones = (filter.customer_phone.as_ref())
            .map(|part| text_match::phones(connection, part, counted));
        let names =
            (filter.assistant_name.as_ref()).map(|part| text_match::names(connection, part));
        let sids =
            (filter.call_sid.as_ref()).map(|part| text_match::sids(connection, part, counted));
        let all = known_counts::all(connection)?;
        let dated = match filter.is_dated() {
            true => known_counts::touched_days(connection, filter)?,
            false => all,
        };
        Ok(Query {
            connection,
            filter,
            phones: phones.transpose()?,
            names: names.transpose()?,
            sids: sids.transpose()?,
            all,
            dated,
        })
    }

    /// The places of a page, and the total.
    pub fn page(&self, skip: u64, limit: usize) -> rusqlite::Result<(Vec<Place>, u64)> {
        let Some(total) = self.total()? else {
            return self.page_uncounted(skip, limit);
        };
        if skip >= total || limit == 0 {
            return Ok((Vec::new(), total));
        }
        let mut reach = Reach::of(self.filter);
        let mut rest = skip;
        if known_counts::by_day(self.filter) {
            (reach, rest) = skip_days(self.connection, self.filter, reach, skip)?;
        }
        let ways = self.ways()?;
        let end = rest as f64 + limit as f64;
        let walk = cheapest(ways.iter().filter(|way| way.is_ordered()), |way| {
            way.walking(end, total)
        });
        let gather = cheapest(&ways, Way::gathering);
        let places = match (walk, gather) {
            (Some((walking, way)), Some((gathering, _))) if walking <= gathering => {
                self.source(way, 0).places(reach, rest, limit)?
            }
            (_, Some((_, way))) => cut(self.gather(way)?, skip, limit),
            (_, None) => Vec::new(),
        };
        Ok((places, total))
    }

    /// The same if only the calls themselves can be counted.
    fn page_uncounted(&self, skip: u64, limit: usize) -> rusqlite::Result<(Vec<Place>, u64)> {
        let ways = self.ways()?;
        let Some((_, way)) = cheapest(&ways, Way::gathering) else {
            return Ok((Vec::new(), 0));
        };
        if way.field != Field::Start {
            let places = self.gather(way)?;
            let total = places.len() as u64;
            return Ok((cut(places, skip, limit), total));
        }
        let (mut places, mut total) = (Vec::new(), 0);
        self.source(way, 0).visit(Reach::of(self.filter), |place| {
            if total >= skip && places.len() < limit {
                places.push(place);
            }
            total += 1;
        })?;
        Ok((places, total))
    }

    /// The places after another, if the matches are few enough to gather them all.
    pub fn few_after(
        &self,
        after: Option<Place>,
        limit: usize,
    ) -> rusqlite::Result<Option<Vec<Place>>> {
        let ways = self.ways()?;
        let Some((_, way)) = cheapest(&ways, Way::gathering) else {
            return Ok(None);
        };
        if way.calls > FEW || way.field == Field::Start {
            return Ok(None);
        }
        let mut places = self.gather(way)?;
        if let Some(after) = after {
            places.retain(|place| place.rank() > after.rank());
        }
        Ok(Some(cut(places, 0, limit)))
    }

    /// The calls after a place, along an index.
    pub fn walk_after(
        &self,
        after: Option<Place>,
        limit: usize,
    ) -> rusqlite::Result<Vec<StoredCall>> {
        let ways = self.ways()?;
        let ordered = ways.iter().filter(|way| way.is_ordered());
        let Some((_, way)) = cheapest(ordered, Way::gathering) else {
            return Ok(Vec::new());
        };
        let reach = Reach {
            after,
            ..Reach::of(self.filter)
        };
        self.source(way, 0).rows(reach, limit, stored_call)
    }

    /// The total, if the derived tables have it.
    fn total(&self) -> rusqlite::Result<Option<u64>> {
        let filter = self.filter;
        let texts = [
            &filter.customer_phone,
            &filter.assistant_name,
            &filter.call_sid,
        ];
        let texts = texts.into_iter().flatten().count();
        let by_duration = durations(filter);
        if known_counts::by_day(filter) {
            return known_counts::of_days(self.connection, filter).map(Some);
        }
        let others = filter.status.is_some() || filter.assistant_id.is_some() || filter.is_dated();
        if others || texts + usize::from(by_duration.is_some()) > 1 {
            return Ok(None);
        }
        if let Some(bounds) = by_duration {
            return known_counts::of_durations(self.connection, bounds).map(Some);
        }
        let found = [
            self.phones.as_ref().and_then(Found::calls),
            self.names.as_ref().and_then(Found::calls),
            self.sids.as_ref().and_then(Found::calls),
        ];
        Ok(found.into_iter().flatten().next())
    }

    /// All ways to read the list. The one by start leads to every call.
    fn ways(&self) -> rusqlite::Result<Vec<Way>> {
        let mut ways = vec![self.way(Field::Start, vec![vec![]], self.dated)];
        // Completed calls have no index of their own.
        if let Some(status) = self.filter.status.as_ref().filter(|it| *it != "completed") {
            let calls = known_counts::of_status(self.connection, status)?;
            let key = vec![vec![status.clone().into()]];
            ways.push(self.way(Field::Status, key, self.share(calls)));
        }
        if let Some(id) = self.filter.assistant_id {
            let calls = known_counts::of_assistant(self.connection, id)?;
            let key = vec![vec![id.into()]];
            ways.push(self.way(Field::Assistant, key, self.share(calls)));
        }
        if let Some(bounds) = durations(self.filter) {
            let calls = known_counts::of_durations(self.connection, bounds)?;
            let key = vec![bounds.map(Value::from).to_vec()];
            // The filter's dates are no bounds in an index by duration.
            ways.push(self.way(Field::Duration, key, calls));
        }
        for (field, found) in [(Field::Phone, &self.phones), (Field::Name, &self.names)] {
            if let Some(Found::Few(texts, calls)) = found {
                let keys = texts.iter().map(|text| vec![text.clone().into()]);
                ways.push(self.way(field, keys.collect(), self.share(*calls)));
            }
        }
        if let Some(Found::Few(places, _)) = &self.sids {
            ways.push(self.way(Field::Sid, vec![], places.len() as u64));
        }
        Ok(ways)
    }

    fn way(&self, field: Field, keys: Vec<Vec<Value>>, calls: u64) -> Way {
        Way {
            field,
            keys,
            calls,
            rest: Conditions::of(self.filter, field),
        }
    }

    /// How many of `calls` have the filter's dates, if they are spread like all calls.
    fn share(&self, calls: u64) -> u64 {
        (calls as f64 * self.dated as f64 / self.all.max(1) as f64).ceil() as u64
    }

    fn source<'q>(&'q self, way: &'q Way, key: usize) -> Source<'q> {
        Source {
            connection: self.connection,
            field: way.field,
            key: way.keys.get(key).cloned().unwrap_or_default(),
            rest: &way.rest,
        }
    }

    /// All places that match, in no order.
    fn gather(&self, way: &Way) -> rusqlite::Result<Vec<Place>> {
        let reach = Reach::of(self.filter);
        let mut places = Vec::new();
        let Some(Found::Few(found, _)) = self.sids.as_ref().filter(|_| way.field == Field::Sid)
        else {
            for key in 0..way.keys.len() {
                self.source(way, key).gather(reach, &mut places)?;
            }
            return Ok(places);
        };
        if way.rest.is_empty() {
            places.extend(found.iter().filter(|place| reach.has(place)));
            return Ok(places);
        }
        let mut source = self.source(way, 0);
        for place in found.iter().filter(|place| reach.has(place)) {
            source.key = vec![place.id.into()];
            source.gather(reach, &mut places)?;
        }
        Ok(places)
    }
}

fn cheapest<'w>(
    ways: impl IntoIterator<Item = &'w Way>,
    cost: impl Fn(&Way) -> f64,
) -> Option<(f64, &'w Way)> {
    ways.into_iter()
        .map(|way| (cost(way), way))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// One page of unordered places, sorted.
fn cut(mut places: Vec<Place>, skip: u64, limit: usize) -> Vec<Place> {
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    places.sort_unstable_by_key(Place::rank);
    places.into_iter().skip(skip).take(limit).collect()
}
