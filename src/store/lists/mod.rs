//! Lists of calls, and their totals.
//!
//! A list is exact whatever it is filtered by, and seldom read as a whole. [`text_match`] finds the
//! texts with a part in the dictionaries; [`planner`] takes the total from the rollups where they
//! have it, and the page from the index that costs the least, in one of two ways: it walks an index
//! in the list's order and stops at the page's end, or gathers the few matches and sorts them.
//! [`day_skip`] skips whole days; [`sql`] writes the statements. A page and its total are of one
//! state of the file.

mod day_skip;
mod known_counts;
pub mod place;
mod planner;
mod sql;
mod text_match;

use rusqlite::Connection;

use crate::model::CallFilter;
use crate::store::error::StoreError;
use crate::store::lists::place::Place;
use crate::store::lists::planner::Query;
use crate::store::read::reader::stored_call;
use crate::store::read::reader::{Reader, StoredCall};

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Calls without a start first, then the latest start, then the highest id.
    pub rows: Vec<StoredCall>,
    pub total: u64,
}

impl Reader {
    /// A page of the calls that match, and how many match in all.
    pub fn list(&self, filter: &CallFilter, skip: u64, limit: usize) -> Result<Listed, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let (places, total) = Query::counted(&snapshot, filter)?.page(skip, limit)?;
        let rows = rows(&snapshot, &places)?;
        Ok(Listed { rows, total })
    }

    /// The calls that match, in the list's order, after a place. Nothing is counted.
    pub fn list_after(
        &self,
        filter: &CallFilter,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<StoredCall>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let query = Query::uncounted(&snapshot, filter)?;
        match query.few_after(after, limit)? {
            Some(places) => Ok(rows(&snapshot, &places)?),
            None => Ok(query.walk_after(after, limit)?),
        }
    }

    /// The number of calls that match.
    pub fn count(&self, filter: &CallFilter) -> Result<u64, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let (_, total) = Query::counted(&snapshot, filter)?.page(0, 0)?;
        Ok(total)
    }
}

fn rows(connection: &Connection, places: &[Place]) -> rusqlite::Result<Vec<StoredCall>> {
    let mut select = connection.prepare_cached(
        "SELECT id, body, body_hash, started_at, seen_at, suspect_at FROM calls WHERE id = ?1",
    )?;
    places
        .iter()
        .map(|place| select.query_row([place.id], stored_call))
        .collect()
}
