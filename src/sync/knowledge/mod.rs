//! What the replica knows of the upstream, and as of when. Pure.
//!
//! Knows `model` and the store's values. In reading order: `ranges` of time, `coverage` (the
//! windows that were read), `coverage_summary` (what a downstream edge reads of it),
//! `pending_writes` (what the outbox lays over stored texts).

pub mod coverage;
pub mod coverage_summary;
pub mod pending_writes;
pub mod ranges;
