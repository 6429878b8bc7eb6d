//! Plain values that the replica is made of: no I/O, no clock, no SQL.

mod age;
mod call;
mod coverage_range;
mod detail;
mod filter;
mod host;
mod key_hash;
pub mod metadata_merge;
mod scopes;
mod timestamp;
mod window;

pub use age::{UNKNOWN_AGE, age, latest_age, whole_seconds};
pub use call::{Call, CallKey, InvalidCall, present, text_hash};
pub use coverage_range::CoverageRange;
pub use detail::Detail;
pub use filter::{CallFilter, Part, fold};
pub use host::{is_this_machine, known_addresses};
pub use key_hash::KeyHash;
pub use scopes::{Scope, Scopes};
pub use timestamp::{InvalidTimestamp, Timestamp, Unit};
pub use window::{NEVER, Verified, Window};
