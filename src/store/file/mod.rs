//! The file itself: its schema and how an older one is brought up to it, who may write it, whether
//! it is still at its place, and a second one beside it for as long as a comparison takes.
//!
//! Knows SQLite, and nothing of calls. In reading order: `schema`, `migrate`, `connection`, `lock`, `opened_file`,
//! `temp_replica`.

pub mod connection;
pub mod lock;
pub mod migrate;
pub mod opened_file;
pub mod schema;
pub mod temp_replica;
