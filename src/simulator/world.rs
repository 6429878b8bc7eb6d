//! The records of one organization, in the order lists are served in.
//!
//! No clock and no socket: time comes in through [`World::advance`], requests through
//! [`World::answer`](super::World::answer). A call is found by id or SID without a scan, a page
//! costs its own length however deep it lies, and an unfiltered total is a subtraction; only the
//! filters without an index (assistant, phone, SID part, name, duration) look at every record of
//! their date range and status.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::invent::Inventor;
use super::json;
use super::life::{Life, Rates};
use super::order::{Order, Place, place};
use super::record::{Flavour, InvalidRecord, Record};
use crate::model::Timestamp;

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub flavour: Flavour,
    /// Everything random follows from it: records, life, and the order of ties.
    pub seed: u64,
    pub organization_id: i64,
    /// The one key that is let in.
    pub api_key: String,
    /// How many records there are to begin with, the next two counts included.
    pub calls: usize,
    /// How many of them share one instant, in the middle of the history.
    pub same_instant: usize,
    /// How many have no `started_at`.
    pub without_start: usize,
    /// The world's present.
    pub now: Timestamp,
    /// How far back the history reaches from `now`.
    pub span: Duration,
    /// How life goes on from `now`.
    pub rates: Rates,
    /// Serve at most that many rows a page, whatever `limit` asks for.
    pub page_cap: Option<usize>,
}

impl Default for WorldConfig {
    /// A thousand calls of the thirty days before 2026-11-22T06:00:00Z, hosted, and still.
    fn default() -> WorldConfig {
        WorldConfig {
            flavour: Flavour::Hosted,
            seed: 1,
            organization_id: 7,
            api_key: "burki_0123456789abcdefghijklmnopqrstuv".to_owned(),
            calls: 1000,
            same_instant: 5,
            without_start: 3,
            now: Timestamp::from_micros(1_795_327_200_000_000),
            span: Duration::from_secs(30 * 86_400),
            rates: Rates::STILL,
            page_cap: None,
        }
    }
}

/// A record can't be put in: its id or its SID is another record's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {id}: the id or the call_sid is taken")]
pub struct Taken {
    pub id: i64,
}

/// One organization's upstream.
pub struct World {
    pub(super) config: WorldConfig,
    pub(super) now: Timestamp,
    pub(super) life: Life,
    /// Draws the order of ties, apart from life, so that reading changes nothing that happens.
    pub(super) shuffle: StdRng,
    records: BTreeMap<i64, Record>,
    sids: HashMap<Arc<str>, i64>,
    all: Order,
    by_status: BTreeMap<Arc<str>, Order>,
    assistants: BTreeSet<i64>,
    last_id: i64,
}

