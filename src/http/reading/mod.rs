//! How the replica is read for a request.
//!
//! In reading order: `worker` (a thread's own connection and caches), `shared_transaction` (one
//! state of the file for requests that arrive together), `completeness` (whether an answer is
//! whole, and how old), `admission` and `scans` (reads of many rows, a limited number at once),
//! `unread_bytes` (answers being sent).

pub mod admission;
pub mod completeness;
pub mod scans;
pub mod shared_transaction;
pub mod unread_bytes;
pub mod worker;
