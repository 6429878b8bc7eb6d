//! The changes that the upstream does not have yet, which readers lay over stored texts. A snapshot
//! that is replaced as a whole: a reader pays for one load, and no more where nothing waits.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::metadata_merge;
use crate::store::{Outbox, Write};

/// The waiting changes, by call. Load them *before* reading a call's row: a change leaves them only
/// once the row has its result, so that no client that made a change reads the old text again.
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

    /// Whether every call's text is the stored one.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The call's text as it will look; `None` where no change of it waits, and it is as stored.
    pub fn overlay(&self, call_id: i64, body: &str) -> Option<String> {
        let writes = self.calls.get(&call_id)?;
        metadata_merge::overlay(body, writes.iter().map(|write| write.metadata.as_str()))
    }

    /// The numbers of a call's waiting changes, in order.
    pub fn write_ids(&self, call_id: i64) -> impl Iterator<Item = u64> {
        let writes = self.calls.get(&call_id).map(Vec::as_slice);
        let writes = writes.unwrap_or_default().iter();
        writes.map(|write| write.write_id)
    }

    /// Changes that are still to be made.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Changes that can never be made.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Changes that overwrote another writer's change of the same keys, ever.
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }
}
