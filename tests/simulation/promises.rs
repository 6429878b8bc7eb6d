//! What the edge promises of single changes, held against it: on a quiet upstream one change
//! follows the other, and each has to be here within the bound that `docs/guarantees.md` states.

use std::fmt;
use std::time::Duration;

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::World;
use burki_edge::store::Reader;
use burki_edge::sync::{Hint, Phase, UpstreamState};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::scenario::Life;

/// What the answers themselves take, and how closely is looked.
const SLACK: Duration = Duration::from_secs(2);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// How soon: so many intervals between counts, and polls.
#[derive(Clone, Copy)]
pub struct Within {
    intervals: u32,
    polls: u32,
}

impl Within {
    const fn polls(polls: u32) -> Within {
        Within {
            intervals: 0,
            polls,
        }
    }

    const fn intervals(intervals: u32, polls: u32) -> Within {
        Within { intervals, polls }
    }

    fn span(self, poll: Duration) -> Duration {
        self.intervals * (6 * poll).min(MINUTE) + self.polls * poll
    }
}

impl fmt::Display for Within {
    /// As the table has it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let polls = match self.polls {
            1 => "a poll".to_owned(),
            2 => "two polls".to_owned(),
            3 => "three polls".to_owned(),
            12 => "twelve polls".to_owned(),
            polls => format!("{polls} polls"),
        };
        match self.intervals {
            0 => write!(out, "{polls}"),
            1 => write!(out, "an interval and {polls}"),
            intervals => write!(out, "{intervals} intervals and {polls}"),
        }
    }
}

/// A row of the table that a quiet upstream is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A new call, or any change among the newest page.
    Newest,
    /// The end of an open call far below.
    End,
    Hinted,
    /// A call appears or is deleted anywhere.
    Deep,
    /// One of a few more than a page that share an instant.
    Crowded,
    /// An insertion and a deletion whose counts cancel.
    Cancelling,
    /// In place, of a call that ended some time ago.
    InPlace,
    /// The newest call below rows that can't be read.
    BelowUnreadable,
}

