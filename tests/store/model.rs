//! Random histories against a naive model, which keeps everything in maps and undoes by copying.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use burki_edge::model::{Call, CallKey, Timestamp};
use burki_edge::store::{
    Change, Changed, Complete, Merged, Observation, Reader, RowCounts, Trust, Writer,
};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::store_file::*;

const DAY: i64 = 86_400;

#[derive(Clone)]
struct Row {
    call: Call,
    seq: u64,
    /// Of a suspect: the request that told its text.
    told: u64,
    suspect: bool,
}

#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<i64, Row>,
    tombstones: BTreeMap<i64, u64>,
    confirmed: BTreeMap<i64, u64>,
    /// Whose place in the order of changes is new with the last step.
    moved: Vec<i64>,
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

impl Model {
    fn confirmed_after(&self, id: i64, seq: u64) -> bool {
        self.confirmed.get(&id).is_some_and(|other| *other > seq)
    }

    /// Who is held within the bounds, and not heard of since the request.
    fn held(&self, seq: u64, complete: &Complete) -> Vec<i64> {
        let within = |call: &Call| match call.started_at {
            Some(start) => complete
                .started
                .as_ref()
                .is_some_and(|bounds| bounds.contains(&start)),
            None => complete.without_start,
        };
        let held = self.rows.iter().filter(|(id, row)| {
            within(&row.call) && !row.suspect && row.seq < seq && !self.confirmed_after(**id, seq)
        });
        held.map(|(id, _)| *id).collect()
    }

    fn suspect(&mut self, id: i64, seq: u64) {
        let later = self.confirmed_after(id, seq);
        if let Some(row) = self.rows.get_mut(&id)
            && !row.suspect
            && row.seq <= seq
            && !later
        {
            row.suspect = true;
            row.told = row.seq;
            row.seq = seq;
        }
    }

    fn add_tombstone(&mut self, id: i64, seq: u64) {
        self.rows.remove(&id);
        self.tombstones.insert(id, seq);
        self.moved.push(id);
    }

    fn take_in(&mut self, call: &Call, seq: u64, singly: bool, merged: &mut Merged) {
        let id = call.id;
        let Some(row) = self.rows.get_mut(&id) else {
            if self.tombstones.get(&id).is_some_and(|by| *by > seq) {
                merged.stale += 1;
                return;
            }
            self.tombstones.remove(&id);
            let call = call.clone();
            let row = Row {
                call,
                seq,
                told: seq,
                suspect: false,
            };
            self.rows.insert(id, row);
            self.moved.push(id);
            merged.new += 1;
            return;
        };
        let told = if row.suspect { row.told } else { row.seq };
        let missed_since = row.suspect && seq < row.seq;
        if seq < told.max(self.confirmed.get(&id).copied().unwrap_or(0)) {
            merged.stale += 1;
        } else if row.call.body == call.body {
            if !missed_since {
                if singly || row.suspect {
                    row.seq = seq;
                }
                row.suspect = false;
            }
            self.confirmed.insert(id, seq);
            merged.unchanged += 1;
        } else {
            if json(&row.call.body) == json(&call.body) {
                merged.respelled += 1;
            } else {
                merged.changed += 1;
                self.moved.push(id);
            }
            *row = Row {
                call: call.clone(),
                seq: if missed_since { row.seq } else { seq },
                told: seq,
                suspect: missed_since,
            };
        }
    }

    fn merge(&mut self, learned: &Observation) -> Merged {
        self.moved.clear();
        let before = self.clone();
        let seq = learned.request.seq;
        let mut merged = Merged::default();
        for call in &learned.calls {
            self.take_in(call, seq, learned.singly, &mut merged);
        }
        for (id, denial) in &learned.denied {
            let suspect = |row: &Row| row.suspect && row.seq <= denial.seq;
            // What this very answer confirms is no suspect any more.
            if self.rows.get(id).is_some_and(suspect) && !before.confirmed_after(*id, denial.seq) {
                self.add_tombstone(*id, denial.seq);
                merged.removed += 1;
            }
        }
        if let Some(CallKey::Id(id)) = learned.absent {
            self.suspect(id, seq);
        }
        if let Some(complete) = &learned.complete {
            let told = |id: &i64| {
                complete.listed.contains(id) || learned.calls.iter().any(|call| call.id == *id)
            };
            let held_before = before.held(seq, complete);
            let mut missing = self.held(seq, complete);
            missing.retain(|id| !complete.listed.contains(id));
            let keeps_none = !held_before.iter().any(told);
            let all = missing.len() >= 3 && keeps_none;
            let believed = match complete.belief {
                Trust::Whole => true,
                Trust::UnlessMany => !all,
                Trust::UpTo(most) => (missing.is_empty() || !keeps_none) && missing.len() <= most,
            };
            if !believed {
                *self = before;
                return Merged {
                    unbelieved: missing.len(),
                    ..Merged::default()
                };
            }
            for id in missing {
                self.suspect(id, seq);
            }
        }
        merged
    }

