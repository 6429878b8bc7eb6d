//! Reading, by connections that can't write.
//!
//! Knows the floors below and, of `write`, the ledger, whose counts it reads. In reading order:
//! `pool`, `reader` (one row by key), `details`, `small_tables`, a `deadline` for what reads many
//! rows, `aggregates`, `changes`, and a `scan` of everything.

pub mod aggregates;
pub mod changes;
pub mod deadline;
pub mod details;
pub mod pool;
pub mod reader;
pub mod scan;
pub mod small_tables;
