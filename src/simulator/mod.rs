//! A Burki upstream to run against: both live versions, their quirks, faults on request, and events
//! of its own.
//!
//! ```text
//!  tests, demo ──► World: records, ordered ──► World::answer ──► ApiResponse
//!                    ▲                            ▲    (pure: no clock, no socket)
//!   World::advance ──┘ life, in virtual time      │
//!                                                 │
//!  a client ══ TCP ══► Simulator ──► Faults::decide ──► Faults::review ──► Fault::spoil ══► the client
//! ```
//!
//! The world knows nothing of the wire, so that a simulation drives world and faults in one
//! thread and in virtual time, while [`Simulator`] serves the same two over a real socket.
//! What is simulated, and what is not, follows `captures.jsonl`: requests a self-hosted server
//! answered, which `tests/simulator.rs` replays.

mod api;
mod cache;
mod change;
mod config;
mod connection;
mod details;
mod events;
mod fault;
mod history;
mod invent;
mod json;
mod life;
mod log;
mod object;
mod order;
mod python;
mod record;
mod server;
mod snapshot;
mod spoil;
mod world;

pub use api::{ApiRequest, ApiResponse};
pub use cache::Cache;
pub use change::Taken;
pub use config::{Total, WorldConfig};
pub use details::{Recording, Transcript};
pub use fault::{Fault, Faults};
pub use history::{History, Stretch};
pub use life::Rates;
pub use log::Logged;
pub use record::{Costs, Flavour, InvalidRecord, Record};
pub use server::Simulator;
pub use snapshot::Snapshot;
pub use world::World;
