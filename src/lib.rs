//! burki-edge: an edge replica of an organization's Burki call records.

pub mod http;
pub mod model;
pub mod store;
pub mod sync;
pub mod upstream;
