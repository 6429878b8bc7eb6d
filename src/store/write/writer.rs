//! The only writer, which merges each answer of the upstream in one transaction.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use crate::model::{Timestamp, Unit, Window};
use crate::store::assistants::{self, Names};
use crate::store::coverage;
use crate::store::details::queue::{self, DetailsCounts};
use crate::store::error::StoreError;
use crate::store::file::connection;
use crate::store::file::lock::{FileLock, open_private};
use crate::store::file::opened_file::OpenedFile;
use crate::store::identity;
use crate::store::identity::Identity;
use crate::store::outbox::{self, Outbox};
use crate::store::write::feed_position::FeedPosition;
use crate::store::write::ledger::{self, Ledger, RowCounts, Suspicion, raise_request_seq};
use crate::store::write::merge::merge_call;
use crate::store::write::observation::{Merged, Observation};
use crate::store::write::row_versions::{Revisions, WriteLog, Writing};
use crate::store::write::suspects::{self, is_confirmed, suspect};
use crate::store::write::tombstones::remove;
use crate::store::write::traces::Traces;
use crate::store::write::{feed_position, page_extent};

/// Open calls of one status, which are listed again at every poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCalls {
    pub status: String,
    pub oldest: Timestamp,
    pub newest: Timestamp,
}

/// The file's only writing connection.
pub struct Writer {
    pub(in crate::store) connection: Connection,
    pub(in crate::store) path: PathBuf,
    pub(in crate::store) file: OpenedFile,
    pub(in crate::store) identity: Identity,
    feed_id: String,
    /// The content of the coverage table.
    pub(in crate::store) windows: Arc<Vec<Window>>,
    /// The windows as of the last answer: not every verification is worth a write.
    pub(in crate::store) verified: Arc<Vec<Window>>,
    pub(in crate::store) followed: Option<FeedPosition>,
    /// The content of the writes table.
    pub(in crate::store) outbox: Outbox,
    request_seq: u64,
    /// The content of the assistants table.
    pub(in crate::store) assistants: Names,
    /// The finest unit of any start that was stored when the file was opened.
    pub(in crate::store) finest_start: Unit,
    /// The content of the limits table.
    pub(in crate::store) page_rows: Option<usize>,
    /// The numbers of rows in the file, as of the last commit.
    pub(in crate::store) row_counts: RowCounts,
    pub(in crate::store) details: DetailsCounts,
    /// The last committed number in the order of changes.
    pub(in crate::store) change_seq: u64,
    /// Calls that a request confirmed without a write while an older one was in flight, whose
    /// answer must not overwrite them. Requests die with the process, so this may too.
    pub(in crate::store) confirmed: HashMap<i64, u64>,
    /// Calls that a request did not find while an older one was in flight, whose answer may still
    /// list them.
    pub(in crate::store) suspicions: HashMap<i64, Suspicion>,
    pub(in crate::store) traces: Traces,
    revisions: Arc<Revisions>,
    touched: WriteLog,
    _lock: FileLock,
}

