//! Failures: what they stand for, and how long what failed is paused. Pure, except for file checks.
//!
//! Knows `knowledge` and what a job is. In reading order: `failure_scope` (what a failure stands
//! for), `upstream` (pauses and recovery) with `backoff`, `denials` (parts that are refused apart),
//! `stall` (work without progress), `rate_limit` (the request budget), `replica_file` (the file
//! between requests), `status` (all of it as data).

pub mod backoff;
pub mod denials;
pub mod failure_scope;
pub mod rate_limit;
pub mod replica_file;
pub mod stall;
pub mod status;
pub mod upstream;
