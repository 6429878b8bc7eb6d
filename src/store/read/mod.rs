//! What is read, by connections that can not write.
//!
//! Knows `derived`, the file's schema, and of `write` the ledger alone, whose figures it reads. In
//! reading order: `pool`, `reader`, a `deadline` for what reads many rows, `aggregates`, `changes`,
//! and a `scan` of everything.

pub mod aggregates;
pub mod changes;
pub mod deadline;
pub mod details;
pub mod pool;
pub mod reader;
pub mod scan;
pub mod small_tables;
