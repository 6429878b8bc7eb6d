//! The one writer: what an answer of the upstream says, in one transaction.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::lock::{FileLock, open_private};
use super::merge::{Outcome, is_too_many, merge_call, missing, suspect};
use super::rollups::Deltas;
use super::{StoreError, schema, windows};
use crate::model::{Call, CallKey, Timestamp, Verified, Window};

/// What one answer says of the replica.
#[derive(Debug)]
pub struct Learned {
    /// The request that was answered.
    pub request: Verified,
    /// The lowest number among the requests that are still under way, this one included.
    pub oldest_in_flight: u64,
    /// The highest number given to any request.
    pub newest_seq: u64,
    pub calls: Vec<Call>,
    /// The calls were asked for by name: that they are unchanged is worth a write.
    pub singly: bool,
    /// The upstream has no such call.
    pub absent: Option<CallKey>,
    /// What the answer, alone or with those before it, lists completely.
    pub complete: Option<Complete>,
    /// All windows as they are with this answer, oldest first; `None` leaves them.
    pub windows: Option<Vec<Window>>,
}

/// A list of all calls within bounds. Who is held and not listed is a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// All that started within.
    pub started: Option<RangeInclusive<Timestamp>>,
    /// All that have no start.
    pub without_start: bool,
    pub listed: HashSet<i64>,
    /// However many held calls it leaves out. Otherwise over 50 and over 5 % of all is too many.
    pub believed: bool,
}

/// What became of the calls of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub new: usize,
    /// Their JSON says something else than before.
    pub changed: usize,
    /// The same JSON in another spelling; the newer text is kept.
    pub respelled: usize,
    pub unchanged: usize,
    /// A request that started later already told of them.
    pub stale: usize,
    /// So many held calls are left out of a complete list that it is not believed: no window and
    /// no suspect came of it.
    pub unbelieved: usize,
}

/// Whose calls a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub base_url: String,
    /// `None` until the upstream has told, or where it never does.
    pub organization_id: Option<i64>,
}

/// Open calls of one status, for following them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCalls {
    pub status: String,
    pub oldest: Timestamp,
    pub newest: Timestamp,
}

/// The file's only writing connection.
pub struct Writer {
    connection: Connection,
    path: PathBuf,
    identity: Identity,
    /// What the coverage table holds.
    windows: Vec<Window>,
    request_seq: u64,
    /// Calls that a request confirmed without a write while an older one was under way, whose
    /// answer must not overwrite what was confirmed. Requests die with the process, so this may.
    confirmed: HashMap<i64, u64>,
    _lock: FileLock,
}

