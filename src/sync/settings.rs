//! The settings of the sync, and the errors that its parts share.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::Detail;
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// The settings of the sync.
#[derive(Clone, Debug)]
pub struct Settings {
    pub poll_interval: Duration,
    /// Every call is revalidated at least this often.
    pub reconcile_interval: Duration,
    /// How far back calls are replicated; `None`: all of them.
    pub history: Option<Duration>,
    /// Rows per request: the upstream's maximum, or fewer to make a test cheap.
    pub page_limit: usize,
    pub max_concurrency: usize,
    pub max_requests_per_minute: u32,
    /// The details of ended calls that are stored beside their records.
    pub details: BTreeSet<Detail>,
    /// Seeds the jitter of backoffs and the choice of samples.
    pub seed: u64,
}

/// Why the sync ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The key belongs to another organization than the file.
    #[error(transparent)]
    Refused(StoreError),
}

/// Why an answer could not be applied.
pub(in crate::sync) enum ApplyError {
    Upstream(UpstreamError),
    Fatal(SyncError),
}
