//! The records of one organization, in the order in which lists are served.
//!
//! No clock and no socket: time comes in through [`World::advance`], requests through
//! [`World::answer`](super::World::answer). A call is found by id or SID without a scan, a page
//! costs its own length however deep it lies, and an unfiltered total is a subtraction. Only the
//! filters without an index (assistant, phone, SID part, name, duration) read every record of their
//! date range and status.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::config::WorldConfig;
use super::details::given::StoredDetails;
use super::invent::Inventor;
use super::life::Life;
use super::order::Order;
use super::record::{Flavour, Record};
use crate::model::Timestamp;

/// One organization's upstream.
pub struct World {
    pub(super) config: WorldConfig,
    pub(super) now: Timestamp,
    pub(super) life: Life,
    /// Draws the order of ties, apart from the events, so that reading does not influence them.
    pub(super) shuffle: StdRng,
    /// Boxed, because a B-tree filled in ascending order leaves almost half of its room unused.
    pub(super) records: BTreeMap<i64, Box<Record>>,
    pub(super) sids: HashMap<Arc<str>, i64>,
    pub(super) all: Order,
    pub(super) by_status: BTreeMap<Arc<str>, Order>,
    pub(super) assistants: BTreeSet<i64>,
    /// Details that are not invented, by their call.
    pub(super) given: BTreeMap<i64, StoredDetails>,
    pub(super) last_id: i64,
}

impl World {
    /// Creates a world with its history.
    pub fn new(config: WorldConfig) -> World {
        let mut inventor = Inventor::new(config.seed, config.calls);
        let starts = config.starts(&mut inventor);
        let assistants = inventor.assistant_ids().collect();
        let rates = config.rates;
        let mut world = World {
            now: config.now,
            life: Life::new(inventor),
            shuffle: StdRng::seed_from_u64(!config.seed),
            config,
            records: BTreeMap::new(),
            sids: HashMap::new(),
            all: Order::default(),
            by_status: BTreeMap::new(),
            assistants,
            given: BTreeMap::new(),
            last_id: 1000,
        };
        for started_at in starts {
            world.remember(started_at);
        }
        world.set_rates(rates);
        world
    }

    /// Inserts a call of the past, which has ended unless it would still be in progress.
    fn remember(&mut self, started_at: Option<Timestamp>) {
        let inventor = &mut self.life.inventor;
        let id = inventor.id_after(self.last_id);
        let mut record = inventor.past(id, started_at, self.now, self.config.flavour);
        record.duration = record
            .duration
            .map(|seconds| seconds + self.config.fraction);
        self.put(record);
    }

    pub fn flavour(&self) -> Flavour {
        self.config.flavour
    }

    /// The configuration, with later changes.
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    pub fn api_key(&self) -> &str {
        &self.config.api_key
    }

    pub fn organization_id(&self) -> i64 {
        self.config.organization_id
    }

    /// The world's present: the instant of its creation, or of the last `advance`.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn get(&self, id: i64) -> Option<&Record> {
        self.records.get(&id).map(Box::as_ref)
    }

    pub fn get_by_sid(&self, call_sid: &str) -> Option<&Record> {
        self.get(*self.sids.get(call_sid)?)
    }

    /// The record's text as this flavour serves it.
    pub fn text(&self, id: i64) -> Option<String> {
        Some(self.get(id)?.to_json(self.flavour()))
    }

    /// All records, by ascending id.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(Box::as_ref)
    }

    /// Id, SID and text of every record, by ascending id.
    pub fn texts(&self) -> impl Iterator<Item = (i64, &str, String)> {
        self.records()
            .map(|record| (record.id, &*record.call_sid, record.to_json(self.flavour())))
    }

    /// The ids of up to `count` records: those without a start, then by newest start. Unlike in a
    /// list, the order is fixed: ties come by descending id.
    pub fn newest(&self, count: usize) -> Vec<i64> {
        let places = self.all.places().iter().rev();
        places.take(count).map(|(_, id)| *id).collect()
    }

    pub(super) fn knows_assistant(&self, assistant_id: i64) -> bool {
        self.assistants.contains(&assistant_id)
    }

    /// The id at a rank of the list's order, oldest first.
    pub(super) fn id_at(&self, rank: usize) -> Option<i64> {
        self.all.places().get(rank).map(|(_, id)| *id)
    }

    /// Up to `count` ids from `first` on, ascending.
    pub(super) fn ids_from(&self, first: i64, count: usize) -> Vec<i64> {
        let ids = self.records.range(first..).map(|(id, _)| *id);
        ids.take(count).collect()
    }

    /// The index for a list of this status.
    pub(super) fn order(&self, status: Option<&str>) -> Option<&Order> {
        match status {
            Some(status) => self.by_status.get(status),
            None => Some(&self.all),
        }
    }
}
