//! What the replica holds, in plain values: no I/O, no clock, no SQL.

mod call;
mod timestamp;

pub use call::{Call, CallKey, InvalidCall};
pub use timestamp::{InvalidTimestamp, Timestamp};
