//! Keeps the replica equal to an upstream that has no cursor.
//!
//! ```text
//!  clients, operator ──► handle ──► engine ──► plan (pure: state and now in, a request out)
//!                                     │  ▲        reads coverage, crowd, health's pauses
//!                        CallSource ◄─┘  └─ learn: one answer, one transaction, then published
//! ```
//!
//! The list is never walked by offset: a range is read from its newest end by moving `date_to`, so
//! that every page is one consistent snapshot and ties do not matter. What was read is a set of
//! windows ([`Coverage`]); what is missing from it is what the fill reads next, so that it resumes
//! anywhere. The head of the list is read every `poll_interval`.

mod backoff;
mod budget;
mod clients;
mod coverage;
mod crowd;
mod engine;
mod handle;
mod health;
mod learn;
mod plan;
mod requests;
mod status;

pub use coverage::{Coverage, HeadRead, NEVER};
pub use engine::{Engine, Settings, SyncError};
pub use handle::{Clock, Fetched, Handle};
pub use status::{LastError, Phase, SyncStatus, UpstreamState};
