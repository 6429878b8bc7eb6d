//! A second look at what seems to differ: the upstream changes while it is read, and a running edge
//! follows it one poll behind.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::bail;
use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::warn;

use super::compare::{Difference, Kind, difference};
use crate::cli::running::{MAX_FAILURES, bar, fail_if_hopeless};
use crate::model::CallKey;
use crate::store::{Reader, StoreError};
use crate::sync::{FetchOutcome, Handle, UpstreamState};

/// How many calls a verification requests one by one: over eight minutes' budget by default.
const ASKED: usize = 1000;

/// How often a call is requested while the upstream fails at it and answers everything else.
const ALONE: u32 = 2;

/// How many polls of a running edge to wait for.
const POLLS: usize = 3;

/// The longest wait for one poll.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Requests calls one by one.
pub struct CallFetcher {
    pub handle: Handle,
    /// The maximum of requests in flight.
    pub concurrency: usize,
}

impl CallFetcher {
    /// Reports whether the upstream has each of these calls, and stores what it sent in the
    /// engine's file. Calls at which the upstream fails, though it answers everything else, are
    /// left out.
    ///
    /// # Errors
    /// The upstream can't be asked, and waiting is pointless.
    pub async fn each(&self, ids: &[i64]) -> anyhow::Result<HashMap<i64, bool>> {
        let bar = bar(ids.len() as u64, "asking for what differs");
        let has = stream::iter(ids)
            .map(|id| async {
                let has = self.one(*id).await?;
                bar.inc(1);
                anyhow::Ok(has.map(|has| (*id, has)))
            })
            .buffer_unordered(self.concurrency)
            .try_filter_map(async |told| Ok(told))
            .try_collect()
            .await;
        bar.finish_and_clear();
        has
    }

    async fn one(&self, id: i64) -> anyhow::Result<Option<bool>> {
        let mut alone = 0;
        for _ in 0..MAX_FAILURES {
            match self.handle.fetch(CallKey::Id(id)).await {
                FetchOutcome::Found | FetchOutcome::Unstored { .. } => return Ok(Some(true)),
                FetchOutcome::NotFound | FetchOutcome::NotFoundAsOf { .. } => {
                    return Ok(Some(false));
                }
                // Only a request for details has this outcome.
                FetchOutcome::NoSuchDetail => {}
                FetchOutcome::Unavailable { retry_after } => {
                    let status = self.handle.status().borrow().clone();
                    fail_if_hopeless(&status)?;
                    alone += u32::from(status.state == UpstreamState::Online);
                    if alone >= ALONE {
                        return Ok(None);
                    }
                    tokio::time::sleep(Duration::from_secs(retry_after)).await;
                }
            }
        }
        match &self.handle.status().borrow().last_error {
            Some(error) => bail!("call {id}: {}; {}", error.message, error.hint),
            None => bail!("call {id} can't be asked for; try again"),
        }
    }
}

/// Looks at `found` again. Returns the calls that still differ, and those at which the upstream
/// fails. `followed` is the poll interval of a running edge, if there is one.
///
/// # Errors
/// A file can't be read, or the upstream can't be asked.
pub async fn again(
    found: Vec<Difference>,
    here: &Reader,
    there: &Reader,
    asking: &CallFetcher,
    followed: Option<Duration>,
) -> anyhow::Result<(Vec<Difference>, HashSet<i64>)> {
    let (mut left, mut failing) = (found, HashSet::new());
    let mut has = HashMap::new();
    let mut may_ask = ASKED;
    let polls = followed.map_or(0, |_| POLLS);
    for polls_left in (0..=polls).rev() {
        left = differing(left, here, there, &has)?;
        let ids = left.iter().map(|difference| difference.id);
        let ids: Vec<i64> = ids.filter(|id| !failing.contains(id)).collect();
        let ids = &ids[..ids.len().min(may_ask)];
        may_ask -= ids.len();
        let told = asking.each(ids).await?;
        failing.extend(ids.iter().filter(|id| !told.contains_key(id)));
        has.extend(told);
        left = differing(left, here, there, &has)?;
        match followed {
            Some(poll) if polls_left > 0 && !left.is_empty() => {
                let waiting = bar(polls as u64, "waiting for the running edge");
                waiting.set_position((polls - polls_left) as u64);
                tokio::time::sleep(poll.min(LONGEST_WAIT)).await;
                waiting.finish_and_clear();
            }
            _ => break,
        }
    }
    let asked = |id| has.contains_key(id) || failing.contains(id);
    let unasked = left.iter().filter(|left| !asked(&left.id));
    match unasked.count() {
        0 => {}
        unasked => warn!(
            "so much differs that only {ASKED} calls were asked for again, and {unasked} are told \
             as the lists have them"
        ),
    }
    Ok((left, failing))
}

/// Those of `found` that differ between the two files as they are now. A call that the upstream
/// denies is missing there, whatever the file says.
fn differing(
    found: Vec<Difference>,
    here: &Reader,
    there: &Reader,
    has: &HashMap<i64, bool>,
) -> Result<Vec<Difference>, StoreError> {
    let mut left = Vec::new();
    for Difference { id, .. } in found {
        let theirs = match has.get(&id) {
            Some(false) => None,
            _ => body(there, id)?,
        };
        let kind = difference(body(here, id)?.as_deref(), theirs.as_deref());
        left.extend(kind.map(|kind| Difference { id, kind }));
    }
    Ok(left)
}

fn body(reader: &Reader, id: i64) -> Result<Option<String>, StoreError> {
    Ok(reader.call(&CallKey::Id(id))?.map(|held| held.body))
}

/// Those of `found` that are not repaired, now that the upstream has said whether it has them.
pub fn unrepaired(
    found: &[Difference],
    here: &Reader,
    has: &HashMap<i64, bool>,
) -> Result<Vec<Difference>, StoreError> {
    let mut left = Vec::new();
    for Difference { id, kind } in found {
        let held = here.call(&CallKey::Id(*id))?.is_some();
        let kind = match (has.get(id), held) {
            // What the upstream sent was stored before the outcome was returned.
            (Some(true), true) | (Some(false), false) => continue,
            (Some(true), false) => Kind::Missing,
            (Some(false), true) => Kind::Extra,
            (None, _) => kind.clone(),
        };
        left.push(Difference { id: *id, kind });
    }
    Ok(left)
}
