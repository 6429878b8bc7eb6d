//! A copy of the records to restore later: a database restored from a backup, or another
//! organization's calls under the same key.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::details::given::StoredDetails;
use super::order::Order;
use super::record::Record;
use super::world::World;

/// A copy of a world's records. Time, events, key and configuration are no part of it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    records: BTreeMap<i64, Box<Record>>,
    sids: HashMap<Arc<str>, i64>,
    all: Order,
    by_status: BTreeMap<Arc<str>, Order>,
    assistants: BTreeSet<i64>,
    given: BTreeMap<i64, StoredDetails>,
    last_id: i64,
}

impl World {
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            records: self.records.clone(),
            sids: self.sids.clone(),
            all: self.all.clone(),
            by_status: self.by_status.clone(),
            assistants: self.assistants.clone(),
            given: self.given.clone(),
            last_id: self.last_id,
        }
    }

    /// Restores the records and forgets all others, so that ids assigned since are assigned again,
    /// to other calls. Events go on from the present, and end and bill what is open or not billed.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot {
            records,
            sids,
            all,
            by_status,
            assistants,
            given,
            last_id,
        } = snapshot.clone();
        self.records = records;
        self.sids = sids;
        self.all = all;
        self.by_status = by_status;
        self.assistants = assistants;
        self.given = given;
        self.last_id = last_id;
        self.replan();
    }

    /// Serves another world's records from now on, as [`World::restore`] would. Use
    /// [`World::set_organization_id`] to say whose they are.
    pub fn replace_records_from(&mut self, other: &World) {
        self.restore(&other.snapshot());
    }
}
