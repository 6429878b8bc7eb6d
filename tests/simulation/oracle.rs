//! Knows everything the upstream ever said, and holds the replica against it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use burki_edge::model::{Timestamp, Window};
use burki_edge::simulator::World;
use burki_edge::store::{Changed, Reader};
use burki_edge::sync::NEVER;

/// One text of a record, until the next.
struct Version {
    text: String,
    start: Timestamp,
    since: Timestamp,
}

#[derive(Default)]
struct Life {
    versions: Vec<Version>,
    /// It was not there from then on, until the next version.
    deleted: Vec<Timestamp>,
    /// The version that was served last.
    served: Option<usize>,
}

impl Life {
    fn is_alive(&self) -> bool {
        let born = self.versions.last().map(|version| version.since);
        born.is_some() && self.deleted.last().copied() < born
    }

    /// The version at an instant, unless it was not there.
    fn at(&self, instant: Timestamp) -> Option<usize> {
        let after = self
            .versions
            .partition_point(|version| version.since <= instant);
        let version = after.checked_sub(1)?;
        let since = self.versions[version].since;
        let gone = self.deleted.iter().any(|at| *at >= since && *at <= instant);
        (!gone).then_some(version)
    }
}

#[derive(Default)]
pub struct Oracle {
    lives: BTreeMap<i64, Life>,
    /// What a consumer of the changes holds, and how far it has come.
    consumer: BTreeMap<i64, String>,
    consumed: u64,
    feed: String,
}

/// The replica's rows.
pub type Rows = BTreeMap<i64, String>;

impl Oracle {
    /// Takes down what the world says now.
    pub fn note(&mut self, world: &mut World, now: Timestamp) {
        let mut alive = BTreeSet::new();
        let flavour = world.flavour();
        for record in world.records() {
            alive.insert(record.id);
            let life = self.lives.entry(record.id).or_default();
            let text = record.to_json(flavour);
            let known = life.is_alive() && life.versions.last().is_some_and(|v| v.text == text);
            if !known {
                life.versions.push(Version {
                    text,
                    start: record.started_at.unwrap_or(NEVER),
                    since: now,
                });
            }
        }
        for (id, life) in &mut self.lives {
            if life.is_alive() && !alive.contains(id) {
                life.deleted.push(now);
            }
        }
    }

    /// What holds of every state of the file.
    pub fn check_rows(&mut self, rows: &Rows) {
        for (id, text) in rows {
            let life = self
                .lives
                .get_mut(id)
                .unwrap_or_else(|| panic!("call {id} never was"));
            let from = life.served.unwrap_or(0);
            let version = life.versions[from..]
                .iter()
                .position(|version| version.text == *text);
            let Some(version) = version else {
                let ever = life.versions.iter().any(|version| version.text == *text);
                panic!(
                    "call {id}: the upstream {}: {text}",
                    if ever {
                        "said this before what was served already"
                    } else {
                        "never said this"
                    }
                );
            };
            life.served = Some(from + version);
        }
        for (id, life) in &mut self.lives {
            if life.served.is_some() && !rows.contains_key(id) {
                assert!(
                    !life.deleted.is_empty(),
                    "call {id} is removed, and the upstream never deleted it"
                );
                life.served = None;
            }
        }
    }

    /// Every call that was there when a window was verified, and is still, is in the replica, no
    /// older than it was then.
    pub fn check_windows(&self, windows: &[Window], rows: &Rows) {
        for (id, life) in self.lives.iter().filter(|(_, life)| life.is_alive()) {
            let start = life.versions.last().map_or(NEVER, |version| version.start);
            let window = windows
                .iter()
                .find(|window| window.from <= start && (start <= window.to || window.open_ended));
            let Some(window) = window else { continue };
            let Some(then) = life.at(window.verified.at) else {
                continue;
            };
            let since = &life.versions[then..];
            let moved = since.iter().any(|version| version.start != start);
            let returned = life.deleted.last().is_some_and(|at| *at >= since[0].since);
            if moved || returned {
                continue;
            }
            let held = rows
                .get(id)
                .unwrap_or_else(|| panic!("call {id}: {window:?} claims it, and it is not there"));
            assert!(
                since.iter().any(|version| version.text == *held),
                "call {id}: {window:?} claims a newer text"
            );
        }
    }

    /// While the status states a bound, nothing older than that is unseen.
    pub fn check_bound(&self, bound: Duration, now: Timestamp, rows: &Rows) {
        let before = now - bound;
        for (id, life) in &self.lives {
            if life.is_alive() {
                let Some(then) = life.at(before) else {
                    continue;
                };
                let seen = rows.get(id).is_some_and(|held| {
                    life.versions[then..]
                        .iter()
                        .any(|version| version.text == *held)
                });
                // One that moves from window to window may be read in none of them: the move is a
                // change of its own.
                let place = life.versions[then].start;
                let moved = life.versions[then..].iter().any(|v| v.start != place);
                let returned = life.deleted.last().is_some_and(|at| *at >= before);
                let versions = life.versions[then..].iter();
                let starts: Vec<_> = versions.map(|v| (v.since, v.start)).collect();
                assert!(
                    seen || returned || moved,
                    "call {id} has not been seen for longer than {bound:?} before {now:?}: held as \
                     {:?}, said and started {starts:?}",
                    rows.get(id),
                );
            } else if life.deleted.last().is_some_and(|at| *at < before) {
                assert!(
                    !rows.contains_key(id),
                    "call {id} was deleted longer than {bound:?} ago"
                );
            }
        }
    }

    /// At the end: every call, and no other.
    pub fn check_equal(&self, rows: &Rows) {
        let expected: Rows = self
            .lives
            .iter()
            .filter(|(_, life)| life.is_alive())
            .map(|(id, life)| (*id, life.versions[life.versions.len() - 1].text.clone()))
            .collect();
        let missing: Vec<_> = expected
            .keys()
            .filter(|id| !rows.contains_key(id))
            .collect();
        let extra: Vec<_> = rows
            .keys()
            .filter(|id| !expected.contains_key(id))
            .collect();
        let differ: Vec<_> = expected
            .iter()
            .filter(|(id, text)| rows.get(id).is_some_and(|held| held != *text))
            .map(|(id, _)| id)
            .collect();
        for id in &differ {
            println!("call {id}: {}\nis held as {}", expected[id], rows[id]);
        }
        assert!(
            missing.is_empty() && extra.is_empty() && differ.is_empty(),
            "missing {missing:?}, extra {extra:?}, different {differ:?}"
        );
    }

    /// A consumer of the changes, who asks now and then, holds what the replica holds.
    pub fn consume(&mut self, reader: &Reader, rows: &Rows) {
        loop {
            let changes = reader.changes(self.consumed, 7).expect("changes");
            assert!(
                self.feed.is_empty() || self.feed == changes.feed_id,
                "another feed"
            );
            self.feed = changes.feed_id;
            for change in changes.items {
                assert!(change.seq > self.consumed, "out of order");
                self.consumed = change.seq;
                match change.what {
                    Changed::Upsert(body) => {
                        let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                        let id = value["id"].as_i64().expect("an id");
                        self.consumer.insert(id, body);
                    }
                    Changed::Delete(id) => {
                        self.consumer.remove(&id);
                    }
                }
            }
            if !changes.more {
                break;
            }
        }
        assert!(
            self.consumer == *rows,
            "the consumer of the changes holds something else"
        );
    }
}