/// What changes, in the words of the table; within what, where the upstream is hosted and where it
/// is self-hosted, or `None` where the bound is not one of polls.
type Row = (Change, &'static str, Option<(Within, Within)>);

/// The rows, as `docs/guarantees.md` has them.
#[rustfmt::skip]
const TABLE: [Row; 8] = {
    use Change as C;
    const fn both(within: Within) -> Option<(Within, Within)> {
        Some((within, within))
    }
    [
        (C::Newest, "A new call, or any change among the newest 1,000", both(Within::polls(1))),
        (C::End, "The end of an open call that is less than a day old, however many are newer", both(Within::polls(2))),
        (C::Hinted, "A call that a [hint](api.md#hints) names", None),
        (C::Deep, "A call that appears or is deleted anywhere in history, one after the other", Some((Within::polls(3), Within::intervals(1, 3)))),
        (C::Crowded, "A deletion among 1,300 calls of one instant", Some((Within::polls(12), Within::intervals(1, 12)))),
        (C::Cancelling, "An insertion and a deletion between two counts, at least a sixteenth of all calls apart", Some((Within::intervals(32, 3), Within::intervals(33, 3)))),
        (C::InPlace, "The same, closer together; and any change in place of an ended call", None),
        (C::BelowUnreadable, "The newest call while rows above it can't be read", both(Within::polls(2))),
    ]
};

#[test]
fn the_documents_state_the_bounds_that_are_checked() {
    let read = |name: &str| {
        let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("the table")
    };
    let (text, readme) = (read("docs/guarantees.md"), read("README.md"));
    for (change, row, bounds) in TABLE {
        let stated = match bounds {
            Some((hosted, other)) if hosted.to_string() == other.to_string() => {
                format!("| {row} | {hosted} | {hosted} |")
            }
            Some((hosted, other)) => format!("| {row} | {hosted} | {other} |"),
            None if change == Change::Hinted => format!("| {row} | a second | a second |"),
            None => format!("| {row} | its tier: `age / 20`, at least a poll, at most"),
        };
        assert!(text.contains(&stated), "not in the table: {stated}");
        if let (Change::Newest, Some((hosted, _))) = (change, bounds) {
            let stated = format!("{row}, is here within {hosted} ");
            assert!(readme.contains(&stated), "not in the README: {stated}");
        }
    }
}

/// A call, and what is to be read of it: a text, or nothing.
type Expected = (i64, Option<String>);

impl Life {
    /// One change after the other, each on an upstream at rest.
    pub async fn keep_promises(&mut self) {
        if self.story.cached.is_some() {
            // What an intermediary keeps is as old as it is.
            return;
        }
        self.calm().await;
        let count = self.random.random_range(2..6);
        for _ in 0..count {
            let change = TABLE
                .choose(&mut self.random)
                .map_or(Change::Newest, |row| row.0);
            // Half an hour of polls: now and then is enough.
            if change == Change::Cancelling && self.random.random_bool(0.7) {
                continue;
            }
            self.prepare(change).await;
            let Some((expected, hint)) = self.change(change) else {
                continue;
            };
            if let (Some(edge), Some(key)) = (&self.edge, hint) {
                edge.handle.hint(Hint::Call(key));
            }
            let bound = self.bound(change, &expected);
            self.wait_for(change, &expected, bound).await;
            self.rest().await;
        }
    }

    /// The edge begins anew with the schedule of production, where tiers reach to a day, and is
    /// left to itself for a while. The upstream answers quickly.
    async fn calm(&mut self) {
        self.stop().await;
        let settings = &mut self.story.settings;
        settings.reconcile_interval = DAY;
        if settings.max_requests_per_minute == 6000 {
            let poll = self.random.random_range(2..=10);
            settings.poll_interval = Duration::from_secs(poll);
        }
        self.shared.lock().quick = true;
        self.start();
        loop {
            tokio::time::sleep(MINUTE).await;
            let status = self.status();
            if status.phase == Phase::Live && status.state == UpstreamState::Online {
                break;
            }
        }
        // Calls without a start that could not be read are tried again after ten minutes.
        tokio::time::sleep(15 * MINUTE).await;
        self.check();
    }

    async fn rest(&mut self) {
        self.clear_faults();
        // The newest page has its length again, and what could not be read is read.
        let polls = 12 * self.story.settings.poll_interval;
        tokio::time::sleep(polls).await;
        let begun = tokio::time::Instant::now();
        while self.status().unreadable > 0 {
            if begun.elapsed() > DAY {
                self.explain();
                panic!("rows are not read again");
            }
            tokio::time::sleep(MINUTE).await;
        }
        let seconds = self.random.random_range(1..200);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.check();
    }

    /// What has to be there before the change itself, and is not promised within its bound.
    async fn prepare(&mut self, change: Change) {
        let now = self.shared.now();
        match change {
            Change::End => {
                let ago = Duration::from_secs(self.random.random_range(600..80_000));
                self.shared
                    .change(|world| world.start_call(Some(now - ago)));
            }
            Change::InPlace => {
                let ago = Duration::from_secs(self.random.random_range(60..7200));
                self.shared.change(|world| {
                    let id = world.start_call(Some(now - ago));
                    world.end_call(id, now - ago / 2, "completed");
                });
            }
            Change::BelowUnreadable => {
                let mut stage = self.shared.lock();
                let ids = newest(&stage.world);
                for (_, id) in ids.iter().take(self.random.random_range(1..4)) {
                    stage.faults.make_unreadable(*id);
                }
            }
            _ => return,
        }
        tokio::time::sleep(5 * MINUTE).await;
    }

    /// Makes it. `None` where this world has nothing to make it of.
    fn change(&mut self, change: Change) -> Option<(Vec<Expected>, Option<CallKey>)> {
        let now = self.shared.now();
        let page = self.page();
        let (calls, all) = {
            let stage = self.shared.lock();
            (newest(&stage.world), stage.world.len())
        };
        let without_start = all - calls.len();
        // So many with a start are on the first page for certain: ties come in any order.
        let head = (page - without_start.min(page / 2)).min(calls.len());
        let cut = calls.get(head).map(|(start, _)| *start);
        let newest = &calls[..calls.partition_point(|(start, _)| Some(*start) > cut)];
        // How old a call is, the edge has from its own clock.
        let day_ago = now.max((self.clock())()) - DAY;
        let random = &mut self.random;
        let ago = Duration::from_secs(random.random_range(0..10_000_000));
        let note = format!(r#"{{"note":{}}}"#, random.random::<u32>());
        let made = match change {
            Change::Newest => match (random.random_range(0..3), newest.choose(random)) {
                (0, Some((_, id))) => Made::Noted(*id),
                (1, Some((_, id))) if newest.len() > 3 => Made::Deleted(*id),
                _ => Made::Begun(now),
            },
            Change::End => {
                let stage = self.shared.lock();
                let young = calls.iter().filter(|(start, _)| *start > day_ago);
                let open = young.filter(|(_, id)| {
                    let call = stage.world.get(*id);
                    call.is_some_and(|call| ["ongoing", "in-progress"].contains(&&*call.status))
                });
                let open: Vec<i64> = open.map(|(_, id)| *id).collect();
                Made::Ended(*open.choose(random)?)
            }
            Change::Hinted => Made::Noted(calls.choose(random)?.1),
            Change::Deep if random.random_bool(0.5) => Made::Late(now - ago),
            // None of those that are left could vouch for its deletion.
            Change::Deep if calls.len() < 3 => return None,
            Change::Deep => {
                let sparse = calls
                    .iter()
                    .filter(|(start, _)| tied(&calls, *start) < page);
                let sparse: Vec<i64> = sparse.map(|(_, id)| *id).collect();
                Made::Deleted(*sparse.choose(random)?)
            }
            Change::Crowded => {
                let crowd = |start| {
                    let tied = tied(&calls, start);
                    tied > page && tied <= page * 13 / 10
                };
                let crowded = calls.iter().filter(|(start, _)| crowd(*start));
                let crowded: Vec<i64> = crowded.map(|(_, id)| *id).collect();
                Made::Deleted(*crowded.choose(random)?)
            }
            Change::Cancelling => {
                // Below the head, and a quarter of all calls apart.
                let quarter = calls.len() / 4;
                if calls.len() < 6 * page || tied(&calls, calls[quarter * 2].0) >= page {
                    return None;
                }
                Made::Both(calls[quarter * 3].0, calls[quarter * 2].1)
            }
            Change::InPlace if self.story.jumps => return None,
            Change::InPlace => {
                let stage = self.shared.lock();
                let old = calls.iter().filter(|(start, _)| {
                    let age = now.since(*start);
                    age > MINUTE && age < 3 * 3600 * SECOND
                });
                let ended = old.filter(|(_, id)| {
                    stage
                        .world
                        .get(*id)
                        .is_some_and(|call| &*call.status == "completed")
                });
                let ended: Vec<i64> = ended.map(|(_, id)| *id).collect();
                Made::Noted(*ended.choose(random)?)
            }
            Change::BelowUnreadable => Made::Begun(now),
        };
        let key = match (change, made) {
            (Change::Hinted, Made::Noted(id)) => Some(CallKey::Id(id)),
            _ => None,
        };
        let expected = self.shared.change(|world| made.make(world, now, &note));
        Some((expected, key))
    }

    /// So many rows are told on a page.
    fn page(&self) -> usize {
        let stage = self.shared.lock();
        let most = stage.world.config().page_cap.unwrap_or(usize::MAX);
        let served = usize::try_from(stage.world.config().most_rows).unwrap_or(usize::MAX);
        // What does not break is found by halves.
        let arrives = stage.breaks_above.map_or(usize::MAX, |rows| rows / 2);
        let limit = self.story.settings.page_limit;
        let doubled = usize::from(stage.world.config().doubled > 0.0);
        limit.min(most).min(served).min(arrives) - doubled
    }

    /// The newest page tells how many calls there are. It does not where it is read below those
    /// without a start, which would fill half of it.
    fn heads_tell_total(&self) -> bool {
        let stage = self.shared.lock();
        let calls = stage.world.records();
        let without_start = calls.filter(|call| call.started_at.is_none()).count();
        drop(stage);
        self.shared.lock().tells_total() && 2 * without_start < self.page()
    }

    fn bound(&self, change: Change, expected: &[Expected]) -> Duration {
        let poll = self.story.settings.poll_interval;
        let row = TABLE.iter().find(|row| row.0 == change);
        match (row.and_then(|row| row.2), change) {
            (Some((hosted, self_hosted)), _) => match self.heads_tell_total() {
                true => hosted.span(poll),
                false => self_hosted.span(poll),
            },
            (None, Change::Hinted) => SECOND,
            (None, _) => {
                let stage = self.shared.lock();
                let call = expected.first().and_then(|(id, _)| stage.world.get(*id));
                let start = call.and_then(|call| call.started_at);
                let age = start.map_or(DAY, |start| stage.world.now().since(start));
                // It grows older meanwhile, and its page may have been read a poll late.
                (age / 19).max(poll) + poll
            }
        }
    }

    async fn wait_for(&mut self, change: Change, expected: &[Expected], bound: Duration) {
        let begun = tokio::time::Instant::now();
        loop {
            let reader = Reader::open(&self.path()).expect("a reader");
            let held = |id: i64| {
                let held = reader.call(&CallKey::Id(id)).expect("a read");
                held.map(|held| held.body.to_string())
            };
            let late = expected.iter().find(|(id, text)| held(*id) != *text);
            let Some((id, text)) = late else {
                return self.check();
            };
            if begun.elapsed() > bound + SLACK {
                self.explain();
                panic!(
                    "{change:?} is not here after {bound:?}: call {id} is held as {:?}, and is \
                     {text:?}",
                    held(*id)
                );
            }
            tokio::time::sleep(SECOND / 4).await;
        }
    }
}

/// What happens to which call.
#[derive(Clone, Copy)]
enum Made {
    Begun(Timestamp),
    Late(Timestamp),
    Noted(i64),
    Ended(i64),
    Deleted(i64),
    Both(Timestamp, i64),
}

impl Made {
    fn make(self, world: &mut World, now: Timestamp, note: &str) -> Vec<Expected> {
        let changed = match self {
            Made::Begun(start) => vec![world.start_call(Some(start))],
            Made::Late(start) => vec![late(world, start, now)],
            Made::Noted(id) => {
                world.set_metadata(id, Some(note));
                vec![id]
            }
            Made::Ended(id) => {
                world.end_call(id, now, "completed");
                vec![id]
            }
            Made::Deleted(id) => {
                world.delete(id);
                vec![id]
            }
            Made::Both(start, id) => {
                world.delete(id);
                vec![late(world, start, now), id]
            }
        };
        let texts = changed.into_iter().map(|id| (id, world.text(id)));
        texts.collect()
    }
}

/// A call of the past, announced now.
fn late(world: &mut World, start: Timestamp, now: Timestamp) -> i64 {
    let id = world.start_call(Some(start));
    world.end_call(id, now, "completed");
    id
}

/// All that have a start, the latest first.
fn newest(world: &World) -> Vec<(Timestamp, i64)> {
    // As their texts have it.
    let unit = world.config().unit;
    let started = world
        .records()
        .filter_map(|call| Some((call.started_at?.floor(unit), call.id)));
    let mut started: Vec<_> = started.collect();
    started.sort_unstable_by(|a, b| b.cmp(a));
    started
}

/// How many started then.
fn tied(calls: &[(Timestamp, i64)], start: Timestamp) -> usize {
    calls.iter().filter(|(other, _)| *other == start).count()
}
