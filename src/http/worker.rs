//! What each worker thread of the server has to itself, and what it can say of a call.

use std::sync::Arc;

use tokio::sync::watch;

use super::Shared;
use super::freshness::Origin;
use crate::model::{CallKey, Timestamp};
use crate::store::{Held, Reader, StoreError};
use crate::sync::{SyncStatus, UpstreamState};

/// A worker's own view: its connection to the file is not shared, so a lookup never waits.
pub struct Worker {
    shared: Arc<Shared>,
    reader: Reader,
    status: watch::Receiver<SyncStatus>,
}

/// What the replica knows of a call. Ages are whole seconds since it was last verified.
#[derive(Debug)]
pub enum Known {
    Call {
        call: Held,
        age: u64,
    },
    /// There is none: all of the upstream's calls were read, and it was not among them.
    Absent {
        age: u64,
    },
    /// Neither the one nor the other.
    Nothing,
}

impl Worker {
    pub fn open(shared: Arc<Shared>) -> Result<Worker, StoreError> {
        let reader = Reader::open(&shared.store_path)?;
        let status = shared.handle.status();
        Ok(Worker {
            shared,
            reader,
            status,
        })
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The sync's latest word. Holds a lock that the engine needs: not across an `.await`.
    pub fn status(&self) -> watch::Ref<'_, SyncStatus> {
        self.status.borrow()
    }

    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    /// Where an answer comes from that is given without asking.
    pub fn origin(&self) -> Origin {
        match self.status().state {
            UpstreamState::Online => Origin::Replica,
            _ => Origin::ReplicaOffline,
        }
    }

    pub fn look_up(&self, key: &CallKey) -> Result<Known, StoreError> {
        // Before the row: the age told must not be younger than the text.
        let coverage = self.shared.handle.coverage();
        let held = self.reader.call(key)?;
        let age = |verified: Timestamp| self.now().since(verified).as_secs();
        let Some(call) = held else {
            let oldest = coverage
                .oldest()
                .filter(|_| coverage.is_complete(Timestamp::MIN));
            return Ok(oldest.map_or(Known::Nothing, |oldest| Known::Absent {
                age: age(oldest.at),
            }));
        };
        // No window's word holds for a suspect.
        let window = match call.suspect {
            true => None,
            false => coverage.known(call.started_at),
        };
        let verified = window.map_or(call.seen_at, |window| window.at.max(call.seen_at));
        Ok(Known::Call {
            age: age(verified),
            call,
        })
    }

    /// Whether all of the configured history was read.
    pub fn is_complete(&self) -> bool {
        let since = match self.shared.history {
            Some(back) => (self.now() - back).max(Timestamp::MIN),
            None => Timestamp::MIN,
        };
        self.shared.handle.coverage().is_complete(since)
    }
}
