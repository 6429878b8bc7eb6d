//! The current schema, which is `schema.sql` in the repository's root, and its version.

pub const SCHEMA: &str = include_str!("../../../schema.sql");
pub const VERSION: i64 = 6;
