//! Keeps the replica equal to an upstream that has no cursor.
//!
//! ```text
//!  clients, hints, operator ──► handle ──► engine ──► plan: state and now in, a request out
//!                                 ▲          │  ▲
//!              watchdog ──────────┘          │  ├─ learn: one answer, one transaction
//!                           CallSource ◄─────┘  └─ errands: proof and counts, step by step
//! ```
//!
//! The list is never walked by offset: a range is read from its newest end by moving `date_to`, so
//! that every page is one consistent snapshot and ties do not matter. What was read is a set of
//! windows ([`Coverage`]); what is missing from it is what the fill reads next, so that it resumes
//! anywhere. The head of the list is read every `poll_interval`.
//!
//! What decides is pure, each with a model or a property to be held against: `coverage` and `tiers`
//! (what is known, and until when), `vouching` (whose key it is), `search` and `counting` (what
//! moved), `proof` and `holds` (what may be deleted), `scope` and `denials` (whom a failure speaks
//! of), `newest`, `troubles` and `page` (what can't be read as it is), `crowd` (ties), `following` (an
//! upstream that is an edge), `writes` (what clients changed meanwhile), `plan` (what comes first).
//! `docs/sync.md` says why.

mod clock;
mod engine;
mod handle;
mod health;
mod in_flight;
mod knowledge;
mod plan;
mod planners;
mod proxy_permits;
mod settings;
mod supervisor;

pub use clock::Clock;
pub use engine::Engine;
pub use handle::Handle;
pub use handle::channels::EngineChannels;
pub use handle::messages::{Dropped, FetchOutcome, Hint, NotPassed, NotQueued};
pub use health::status::{DetailsStatus, LastError, Phase, SyncStatus, UpstreamState};
pub use knowledge::coverage::{Coverage, HeadRead, NEVER};
pub use knowledge::coverage_summary::Unverified;
pub use knowledge::pending_writes::PendingWrites;
pub use proxy_permits::Permit;
pub use settings::{Settings, SyncError};
pub use supervisor::{Supervised, Supervisor};

pub use crate::upstream::{Chunks, Incoming, Key, Outgoing};
