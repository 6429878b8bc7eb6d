//! TODO

pub mod admission;
pub mod completeness;
pub mod scans;
pub mod shared_transaction;
pub mod unread_bytes;
pub mod worker;
