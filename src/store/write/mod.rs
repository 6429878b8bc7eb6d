//! What is written: one answer of the upstream is one transaction.
//!
//! Keeps `derived` and `details` true in the same transaction, and knows no reader. In reading
//! order: `writer`, which has the transaction; `answer`, what a request brought; `merge` of a
//! call, `suspects` and `tombstones`, how calls go; `feed` of another edge; `ledger`, what is counted
//! along; `page_extent`, `row_versions` and `erasure`.

pub mod assistants;
pub mod counts;
pub mod deletion;
pub mod details;
pub mod erasure;
pub mod feed;
pub mod feed_position;
pub mod identity;
pub mod ledger;
pub mod merge;
pub mod observation;
pub mod outbox;
pub mod page_extent;
pub mod row_versions;
pub mod shared_writer;
pub mod suspects;
pub mod take_out;
pub mod tombstones;
pub mod traces;
pub mod writer;