impl Writer {
    /// Opens the file, or creates it for `base_url`. Refuses a file of another upstream, of
    /// another program, of a newer schema, or one that another process writes.
    pub fn open(path: &Path, base_url: &str) -> Result<Writer, StoreError> {
        let lock = FileLock::acquire(path)?;
        drop(open_private(path)?);
        let connection = schema::open_writer(path)?;
        let recorded = connection
            .query_row(
                "SELECT base_url, organization_id, request_seq FROM replica",
                [],
                |row| {
                    let identity = Identity {
                        base_url: row.get(0)?,
                        organization_id: row.get(1)?,
                    };
                    Ok((identity, row.get(2)?))
                },
            )
            .optional()?;
        let (identity, request_seq) = match recorded {
            Some(recorded) => recorded,
            None => {
                connection.execute("INSERT INTO replica VALUES (1, ?1, NULL, 0)", [base_url])?;
                (
                    Identity {
                        base_url: base_url.to_owned(),
                        organization_id: None,
                    },
                    0,
                )
            }
        };
        if identity.base_url != base_url {
            return Err(StoreError::OtherBaseUrl {
                path: path.to_owned(),
                recorded: identity.base_url,
                configured: base_url.to_owned(),
            });
        }
        let windows = windows::read(&connection)?;
        Ok(Writer {
            connection,
            path: path.to_owned(),
            identity,
            windows,
            request_seq,
            confirmed: HashMap::new(),
            _lock: lock,
        })
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The windows on disk, oldest first.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// No request before this start of the process had a higher number.
    pub fn request_seq(&self) -> u64 {
        self.request_seq
    }

    /// Stamps the file with the organization the key belongs to, or checks it against the stamp.
    pub fn identify(&mut self, organization_id: i64) -> Result<(), StoreError> {
        match self.identity.organization_id {
            Some(recorded) if recorded == organization_id => Ok(()),
            Some(recorded) => Err(StoreError::OtherOrganization {
                path: self.path.clone(),
                recorded,
                found: organization_id,
            }),
            None => {
                self.connection
                    .execute("UPDATE replica SET organization_id = ?1", [organization_id])?;
                self.identity.organization_id = Some(organization_id);
                Ok(())
            }
        }
    }

    /// Takes in one answer. On an error nothing of it was written.
    pub fn merge(&mut self, mut learned: Learned) -> Result<Merged, StoreError> {
        // An answer lists the newest first, and a B-tree that grows at its left end leaves every
        // page half empty: in ascending order the same rows take half of the room.
        learned.calls.sort_by_key(|call| call.id);
        self.confirmed
            .retain(|_, seq| *seq > learned.oldest_in_flight);
        let mut merged = Merged::default();
        let mut confirmed = Vec::new();
        let mut deltas = Deltas::default();
        let mut wrote = false;
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        for call in &learned.calls {
            let guard = self.confirmed.get(&call.id).copied().unwrap_or(0);
            let fate = merge_call(&transaction, &learned, call, guard, &mut deltas)?;
            wrote |= fate.wrote;
            match fate.outcome {
                Outcome::New => merged.new += 1,
                Outcome::Changed => merged.changed += 1,
                Outcome::Respelled => merged.respelled += 1,
                Outcome::Stale => merged.stale += 1,
                Outcome::Unchanged => {
                    merged.unchanged += 1;
                    confirmed.push(call.id);
                }
            }
        }
        if let Some(key) = &learned.absent {
            wrote |= suspect(&transaction, key, learned.request)?;
        }
        if let Some(complete) = &learned.complete {
            let mut missing = missing(&transaction, learned.request, complete)?;
            missing.retain(|id| !self.is_confirmed(*id, learned.request));
            if !complete.believed && is_too_many(&transaction, missing.len())? {
                merged.unbelieved = missing.len();
                learned.windows = None;
            } else {
                for id in missing {
                    wrote |= suspect(&transaction, &CallKey::Id(id), learned.request)?;
                }
            }
        }
        let windows = learned
            .windows
            .filter(|after| wrote || !windows::same_shape(&self.windows, after));
        if let Some(after) = &windows {
            windows::write(&transaction, &self.windows, after)?;
            wrote = true;
        }
        if wrote {
            deltas.write(&transaction)?;
            transaction
                .prepare_cached("UPDATE replica SET request_seq = ?1")?
                .execute([learned.newest_seq])?;
        }
        transaction.commit()?;
        if let Some(after) = windows {
            self.windows = after;
        }
        if learned.request.seq > learned.oldest_in_flight {
            self.confirmed
                .extend(confirmed.into_iter().map(|id| (id, learned.request.seq)));
        }
        Ok(merged)
    }

    /// Whether a request that started later than `request` found the call unchanged.
    fn is_confirmed(&self, id: i64, request: Verified) -> bool {
        self.confirmed
            .get(&id)
            .is_some_and(|seq| *seq > request.seq)
    }

    /// Writes the windows as they are in memory, with times of verification that were not worth a
    /// transaction of their own. For the end of a run.
    pub fn keep_windows(&mut self, after: Vec<Window>) -> Result<(), StoreError> {
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        windows::write(&transaction, &self.windows, &after)?;
        transaction.commit()?;
        self.windows = after;
        Ok(())
    }

    /// Open calls that started at or before `until`, by status; an empty one can't be asked for.
    pub fn open_calls(&self, until: Timestamp) -> Result<Vec<OpenCalls>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT status, min(started_at), max(started_at) FROM calls
             WHERE open = 1 AND suspect_at IS NULL AND started_at <= ?1 AND status <> ''
             GROUP BY status ORDER BY status",
        )?;
        let groups = select
            .query_map([until.as_micros()], |row| {
                Ok(OpenCalls {
                    status: row.get(0)?,
                    oldest: Timestamp::from_micros(row.get(1)?),
                    newest: Timestamp::from_micros(row.get(2)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(groups)
    }

    /// The open calls of `group`, by id.
    pub fn open_call_ids(&self, group: &OpenCalls) -> Result<Vec<i64>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT id FROM calls
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