impl World {
    /// A world with its history.
    pub fn new(config: WorldConfig) -> World {
        let mut inventor = Inventor::new(config.seed, config.calls);
        let starts = starts(&config, &mut inventor);
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
            last_id: 1000,
        };
        for started_at in starts {
            world.remember(started_at);
        }
        world.set_rates(rates);
        world
    }

    /// Puts in a call of the past, ended unless it would still be going on.
    fn remember(&mut self, started_at: Option<Timestamp>) {
        let inventor = &mut self.life.inventor;
        let id = inventor.id_after(self.last_id);
        let mut record = inventor.call(id, started_at);
        let ending = inventor.ending();
        let length = Duration::from_secs(u64::try_from(ending.duration).unwrap_or(0));
        let ended_at = started_at.map(|start| start + length);
        if ended_at.is_none_or(|end| end <= self.now) {
            record.status = ending.status;
            record.duration = Some(ending.duration);
            record.ended_at = ended_at;
            // Within a minute of its end a call is not billed yet.
            let billed = ended_at.is_none_or(|end| self.now.since(end) > Duration::from_secs(60));
            if billed && self.config.flavour == Flavour::Hosted {
                record.costs = Some(Box::new(inventor.costs(ending.duration)));
            }
        }
        self.put(record);
    }

    pub fn flavour(&self) -> Flavour {
        self.config.flavour
    }

    pub fn api_key(&self) -> &str {
        &self.config.api_key
    }

    /// Lets another key in, and the former no more.
    pub fn set_api_key(&mut self, api_key: impl Into<String>) {
        self.config.api_key = api_key.into();
    }

    pub fn organization_id(&self) -> i64 {
        self.config.organization_id
    }

    /// Makes the key one of another organization, as `/users/me` tells it.
    pub fn set_organization_id(&mut self, organization_id: i64) {
        self.config.organization_id = organization_id;
    }

    /// Serves at most `rows` a page from now on, whatever is asked for.
    pub fn set_page_cap(&mut self, rows: Option<usize>) {
        self.config.page_cap = rows;
    }

    /// The world's present: what it was made with, or last advanced to.
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
        self.records.get(&id)
    }

    pub fn get_by_sid(&self, call_sid: &str) -> Option<&Record> {
        self.get(*self.sids.get(call_sid)?)
    }

    /// The record's text, as this flavour serves it.
    pub fn text(&self, id: i64) -> Option<String> {
        Some(self.get(id)?.to_json(self.flavour()))
    }

    /// All records, by ascending id.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Id, SID and text of every record, by ascending id.
    pub fn texts(&self) -> impl Iterator<Item = (i64, &str, String)> {
        self.records()
            .map(|record| (record.id, &*record.call_sid, record.to_json(self.flavour())))
    }

    /// The ids of up to `count` records, newest start first, those without a start before all;
    /// unlike a list's, in one order: ties by descending id.
    pub fn newest(&self, count: usize) -> Vec<i64> {
        let places = self.all.places().iter().rev();
        places.take(count).map(|(_, id)| *id).collect()
    }

    /// Puts in a record as it is.
    pub fn insert(&mut self, record: Record) -> Result<(), Taken> {
        let id = record.id;
        if self.records.contains_key(&id) || self.sids.contains_key(&record.call_sid) {
            return Err(Taken { id });
        }
        self.put(record);
        Ok(())
    }

    /// Puts in the record this flavour writes as `text`, and returns its id.
    pub fn insert_json(&mut self, text: &str) -> Result<i64, InvalidRecord> {
        let record = Record::from_json(self.flavour(), text)?;
        let id = record.id;
        self.insert(record)?;
        Ok(id)
    }

    /// An invented call begins, with the next id, which is returned. It stays open until ended.
    pub fn start_call(&mut self, started_at: Option<Timestamp>) -> i64 {
        let id = self.life.inventor.id_after(self.last_id);
        let record = self.life.inventor.call(id, started_at);
        self.put(record);
        id
    }

    /// Changes any field but the id and the SID, which stay what they were. False where there is
    /// no such record.
    pub fn update(&mut self, id: i64, change: impl FnOnce(&mut Record)) -> bool {
        let Some(record) = self.records.get_mut(&id) else {
            return false;
        };
        let before = place(record.started_at, id);
        let (sid, status) = (record.call_sid.clone(), record.status.clone());
        change(record);
        record.id = id;
        record.call_sid = sid;
        let after = place(record.started_at, id);
        self.assistants.insert(record.assistant_id);
        if before == after && record.status == status {
            return true;
        }
        let new_status = record.status.clone();
        self.unindex(before, &status);
        self.index(after, new_status);
        true
    }

    /// The call ends: status, `ended_at`, and the duration where it has a start.
    pub fn end_call(&mut self, id: i64, at: Timestamp, status: &str) -> bool {
        self.update(id, |record| {
            record.status = status.into();
            record.ended_at = Some(at);
            record.duration = record
                .started_at
                .map(|start| i64::try_from(at.since(start).as_secs()).unwrap_or(i64::MAX));
        })
    }

    /// Moves the call's start, to another place in every list.
    pub fn move_start(&mut self, id: i64, started_at: Option<Timestamp>) -> bool {
        self.update(id, |record| record.started_at = started_at)
    }

    /// Replaces `call_meta` by an object's text, taken verbatim; none is `null`.
    pub fn set_metadata(&mut self, id: i64, text: Option<&str>) -> bool {
        self.update(id, |record| record.call_meta = text.map(Box::from))
    }

    /// Merges an object into `call_meta`, as `PATCH …/metadata` does; `null` removes a key. False
    /// also where either is no object.
    pub fn merge_metadata(&mut self, id: i64, patch: &str) -> bool {
        let Some(record) = self.records.get_mut(&id) else {
            return false;
        };
        match json::merge(record.call_meta.as_deref().unwrap_or("{}"), patch) {
            Ok(merged) => {
                record.call_meta = Some(merged.into());
                true
            }
            Err(_) => false,
        }
    }

    /// Deletes a record without a trace, and returns it.
    pub fn delete(&mut self, id: i64) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.sids.remove(&record.call_sid);
        self.unindex(place(record.started_at, id), &record.status);
        Some(record)
    }

    /// Deletes an assistant and all its calls; returns how many there were. The self-hosted
    /// server answers its id with a 500 from then on.
    pub fn delete_assistant(&mut self, assistant_id: i64) -> usize {
        self.assistants.remove(&assistant_id);
        let ids: Vec<i64> = self
            .records()
            .filter(|record| record.assistant_id == assistant_id)
            .map(|record| record.id)
            .collect();
        for id in &ids {
            self.delete(*id);
        }
        ids.len()
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

    /// The places a list of that status may draw from.
    pub(super) fn order(&self, status: Option<&str>) -> Option<&Order> {
        match status {
            Some(status) => self.by_status.get(status),
            None => Some(&self.all),
        }
    }

    fn put(&mut self, record: Record) {
        let at = place(record.started_at, record.id);
        self.last_id = self.last_id.max(record.id);
        self.assistants.insert(record.assistant_id);
        self.sids.insert(record.call_sid.clone(), record.id);
        self.index(at, record.status.clone());
        self.records.insert(record.id, record);
    }

    fn index(&mut self, at: Place, status: Arc<str>) {
        self.all.insert(at);
        self.by_status.entry(status).or_default().insert(at);
    }

    fn unindex(&mut self, at: Place, status: &str) {
        self.all.remove(at);
        if let Some(order) = self.by_status.get_mut(status) {
            order.remove(at);
        }
    }
}

/// The starts of the history: ascending, so that ids rise with time and the index grows at its
/// end, with the rows that share an instant in the middle and those without a start last.
fn starts(config: &WorldConfig, inventor: &mut Inventor) -> Vec<Option<Timestamp>> {
    let without = config.without_start.min(config.calls);
    let tied = config.same_instant.min(config.calls - without);
    let span = u64::try_from(config.span.as_micros()).unwrap_or(u64::MAX);
    let mut starts: Vec<Timestamp> = (without + tied..config.calls)
        .map(|_| {
            let back = inventor.rng.random_range(0..=span) / 1_000_000 * 1_000_000;
            (config.now - Duration::from_micros(back) - Duration::from_secs(1))
                + inventor.fraction()
        })
        .collect();
    let middle = config.now - Duration::from_secs(config.span.as_secs() / 2);
    let instant = middle - Duration::from_micros(middle.as_micros().rem_euclid(1_000_000) as u64);
    starts.extend(std::iter::repeat_n(instant, tied));
    starts.sort_unstable();
    let starts = starts.into_iter().map(Some);
    starts.chain(std::iter::repeat_n(None, without)).collect()
}