    fn row_counts(&self) -> RowCounts {
        RowCounts {
            calls: self.rows.len() as u64,
            suspects: self.rows.values().filter(|row| row.suspect).count() as u64,
            tombstones: self.tombstones.len() as u64,
        }
    }
}

/// Somebody who is told of changes, and of nothing else.
#[derive(Default)]
struct Consumer {
    calls: BTreeMap<i64, String>,
    next: u64,
}

impl Consumer {
    fn pull(&mut self, reader: &Reader, limit: usize) -> bool {
        let changes = reader.changes(self.next, limit).expect("changes");
        for change in &changes.items {
            assert!(change.seq > self.next, "out of order");
            self.next = change.seq;
            match &change.what {
                Changed::Upsert(body) => {
                    let id = json(body)["id"].as_i64().expect("an id");
                    self.calls.insert(id, body.clone());
                }
                Changed::Delete(id) => {
                    self.calls.remove(id);
                }
            }
        }
        assert_eq!(changes.next, self.next);
        assert!(changes.items.len() <= limit);
        changes.more
    }
}

#[derive(Clone, Debug)]
enum Step {
    Merge(Box<Answer>),
    RemoveSuspects(u64, u64, usize),
    Reopen,
    Pull(usize),
}

#[derive(Clone, Debug)]
struct Answer {
    seq: u64,
    /// Id, status, day, duration, whether it is spelled otherwise.
    rows: Vec<(i64, usize, i64, Option<i64>, bool)>,
    singly: bool,
    absent: Option<i64>,
    denied: Vec<(i64, u64)>,
    complete: Option<(RangeInclusive<i64>, bool, Trust)>,
}

const IDS: std::ops::Range<i64> = 0..8;

fn answers() -> impl Strategy<Value = Answer> {
    // Mostly one and the same, so that much is found unchanged.
    let rest = prop_oneof![
        4 => Just((1, 0, None, false)),
        1 => Just((1, 0, None, true)),
        3 => (0..2_usize, -2..3_i64, prop::option::of(0..2_i64), any::<bool>()),
    ];
    let row = (IDS, rest).prop_map(|(id, (status, day, duration, respelled))| {
        (id, status, day, duration, respelled)
    });
    let belief = prop_oneof![
        Just(Trust::Whole),
        Just(Trust::UnlessMany),
        (0..4_usize).prop_map(Trust::UpTo),
    ];
    let days = (-2..1_i64, 0..4_i64).prop_map(|(from, days)| from..=from + days);
    (
        1..60_u64,
        prop::collection::vec(row, 0..8),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, IDS),
        prop::collection::vec((IDS, 1..60_u64), 0..4),
        prop::option::of((days, any::<bool>(), belief)),
    )
        .prop_map(|(seq, rows, singly, absent, denied, complete)| Answer {
            seq,
            rows,
            singly,
            absent,
            denied,
            complete,
        })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => answers().prop_map(|answer| Step::Merge(Box::new(answer))),
        2 => (1..60_u64, 1..60_u64, 0..4_usize)
            .prop_map(|(seq, before, most)| Step::RemoveSuspects(seq, before, most)),
        1 => Just(Step::Reopen),
        2 => (0..4_usize).prop_map(Step::Pull),
    ]
}

fn learned(told: &Answer) -> Observation {
    let mut calls: Vec<Call> = Vec::new();
    for (id, status, day, duration, respelled) in &told.rows {
        if calls.iter().all(|call| call.id != *id) {
            let status = ["ongoing", "completed"][*status];
            // The last of the days stands for calls that never started.
            let start = (*day < 2).then_some(day * DAY);
            let call = record(*id, status, start, *duration, "");
            calls.push(if *respelled {
                Call::from_json(&call.body.replacen(':', ": ", 1)).expect("a record")
            } else {
                call
            });
        }
    }
    calls.sort_by_key(|call| call.id);
    let complete = told.complete.as_ref().map(|(days, without_start, belief)| {
        let at = |day: i64| Timestamp::from_micros(day * DAY * 1_000_000);
        Complete {
            started: Some(at(*days.start())..=at(*days.end())),
            without_start: *without_start,
            listed: calls.iter().map(|call| call.id).collect(),
            belief: *belief,
        }
    });
    Observation {
        oldest_in_flight: 0,
        singly: told.singly,
        absent: told.absent.map(CallKey::Id),
        complete,
        ..Observation {
            calls,
            ..denial(told.seq, &told.denied)
        }
    }
}

