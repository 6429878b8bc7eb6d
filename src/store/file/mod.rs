//! The file itself: its schema and its migration, who may write it, whether it is still in its
//! place, and a temporary second one for comparisons.
//!
//! Knows SQLite, and nothing of calls. In reading order: `schema`, `migrate`, `connection`, `lock`,
//! `opened_file`, `temp_replica`.

pub mod connection;
pub mod lock;
pub mod migrate;
pub mod opened_file;
pub mod schema;
pub mod temp_replica;
