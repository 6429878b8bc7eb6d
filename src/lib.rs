//! burki-edge: an edge replica of an organization's Burki call records.

pub mod model;
pub mod simulator;
