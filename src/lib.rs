//! burki-edge: an edge replica of an organization's Burki call records.

pub mod config;
pub mod model;
