//! TODO

pub mod backoff;
pub mod denials;
pub mod failure_scope;
pub mod rate_limit;
pub mod replica_file;
pub mod stall;
pub mod status;
pub mod upstream;
