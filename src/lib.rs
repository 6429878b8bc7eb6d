//! burki-edge: an edge replica of an organization's Burki call records.
//!
//! One binary. A background task keeps a local SQLite file equal to the upstream's calls API, and an
//! HTTP server answers that API from the file.
//!
//! ```text
//!  Burki API ──► upstream ──► sync: plan ─► engine ──► store: one writer ──► SQLite, WAL
//!                (HTTP, wire)          ▲                 one transaction          │
//!                                      │                 an answer                ▼
//!                                      │                               store: readers
//!  clients ──► http ── miss, hint ─────┘                                          │
//!          ◄── calls API, /edge/* ◄───────────────────────────────────────────────┘
//! ```
//!
//! The floors, from the ground up. A module may know some of those below it and none above;
//! `tests/architecture` has the table:
//!
//! ```text
//!  cli          subcommands, demo, verify
//!  app          composes and runs everything                          telemetry: the log
//!  http         the calls API and the edge's own endpoints            simulator: an upstream for tests
//!  sync         decides what to ask, and takes answers in
//!  store        the file: all SQL of the replica      upstream: HTTP client, wire format, proxy
//!  config       settings and where they come from
//!  model        plain values: a call, a filter, a timestamp, an age
//! ```
//!
//! - [`http`] reads through the store's reader and asks the sync's handle; it never names the
//!   upstream's client or the writer.
//! - [`sync`] reads and writes through the store alone, and asks the upstream through two traits: what
//!   the plan sends, and what is passed on for clients.
//! - [`store`] names neither `sync` nor `http`.
//! - [`simulator`] is used by `cli`, the tests and the benches alone.
//!
//! `tests/architecture` holds the code to this, to the floors within `http`, `store` and `sync`, and to
//! having no circle of imports.

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
