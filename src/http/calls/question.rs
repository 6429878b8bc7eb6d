//! What can be asked of many calls.

use crate::http::caching::response_cache::CachedResponse;
use crate::store::{Reader, StoreError};

/// What can be asked of many calls and is answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    List,
    Count,
    Stats,
    Analytics,
}

/// A question that was understood.
pub type Question = Box<dyn FnOnce(&Reader) -> Result<CachedResponse, StoreError> + Send>;

/// Why the upstream's word would be better than the replica's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Not all was read that the query can match.
    Partial,
    /// It is older than the request allows.
    Old,
}
