//! Parameters of paths and queries, read as leniently as the upstream reads them.
//!
//! The upstream validates with pydantic 2.11, whose rules and messages are reproduced here, quirks
//! included. The tests' tables are pydantic's own results.

pub mod call_key;
mod date;
mod integer;
pub mod python_format;
mod query;
pub mod validation_error;

pub use date::{InvalidDate, date};
pub use integer::{CallId, InvalidInteger, call_id};
pub use query::{Choice, Query};
