//! Merging another edge's change feed: a page is one transaction, with the cursor after it.

use std::collections::HashSet;

use crate::model::{Call, Timestamp, Verified, Window};
use crate::store::assistants;
use crate::store::error::StoreError;
use crate::store::write::feed_position::{FeedPosition, write};
use crate::store::write::merge::merge_call;
use crate::store::write::observation::{Complete, Merged, Observation};
use crate::store::write::suspects::{is_confirmed, missing, suspect};
use crate::store::write::tombstones::remove;
use crate::store::write::writer::Writer;
use crate::store::write::writer::seal;

/// One page of the feed. No call is in it twice.
#[derive(Debug)]
pub struct FeedPage {
    pub request: Verified,
    /// As in [`Observation`].
    pub oldest_in_flight: u64,
    pub newest_seq: u64,
    /// Each with the time at which it was known to be true.
    pub calls: Vec<(Call, Timestamp)>,
    /// Ids of deleted calls, each with the time at which the deletion was known.
    pub gone: Vec<(i64, Timestamp)>,
    /// At the end of a complete pass, what it listed of each range; a call stored there that was
    /// never listed becomes a suspect.
    pub passed: Vec<Complete>,
    pub followed: FeedPosition,
    pub windows: Option<Vec<Window>>,
}

impl FeedPage {
    /// An observation as of `at`, with no content.
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
    /// The position in the other edge's feed.
    pub fn followed(&self) -> Option<&FeedPosition> {
        self.followed.as_ref()
    }

    /// Merges one page. After an error nothing of it is written.
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
        self.apply_ledger(ledger);
        self.followed = Some(news.followed);
        self.record_windows(news.windows, written);
        self.forget_before(news.oldest_in_flight);
        if news.request.seq > news.oldest_in_flight {
            let seq = news.request.seq;
            self.confirmed
                .extend(confirmed.into_iter().map(|id| (id, seq)));
        }
        Ok(merged)
    }
}
