//! A worker thread's own state, and how it looks up a call.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use tokio::sync::watch;

use crate::http::caching::call_cache::{CachedCall, CallCache};
use crate::http::caching::freshness::Origin;
use crate::http::caching::pending_header::pending_ids;
use crate::http::caching::response_cache::ResponseCache;
use crate::http::error::{ApiError, RETRY_SOON};
use crate::http::middleware::request_id::RequestIds;
use crate::http::reading::shared_transaction::Snapshot;
use crate::http::shared::Shared;
use crate::model::{CallKey, Timestamp, latest_age};
use crate::store::{Reader, StoreError};
use crate::sync::{Coverage, PendingWrites, Phase, SyncStatus, UpstreamState};

/// The state of one worker. Its connection to the file is not shared, so a lookup never waits.
pub struct Worker {
    shared: Arc<Shared>,
    snapshot: Rc<Snapshot>,
    entries: RefCell<CallCache>,
    status: watch::Receiver<SyncStatus>,
    /// Cached answers that were computed from many rows.
    kept: RefCell<ResponseCache>,
    request_ids: RequestIds,
}

/// What the replica knows of a call. Ages are whole seconds since the last verification, at most
/// [`UNKNOWN_AGE`](crate::model::UNKNOWN_AGE).
#[derive(Debug)]
pub enum Lookup {
    Call {
        /// Its text includes the changes that wait for the upstream.
        call: Rc<CachedCall>,
        age: u64,
        /// The ids of these changes, for the header.
        pending: Option<HeaderValue>,
    },
    /// It does not exist: it was proven deleted, or all of the upstream's calls were read without
    /// it. It may be new if its key is not below the known ones.
    Absent { age: u64, may_be_new: bool },
    /// Neither is known.
    Nothing,
}

fn overlaid(
    pending: &PendingWrites,
    call: Rc<CachedCall>,
) -> (Rc<CachedCall>, Option<HeaderValue>) {
    if pending.is_empty() {
        return (call, None);
    }
    match pending.overlay(call.id, &call.body) {
        Some(body) => {
            let ids = pending_ids(pending, call.id);
            (Rc::new(call.with_body(body)), ids)
        }
        None => (call, None),
    }
}

impl Worker {
    pub fn open(shared: Arc<Shared>) -> Result<Worker, StoreError> {
        let reader = shared.readers.get()?;
        let revisions = Arc::clone(shared.handle.revisions());
        let status = shared.handle.status();
        Ok(Worker {
            shared,
            snapshot: Snapshot::of(reader, revisions),
            entries: RefCell::default(),
            status,
            kept: RefCell::default(),
            request_ids: RequestIds::new(),
        })
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn reader(&self) -> &Reader {
        self.snapshot.reader()
    }

    /// The response cache. The borrow must not be held across an `.await`.
    pub fn kept(&self) -> RefMut<'_, ResponseCache> {
        self.kept.borrow_mut()
    }

    /// True if the upstream can be asked.
    pub fn is_online(&self) -> bool {
        self.status().state == UpstreamState::Online
    }

    pub fn request_ids(&self) -> &RequestIds {
        &self.request_ids
    }

    /// The sync's latest status. It holds a lock that the engine needs, so not across an `.await`.
    pub fn status(&self) -> watch::Ref<'_, SyncStatus> {
        self.status.borrow()
    }

    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    /// The origin of an answer that is given without asking the upstream.
    pub fn origin(&self) -> Origin {
        match self.is_online() {
            true => Origin::Replica,
            false => Origin::ReplicaOffline,
        }
    }

    /// Whole seconds since an instant at which the upstream's text was known.
    pub fn age(&self, at: Timestamp) -> u64 {
        latest_age(self.now(), [at])
    }

    /// Fails if the replica has read nothing yet: an empty answer would mean that there is nothing.
    pub fn has_read_anything(&self, coverage: &Coverage) -> Result<(), ApiError> {
        let holds_nothing = || Ok::<_, StoreError>(self.reader().highest_id()?.is_none());
        match coverage.windows().is_empty() && holds_nothing()? {
            false => Ok(()),
            true => Err(ApiError::NothingRead {
                retry_after: RETRY_SOON,
            }),
        }
    }

    pub fn look_up(&self, key: &CallKey) -> Result<Lookup, StoreError> {
        // Loaded before the row: the reported age must not be too young for the text, and a change
        // must be in the row or among those that wait.
        let coverage = self.shared.handle.coverage();
        let pending = self.shared.handle.pending();
        let entry = self.entry(key)?;
        let now = self.now();
        let Some(call) = entry else {
            let deleted = self
                .snapshot
                .now()?
                .tombstone(key)?
                .map(|at| latest_age(now, [at]));
            // Of all windows, because the call could have been in any.
            let windows = coverage.windows().iter();
            let missing = windows
                .map(|window| latest_age(now, [window.verified.at]))
                .max()
                .filter(|_| coverage.is_complete(Timestamp::MIN));
            let may_be_new = deleted.is_none()
                && match key {
                    // The upstream assigns ascending ids.
                    CallKey::Id(id) => Some(*id) > self.snapshot.now()?.highest_id()?,
                    CallKey::Sid(_) => true,
                };
            let known = deleted.into_iter().chain(missing).min();
            return Ok(known.map_or(Lookup::Nothing, |age| Lookup::Absent { age, may_be_new }));
        };
        // No window verifies a suspect.
        let window = match call.suspect {
            true => None,
            false => coverage.known(call.started_at),
        };
        let verified = window.map(|window| window.at).into_iter();
        let age = latest_age(now, verified.chain([call.seen_at]));
        let (call, pending) = overlaid(&pending, call);
        Ok(Lookup::Call { call, age, pending })
    }

    /// The call with the changes that wait for the upstream, and their ids, for the header.
    pub fn overlaid(&self, call: CachedCall) -> (Rc<CachedCall>, Option<HeaderValue>) {
        overlaid(&self.shared.handle.pending(), Rc::new(call))
    }

    /// The stored call.
    fn entry(&self, key: &CallKey) -> Result<Option<Rc<CachedCall>>, StoreError> {
        let read = || {
            Ok::<_, StoreError>(
                self.snapshot
                    .now()?
                    .call(key)?
                    .map(CachedCall::from)
                    .map(Rc::new),
            )
        };
        let CallKey::Id(id) = *key else {
            return read();
        };
        // Taken before the row is read: a later revision could be that of a newer row.
        let Some(revision) = self.shared.handle.revisions().of(id) else {
            return read();
        };
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.get(id, revision) {
            return Ok(Some(entry));
        }
        let read = read()?;
        if let Some(entry) = &read {
            entries.keep(revision, entry);
        }
        Ok(read)
    }

    /// True if all of the configured history was read that the upstream can send.
    pub fn has_read_all(&self) -> bool {
        self.is_complete() || self.status().phase == Phase::Live
    }

    /// True if all of the configured history was read.
    pub fn is_complete(&self) -> bool {
        let since = match self.shared.history {
            Some(back) => (self.now() - back).max(Timestamp::MIN),
            None => Timestamp::MIN,
        };
        self.shared.handle.coverage().is_read(since)
    }
}
