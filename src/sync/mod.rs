//! Keeps the replica equal to the upstream.
mod coverage;
mod handle;
mod status;

pub use coverage::{Coverage, HeadRead, NEVER};
pub use handle::{Clock, Fetched, Handle};
pub use status::{LastError, Phase, SyncStatus, UpstreamState};
