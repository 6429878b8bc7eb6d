//! TODO

pub mod cache_control;
pub mod call_cache;
pub mod content_coding;
pub mod freshness;
pub mod pending_header;
pub mod response_cache;
