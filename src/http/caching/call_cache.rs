//! The call cache: each worker caches the calls requested lately, each until it is written again.

use std::num::NonZero;
use std::rc::Rc;

use bytestring::ByteString;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::http::caching::freshness::EntityTag;
use crate::model::{Call, InvalidCall, Timestamp, text_hash};
use crate::store::{Revision, StoredCall};

/// The bytes that all workers cache together if there is one for each core: 80,000 calls of half a
/// kilobyte.
const MOST_BYTES: u64 = 64 << 20;

/// The approximate size of an entry beside its text.
const OVERHEAD: u64 = 256;

/// The entries for which there is room at first: as many as fit if they are large.
const FIRST_ROOM: usize = 4096;

/// A call with all that its answer needs. Cheap to copy.
#[derive(Clone, Debug)]
pub struct CachedCall {
    pub id: i64,
    /// The upstream's JSON text.
    pub body: ByteString,
    pub tag: EntityTag,
    pub started_at: Option<Timestamp>,
    /// When the text itself was last confirmed.
    pub seen_at: Timestamp,
    /// True if the upstream said that it has no such call.
    pub suspect: bool,
}

impl From<StoredCall> for CachedCall {
    fn from(held: StoredCall) -> CachedCall {
        CachedCall {
            id: held.id,
            tag: EntityTag::new(held.body_hash),
            body: held.body.into(),
            started_at: held.started_at,
            seen_at: held.seen_at,
            suspect: held.suspect,
        }
    }
}

impl CachedCall {
    /// A text of the upstream that the replica could not store.
    ///
    /// # Errors
    /// It is no call record.
    pub fn unstored(text: &str, at: Timestamp) -> Result<CachedCall, InvalidCall> {
        let call = Call::from_json(text)?;
        Ok(CachedCall {
            id: call.id,
            tag: EntityTag::new(call.body_hash()),
            body: String::from(call.body).into(),
            started_at: call.started_at,
            seen_at: at,
            suspect: false,
        })
    }

    /// The same call with another text.
    pub fn with_body(&self, body: String) -> CachedCall {
        CachedCall {
            tag: EntityTag::new(text_hash(&body)),
            body: body.into(),
            ..self.clone()
        }
    }
}

/// The cached calls of one worker, by id.
pub struct CallCache(Cache<i64, (Revision, Rc<CachedCall>), Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<i64, (Revision, Rc<CachedCall>)> for Weight {
    fn weight(&self, _: &i64, (_, entry): &(Revision, Rc<CachedCall>)) -> u64 {
        entry.body.len() as u64 + OVERHEAD
    }
}

impl Default for CallCache {
    fn default() -> CallCache {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
        CallCache::of_bytes(MOST_BYTES / workers)
    }
}

impl CallCache {
    fn of_bytes(most: u64) -> CallCache {
        CallCache(Cache::with_weighter(FIRST_ROOM, most, Weight))
    }

    /// The cached call, if it is still of this revision.
    pub fn get(&self, id: i64, revision: Revision) -> Option<Rc<CachedCall>> {
        let (kept_in, entry) = self.0.get(&id)?;
        (*kept_in == revision).then(|| Rc::clone(entry))
    }

    /// Caches a call that was read after this revision was. Calls that are requested again and
    /// again stay: a walk through all calls does not evict them.
    pub fn keep(&mut self, revision: Revision, entry: &Rc<CachedCall>) {
        self.0.insert(entry.id, (revision, Rc::clone(entry)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Revisions;

    fn entry(id: i64, size: usize) -> Rc<CachedCall> {
        Rc::new(CachedCall {
            id,
            body: "x".repeat(size).into(),
            tag: EntityTag::new(0),
            started_at: None,
            seen_at: Timestamp::from_micros(0),
            suspect: false,
        })
    }

    #[test]
    fn what_is_asked_for_again_and_again_stays_and_the_rest_has_an_end() {
        let revision = Revisions::default().of(1).unwrap();
        let most = 16 << 20;
        let mut entries = CallCache::of_bytes(most);
        let size = 4 << 10;
        let fit = most / (size as u64 + OVERHEAD);
        for id in 0..10 * fit as i64 {
            entries.keep(revision, &entry(id, size));
            let hot = entries.get(0, revision);
            assert!(hot.is_some(), "at {id}");
        }
        assert!(entries.0.weight() <= most);
        assert!(entries.0.len() as u64 > fit / 2);
    }
}
