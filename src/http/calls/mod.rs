//! TODO
pub mod aggregates;
pub mod collection;
pub mod details;
pub mod export;
pub mod get;
pub mod list;
pub mod metadata;
pub mod metadata_body;
pub mod recordings;
pub mod refetch;
pub mod transcript;
