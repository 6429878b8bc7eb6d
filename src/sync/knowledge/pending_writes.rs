//! The changes that the upstream does not have yet, as whoever serves calls lays them over the
//! stored texts. A snapshot that is replaced as a whole: a reader pays one load, and nothing where
//! nothing waits.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::metadata_merge;
use crate::store::{Outbox, Write};

/// Load it *before* reading a call's row: a change leaves it only once the row holds what came of
/// it, so that nobody who writes reads the old text again.
#[derive(Debug, Default)]
pub struct PendingWrites {
    calls: HashMap<i64, Vec<Arc<Write>>>,
    waiting: usize,
    failed: usize,
    conflicts: u64,
}

impl PendingWrites {
    pub(in crate::sync) fn of(outbox: &Outbox) -> PendingWrites {
        let mut pending = PendingWrites {
            conflicts: outbox.conflicts,
            ..PendingWrites::default()
        };
        for write in &outbox.writes {
            if write.failed.is_some() {
                pending.failed += 1;
                continue;
            }
            pending.waiting += 1;
            let call = pending.calls.entry(write.call_id).or_default();
            call.push(Arc::clone(write));
        }
        pending
    }

    /// Whether no call's text differs from the stored one.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The call's text as it will look; `None` where nothing of it waits, and it is as it is stored.
    pub fn overlay(&self, call_id: i64, body: &str) -> Option<String> {
        let writes = self.calls.get(&call_id)?;
        metadata_merge::overlay(body, writes.iter().map(|write| write.metadata.as_str()))
    }

    /// What waits of a call, in order.
    pub fn write_ids(&self, call_id: i64) -> impl Iterator<Item = u64> {
        let writes = self.calls.get(&call_id).map(Vec::as_slice);
        let writes = writes.unwrap_or_default().iter();
        writes.map(|write| write.write_id)
    }

    /// Changes that are still to be made.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Changes that can never be.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Changes that went over somebody else's of the same keys, ever.
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }
}
