//! Writing: one answer of the upstream is one transaction, which also updates `derived` and
//! `details`.
//!
//! Functions of a transaction, in reading order: `observation` (what an answer says), `merge` (one
//! call of it), `suspects`, `tombstones` and `take_out` (how calls go), `ledger` (counts and
//! numbers), `feed_position`, `page_extent`, `row_versions`, `traces`. Above them the writer, which
//! has the transaction, and its methods by subject: `writer`, `feed`, `deletion`, `details`,
//! `outbox`, `identity`, `assistants`, `erasure`, `counts`; `shared_writer` is for several tasks.

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
