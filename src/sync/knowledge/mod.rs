//! TODO

pub mod coverage;
pub mod coverage_summary;
pub mod pending_writes;
pub mod ranges;
