//! Questions about many calls.

use crate::http::caching::response_cache::CachedResponse;
use crate::store::{Reader, StoreError};

/// A resource about many calls that is answered in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    List,
    Count,
    Stats,
    Analytics,
}

/// A validated request, which reads its answer.
pub type CollectionQuery = Box<dyn FnOnce(&Reader) -> Result<CachedResponse, StoreError> + Send>;

/// Why the upstream's answer would be better than the replica's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Not everything that the query can match was read.
    Partial,
    /// It is older than the request allows.
    Old,
}
