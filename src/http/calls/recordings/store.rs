//! The recordings that a server stores.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::http::calls::recordings::cache::Cache;
use crate::http::calls::recordings::download::Downloads;

/// The cache of recordings, and its downloads. Cheap to clone.
#[derive(Clone)]
pub struct Audio {
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) downloads: Arc<Downloads>,
}

impl Audio {
    /// Opens the cache beside the replica, which must exist; it has at most `most` bytes.
    ///
    /// # Errors
    /// The folder can't be made, read or written.
    pub fn open(store_path: &Path, most: u64) -> io::Result<Audio> {
        if most == 0 && !Cache::folder(store_path).exists() {
            return Ok(Audio::none());
        }
        let cache = Cache::open(store_path, most)?;
        Ok(Audio {
            // Without room, the folder is emptied and no more.
            cache: (most > 0).then(|| Arc::new(cache)),
            downloads: Arc::default(),
        })
    }

    /// Stores none.
    pub fn none() -> Audio {
        Audio {
            cache: None,
            downloads: Arc::default(),
        }
    }

    /// Removes the stored recordings of deleted calls. It blocks.
    pub fn sweep(&self) {
        let swept = self.cache.as_ref().map_or(Ok(()), |cache| cache.sweep());
        if let Err(error) = swept {
            tracing::warn!(%error, "the recordings of deleted calls could not be removed");
        }
    }
}
