//! Keeps the replica equal to an upstream that has no cursor. `docs/sync.md` gives each rule's
//! reason.
//!
//! ```text
//!  clients, operator ─► handle ─► engine ─► plan: concerns and an instant in, one request out
//!                         ▲         │  ▲
//!             supervisor ─┘         │  └── apply: an answer, one transaction
//!                                   └────► upstream::CallSource
//! ```
//!
//! Knows `model`, `store` and `upstream`. In reading order: `settings`,
//! `clock`, `knowledge` (what was read, and when), `health` (what fails, and how long it is
//! paused), `in_flight` and `proxy_permits` (the order of requests, and the budget), `plan` (the
//! ladder: the whole order of urgency on one screen), `planners` (one file per concern), `engine`
//! (the only part with I/O), `handle` (what others may know and ask), `supervisor` (replaces an
//! engine that fails).

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

pub use crate::upstream::{Chunks, Key, ProxyRequest, ProxyResponse};
