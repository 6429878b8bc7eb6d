//! burki-edge: an edge replica of an organization's Burki call records.
//!
//! One binary. A background task keeps a local SQLite file equal to the upstream's calls API, and
//! an HTTP server answers that API from the file.
//!
//! ```text
//!  Burki API ──► upstream ──► sync ──────────► store: one writer ──► SQLite, WAL
//!                (HTTP, wire)  plan → engine     one transaction          │
//!                                ▲               an answer                ▼
//!                                │                               store: readers
//!  clients ──► http ─── miss, hint ─────┘                                 │
//!          ◄── calls API, /edge/* ◄───────────────────────────────────────┘
//! ```
//!
//! What may know what:
//! - [`app`] composes everything and is the only one that does; [`cli`] starts it.
//! - [`http`] asks the store's reader and the sync's handle; it never names the upstream or the
//!   writer.
//! - [`sync`] reads and writes through the store alone, and asks the upstream through one trait.
//! - [`store`] is the seam behind which all SQL lives; it names neither `sync` nor `http`.
//! - [`model`] is plain values. [`simulator`] is an upstream of our own; nothing but `cli` and the
//!   tests use it.
//!
//! `tests/architecture.rs` holds the code to this.

pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod model;
pub mod simulator;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod upstream;
