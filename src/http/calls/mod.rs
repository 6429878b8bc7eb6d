//! The calls API.
//!
//! One call: `get`, through `read_through` (from the replica, else from the upstream), which
//! `details` (with `detail_filter` and `transcript`), `recordings` and `metadata` (with
//! `metadata_body`) share. Many calls: `collection` answers a `question`, which `list` and
//! `aggregates` parse, and `refetch` asks the upstream if the replica's answer is not complete or
//! not fresh enough. `export` is a file of calls.
pub mod aggregates;
pub mod collection;
pub mod detail_filter;
pub mod details;
pub mod export;
pub mod get;
pub mod list;
pub mod metadata;
pub mod metadata_body;
pub mod question;
pub mod read_through;
pub mod recordings;
pub mod refetch;
pub mod transcript;
