//! Keeps the replica equal to the upstream.
mod backoff;
mod budget;
mod coverage;
mod crowd;
mod handle;
mod status;

pub use coverage::{Coverage, HeadRead, NEVER};
pub use handle::{Clock, Fetched, Handle};
pub use status::{LastError, Phase, SyncStatus, UpstreamState};
