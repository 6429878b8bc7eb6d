//! How the engine is to behave, and the small words its parts share.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::Detail;
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// How the sync is to behave.
#[derive(Clone, Debug)]
pub struct Settings {
    pub poll_interval: Duration,
    /// Every record is compared at least this often.
    pub reconcile_interval: Duration,
    /// How far back calls are mirrored; `None`: all of them.
    pub history: Option<Duration>,
    /// Rows asked for at once: the upstream's most, or fewer where a test is to be cheap.
    pub page_limit: usize,
    pub max_concurrency: usize,
    pub max_requests_per_minute: u32,
    /// What is kept of ended calls beside their records.
    pub details: BTreeSet<Detail>,
    /// For the jitter of backoffs and the choice of samples.
    pub seed: u64,
}

/// Why the sync ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The key is of another organization than the file.
    #[error(transparent)]
    Refused(StoreError),
}

/// Why an answer could not be taken in.
pub(in crate::sync) enum ApplyError {
    Upstream(UpstreamError),
    Fatal(SyncError),
}
