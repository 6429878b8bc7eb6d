//! The current schema, `schema.sql` beside the source, and its version.

pub const SCHEMA: &str = include_str!("../../../schema.sql");
pub const VERSION: i64 = 6;