/// The place of each call in the order of changes.
fn places(reader: &Reader) -> BTreeMap<i64, u64> {
    let place = |change: &Change| match &change.what {
        Changed::Upsert(body) => (json(body)["id"].as_i64().expect("an id"), change.seq),
        Changed::Delete(id) => (*id, change.seq),
    };
    let changes = reader.changes(0, usize::MAX).expect("changes");
    changes.items.iter().map(place).collect()
}

fn check(path: &Path, writer: &Writer, model: &Model, before: &BTreeMap<i64, u64>) {
    let reader = Reader::open(path).expect("a reader");
    for id in IDS {
        let held = reader.call(&CallKey::Id(id)).expect("a read");
        let held = held.map(|held| (held.body, held.suspect));
        let expected = model.rows.get(&id);
        let expected = expected.map(|row| (row.call.body.to_string(), row.suspect));
        assert_eq!(held, expected, "call {id}");
        let expected = model
            .tombstones
            .get(&id)
            .map(|seq| Timestamp::from_micros(*seq as i64));
        for key in [CallKey::Id(id), CallKey::Sid(format!("CA{id}"))] {
            assert_eq!(reader.tombstone(&key).expect("a read"), expected, "{key:?}");
        }
    }
    assert_eq!(writer.row_counts(), model.row_counts());
    let totals = reader.totals().expect("totals");
    let counted = RowCounts {
        calls: totals.calls,
        suspects: totals.suspects,
        tombstones: totals.tombstones,
    };
    assert_eq!(counted, model.row_counts());
    assert_eq!(
        wrong_rollups(&rusqlite::Connection::open(path).expect("the file")),
        0
    );
    assert_eq!(
        wrong_books(&rusqlite::Connection::open(path).expect("the file")),
        0
    );

    let after = places(&reader);
    let newest = before.values().max().copied().unwrap_or(0);
    for (id, place) in &after {
        if model.moved.contains(id) {
            assert!(*place > newest, "call {id} changed and stays at {place}");
        } else {
            assert_eq!(before.get(id), Some(place), "call {id} did not change");
        }
    }
    let mut fresh = Consumer::default();
    while fresh.pull(&reader, 3) {}
    let held = model.rows.iter();
    let held: BTreeMap<_, _> = held
        .map(|(id, row)| (*id, row.call.body.to_string()))
        .collect();
    assert_eq!(fresh.calls, held, "who reads from zero holds every text");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_history_of_answers_absences_and_removals_equals_a_naive_map(
        steps in prop::collection::vec(steps(), 1..30)
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("edge.db");
        let mut writer = Writer::open(&path, URL).unwrap();
        let feed = writer.feed_id().to_owned();
        let mut model = Model::default();
        let mut consumer = Consumer::default();
        for step in steps {
            let reader = Reader::open(&path).unwrap();
            let before = places(&reader);
            match step {
                Step::Merge(told) => {
                    let merged = writer.merge(learned(&told)).unwrap();
                    prop_assert_eq!(merged, model.merge(&learned(&told)));
                }
                Step::RemoveSuspects(seq, before_seq, at_most) => {
                    model.moved.clear();
                    let due = |row: &Row| row.suspect && row.seq < before_seq;
                    let due = model.rows.iter().filter(|(_, row)| due(row));
                    let due: Vec<i64> = due.map(|(id, _)| *id).collect();
                    let removed = writer.remove_suspects(request(seq), before_seq, at_most).unwrap();
                    prop_assert_eq!(removed, due.len().min(at_most));
                    for id in due {
                        if reader.tombstone(&CallKey::Id(id)).unwrap().is_some() {
                            model.add_tombstone(id, seq);
                        }
                    }
                    prop_assert_eq!(model.moved.len(), removed);
                }
                Step::Reopen => {
                    drop(writer);
                    writer = Writer::open(&path, URL).unwrap();
                    prop_assert_eq!(writer.feed_id(), &feed);
                    model.confirmed.clear();
                    model.rows.values_mut().for_each(|row| row.told = row.seq);
                    model.moved.clear();
                }
                Step::Pull(limit) => {
                    consumer.pull(&reader, limit);
                    model.moved.clear();
                }
            }
            check(&path, &writer, &model, &before);
            let mut suspects = writer.suspects(usize::MAX).unwrap();
            suspects.sort_unstable();
            let expected = model.rows.iter().filter(|(_, row)| row.suspect);
            prop_assert_eq!(suspects, expected.map(|(id, _)| *id).collect::<Vec<_>>());
        }
        let reader = Reader::open(&path).unwrap();
        while consumer.pull(&reader, 2) {}
        let told = consumer.calls.iter().map(|(id, body)| (*id, json(body)));
        let held = model.rows.iter().map(|(id, row)| (*id, json(&row.call.body)));
        prop_assert!(told.eq(held), "who goes on from where he stopped holds the same");
    }
}
