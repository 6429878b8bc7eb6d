//! Taking in another edge's order of changes: a page is one transaction, with the place it leads
//! to.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::merge::merge_call;
use super::observation::{Complete, Merged, Observation};
use super::suspects::{missing, suspect};
use super::tombstones::remove;
use super::writer::{is_confirmed, seal};
use crate::model::{Call, Timestamp, Verified, Window};
use crate::store::assistants;
use crate::store::{StoreError, Writer};

/// How far another edge's order of changes is in this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    pub feed_id: String,
    pub place: u64,
    /// Whoever is held was told of since place 0.
    pub whole: bool,
}

/// What a page of the order says. No call is in it twice.
#[derive(Debug)]
pub struct FeedPage {
    pub request: Verified,
    /// As in [`Observation`].
    pub oldest_in_flight: u64,
    pub newest_seq: u64,
    /// Each with the instant at which it was known to be true.
    pub calls: Vec<(Call, Timestamp)>,
    /// Proven to be gone, and when that was known.
    pub gone: Vec<(i64, Timestamp)>,
    /// At the end of a complete pass, what it listed, once for every range it speaks of: who is
    /// held there and was never told of is a suspect.
    pub passed: Vec<Complete>,
    pub followed: FeedPosition,
    pub windows: Option<Vec<Window>>,
}

impl FeedPage {
    /// As an answer that says only this.
    fn of(&self, at: Timestamp) -> Observation {
        Observation {
            request: Verified { at, ..self.request },
            oldest_in_flight: self.oldest_in_flight,
            newest_seq: self.newest_seq,
            calls: Vec::new(),
            singly: false,
            absent: None,
            denied: Vec::new(),
            complete: None,
            windows: None,
        }
    }
}

impl Writer {
    /// How far another edge was followed.
    pub fn followed(&self) -> Option<&FeedPosition> {
        self.followed.as_ref()
    }

    /// Takes in one page. On an error nothing of it was written.
    pub fn follow(&mut self, mut news: FeedPage) -> Result<Merged, StoreError> {
        news.calls.sort_by_key(|(call, _)| call.id);
        for (call, _) in &mut news.calls {
            assistants::name(&self.assistants, call);
        }
        let mut merged = Merged::default();
        let mut ledger = self.ledger();
        let mut wrote = false;
        let mut confirmed = HashSet::new();
        let transaction = self.begin()?;
        for (call, at) in &news.calls {
            let guard = self.confirmed.get(&call.id).copied().unwrap_or(0);
            let (news, suspicion) = (news.of(*at), self.suspicions.get(&call.id));
            let fate = merge_call(&transaction, &news, call, guard, suspicion, &mut ledger)?;
            wrote |= fate.wrote;
            if merged.count(fate.outcome) {
                confirmed.insert(call.id);
            }
        }
        for (id, at) in &news.gone {
            let denial = Verified {
                at: *at,
                ..news.request
            };
            if is_confirmed(&self.confirmed, *id, denial) {
                continue;
            }
            suspect(&transaction, *id, denial, &mut ledger)?;
            let gone = remove(&transaction, *id, denial, &mut ledger)?;
            merged.removed += usize::from(gone);
            wrote |= gone;
        }
        for complete in &news.passed {
            for id in missing(&transaction, news.request, complete, &self.confirmed)? {
                wrote |= suspect(&transaction, id, news.request, &mut ledger)?;
            }
        }
        if self.followed.as_ref() != Some(&news.followed) {
            write(&transaction, &news.followed)?;
            wrote = true;
        }
        let windows = (&**self.windows, news.windows.as_deref());
        let written = seal(transaction, &mut ledger, windows, news.newest_seq, wrote)?;
        self.keep(ledger);
        self.followed = Some(news.followed);
        self.verify(news.windows, written);
        self.forget_before(news.oldest_in_flight);
        if news.request.seq > news.oldest_in_flight {
            let seq = news.request.seq;
            self.confirmed
                .extend(confirmed.into_iter().map(|id| (id, seq)));
        }
        Ok(merged)
    }
}

pub fn read(connection: &Connection) -> rusqlite::Result<Option<FeedPosition>> {
    connection
        .prepare_cached("SELECT feed_id, place, whole FROM followed")?
        .query_row([], |row| {
            Ok(FeedPosition {
                feed_id: row.get(0)?,
                place: row.get(1)?,
                whole: row.get(2)?,
            })
        })
        .optional()
}

fn write(connection: &Connection, followed: &FeedPosition) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO followed (one, feed_id, place, whole) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (one) DO UPDATE SET feed_id = ?1, place = ?2, whole = ?3",
        )?
        .execute((&followed.feed_id, followed.place, followed.whole))
}
