//! TODO
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