impl Writer {
    /// Opens the file, or creates it for `base_url`. Refuses a file of another upstream, another
    /// program or a newer schema, and one that another process writes.
    pub fn open(path: &Path, base_url: &str) -> Result<Writer, StoreError> {
        let lock = FileLock::acquire(path)?;
        drop(open_private(path)?);
        let connection = connection::open_writer(path)?;
        let touched = WriteLog::by(&connection)?;
        connection.execute(
            "INSERT INTO replica (one, base_url, organization_id, request_seq, feed_id)
             VALUES (1, ?1, NULL, 0, lower(hex(randomblob(8)))) ON CONFLICT DO NOTHING",
            [base_url],
        )?;
        let identity = identity::read(&connection)?;
        let (request_seq, feed_id, traces) = connection.query_row(
            "SELECT request_seq, feed_id, traces FROM replica",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let file = OpenedFile::of(path)?;
        let traces = Traces::new(traces);
        if identity.base_url != base_url {
            return Err(StoreError::OtherBaseUrl {
                path: path.to_owned(),
                recorded: identity.base_url,
                configured: base_url.to_owned(),
            });
        }
        let windows = Arc::new(coverage::read(&connection)?);
        let followed = feed_position::read(&connection)?;
        let outbox = outbox::read(&connection)?;
        let page_rows = page_extent::page_rows(&connection)?;
        let assistants = assistants::read(&connection)?;
        let row_counts = ledger::read(&connection)?;
        let finest_start = ledger::finest_start(&connection)?;
        let details = queue::books(&connection)?;
        let change_seq = ledger::last_change(&connection)?;
        Ok(Writer {
            connection,
            path: path.to_owned(),
            file,
            identity,
            feed_id,
            verified: Arc::clone(&windows),
            windows,
            followed,
            outbox,
            request_seq,
            finest_start,
            assistants,
            page_rows,
            row_counts,
            details,
            change_seq,
            confirmed: HashMap::new(),
            suspicions: HashMap::new(),
            traces,
            revisions: Arc::default(),
            touched,
            _lock: lock,
        })
    }

    pub fn file(&self) -> &OpenedFile {
        &self.file
    }

    /// From now on, commits are counted in `revisions`.
    pub fn announce_to(&mut self, revisions: Arc<Revisions>) {
        self.revisions = revisions;
    }

    /// The windows on disk, oldest first.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The highest number of any request before this process started.
    pub fn request_seq(&self) -> u64 {
        self.request_seq
    }

    /// Identifies this file's order of changes. A consumer that finds another id starts from 0.
    pub fn feed_id(&self) -> &str {
        &self.feed_id
    }

    /// Merges one answer. After an error nothing of it is written.
    pub fn merge(&mut self, learned: Observation) -> Result<Merged, StoreError> {
        self.merge_and(learned, |_, _| Ok(false))
    }

    /// The same, with other work in its transaction: `also` returns whether it wrote.
    pub(in crate::store) fn merge_and(
        &mut self,
        mut learned: Observation,
        also: impl FnOnce(&Transaction<'_>, &Merged) -> Result<bool, StoreError>,
    ) -> Result<Merged, StoreError> {
        // An answer lists the newest first, and a B-tree that grows at its left end leaves every
        // page half empty. In ascending order the same rows take half the space.
        learned.calls.sort_by_key(|call| call.id);
        for call in &mut learned.calls {
            assistants::name(&self.assistants, call);
        }
        self.forget_before(learned.oldest_in_flight);
        let mut merged = Merged::default();
        let mut confirmed = Vec::new();
        let mut ledger = self.ledger();
        let mut wrote = false;
        let transaction = self.begin()?;
        let keeps_none = match &learned.complete {
            // Computed before the calls are written, while the file shows which were stored before.
            Some(complete) => {
                suspects::keeps_none(&transaction, &learned, complete, &self.confirmed)?
            }
            None => false,
        };
        for call in &learned.calls {
            let guard = self.confirmed.get(&call.id).copied().unwrap_or(0);
            let suspicion = self.suspicions.get(&call.id);
            let fate = merge_call(&transaction, &learned, call, guard, suspicion, &mut ledger)?;
            wrote |= fate.wrote;
            if merged.count(fate.outcome) {
                confirmed.push(call.id);
            }
        }
        // Done before this answer makes suspects of its own, which nothing has denied yet.
        for (id, denial) in &learned.denied {
            let gone = !is_confirmed(&self.confirmed, *id, *denial)
                && remove(&transaction, *id, *denial, &mut ledger)?;
            merged.removed += usize::from(gone);
            wrote |= gone;
        }
        if let Some(key) = &learned.absent {
            for id in suspects::ids(&transaction, key)? {
                wrote |= !is_confirmed(&self.confirmed, id, learned.request)
                    && suspect(&transaction, id, learned.request, &mut ledger)?;
            }
        }
        if let Some(complete) = &learned.complete {
            let missing =
                suspects::missing(&transaction, learned.request, complete, &self.confirmed)?;
            let stored_calls = self.row_counts.calls;
            if !suspects::is_believed(complete.belief, missing.len(), stored_calls, keeps_none) {
                drop(transaction);
                return Ok(Merged {
                    unbelieved: missing.len(),
                    ..Merged::default()
                });
            }
            for id in missing {
                wrote |= suspect(&transaction, id, learned.request, &mut ledger)?;
            }
        }
        wrote |= also(&transaction, &merged)?;
        let windows = (&**self.windows, learned.windows.as_deref());
        let written = seal(transaction, &mut ledger, windows, learned.newest_seq, wrote)?;
        self.apply_ledger(ledger);
        self.record_windows(learned.windows, written);
        if learned.request.seq > learned.oldest_in_flight {
            self.confirmed
                .extend(confirmed.into_iter().map(|id| (id, learned.request.seq)));
        }
        Ok(merged)
    }

    /// Opens a new connection after a transaction that ended without a commit. FTS5 keeps the state
    /// of its index in memory, and a disk error can leave that state behind the file's.
    pub(in crate::store) fn renew(&mut self) -> Result<(), StoreError> {
        if self.touched.was_given_up() {
            // Otherwise another file could be opened, or a new one created.
            self.file.check()?;
            let connection = connection::open_writer(&self.path)?;
            self.touched = WriteLog::by(&connection)?;
            self.connection = connection;
        }
        Ok(())
    }

    pub(in crate::store) fn begin(&self) -> rusqlite::Result<Writing<'_>> {
        Writing::begin(&self.connection, &self.revisions, &self.touched)
    }

    /// A ledger for one transaction, which [`Writer::keep`] applies once it is committed.
    pub(in crate::store) fn ledger(&self) -> Ledger {
        let verified = Arc::clone(&self.verified);
        Ledger::new(self.row_counts, self.details, self.change_seq, verified)
    }

    pub(in crate::store) fn apply_ledger(&mut self, ledger: Ledger) {
        self.row_counts = ledger.row_counts;
        self.details = ledger.details;
        self.change_seq = ledger.change_seq;
        self.traces.exist |= ledger.left_traces;
        self.traces.came |= ledger.left_traces;
        self.suspicions.extend(ledger.suspicions);
    }

    /// Records the windows of the answer that was just committed; `written` if the file has them.
    pub(in crate::store) fn record_windows(&mut self, windows: Option<Vec<Window>>, written: bool) {
        let Some(windows) = windows else {
            return;
        };
        self.verified = Arc::new(windows);
        if written {
            self.windows = Arc::clone(&self.verified);
        }
    }

    /// Forgets what matters only to requests below this number, of which none is in flight.
    pub(in crate::store) fn forget_before(&mut self, oldest_in_flight: u64) {
        self.confirmed.retain(|_, seq| *seq > oldest_in_flight);
        self.suspicions
            .retain(|_, suspicion| suspicion.by > oldest_in_flight);
    }

    /// Writes the windows as they are in memory, with times of verification that were not worth a
    /// transaction of their own. For the end of a run.
    pub fn keep_windows(&mut self, after: Vec<Window>) -> Result<(), StoreError> {
        self.write_windows(after)?;
        // The last connection to close a file empties its log, unless it is read-only.
        self.empty_log()
    }

    /// Writes the windows in a transaction of their own.
    pub fn write_windows(&mut self, after: Vec<Window>) -> Result<(), StoreError> {
        let newest = after.iter().map(|window| window.verified.seq).max();
        let transaction = self.begin()?;
        coverage::write(&transaction, &self.windows, &after)?;
        // The next run's requests must have higher numbers than these.
        raise_request_seq(&transaction, newest.unwrap_or(0))?;
        transaction.commit()?;
        self.record_windows(Some(after), true);
        Ok(())
    }

    /// Checkpoints and truncates the write-ahead log as far as no reader needs it, without waiting
    /// for readers. An empty log is left alone: tools that watch the file take a checkpoint for a
    /// write.
    pub fn empty_log(&self) -> Result<(), StoreError> {
        if self.file.log().size == 0 {
            return Ok(());
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        let truncated = self.connection.query_row(truncate, [], |_| Ok(()));
        self.connection.busy_timeout(connection::BUSY)?;
        Ok(truncated?)
    }

    /// Open calls that started between `since` and `until`, by status. An empty status is left out:
    /// no list can be filtered by it.
    pub fn open_calls(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<OpenCalls>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT status, min(started_at), max(started_at) FROM calls INDEXED BY open_calls
             WHERE open = 1 AND suspect_at IS NULL AND started_at BETWEEN ?1 AND ?2
               AND status <> ''
             GROUP BY status ORDER BY status",
        )?;
        let groups = select
            .query_map((since.as_micros(), until.as_micros()), |row| {
                Ok(OpenCalls {
                    status: row.get(0)?,
                    oldest: Timestamp::from_micros(row.get(1)?),
                    newest: Timestamp::from_micros(row.get(2)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(groups)
    }

    /// The ids of the open calls of `group`.
    pub fn open_call_ids(&self, group: &OpenCalls) -> Result<Vec<i64>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM calls INDEXED BY open_calls
             WHERE open = 1 AND suspect_at IS NULL AND status = ?1
               AND started_at BETWEEN ?2 AND ?3",
        )?;
        let bounds = (
            &group.status,
            group.oldest.as_micros(),
            group.newest.as_micros(),
        );
        let ids = select
            .query_map(bounds, |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(ids)
    }
}

/// Commits the transaction of an answer. If there is anything to write, the windows, the derived
/// tables and the highest request number so far are written first. Returns whether the windows
/// were.
pub fn seal(
    transaction: Writing<'_>,
    ledger: &mut Ledger,
    (before, after): (&[Window], Option<&[Window]>),
    newest_seq: u64,
    wrote: bool,
) -> Result<bool, StoreError> {
    let after = after.filter(|after| wrote || !coverage::same_shape(before, after));
    if let Some(after) = after {
        coverage::write(&transaction, before, after)?;
    }
    if wrote || after.is_some() {
        ledger.write(&transaction)?;
        transaction
            .prepare_cached("UPDATE replica SET request_seq = ?1")?
            .execute([newest_seq])?;
    }
    transaction.commit()?;
    Ok(after.is_some())
}
