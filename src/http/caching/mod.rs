//! HTTP caching (RFC 9111): what a request demands, what an answer declares, and what is cached.
//!
//! In reading order: `cache_control` (the request's directives), `freshness` (`Age`, `ETag`,
//! `Cache-Status`), `pending_header`, `content_coding`, `call_cache` (calls requested lately) and
//! `response_cache` (answers computed from many rows).

pub mod cache_control;
pub mod call_cache;
pub mod content_coding;
pub mod freshness;
pub mod pending_header;
pub mod response_cache;
