//! What the replica holds, in plain values: no I/O, no clock, no SQL.

mod call;
mod timestamp;
mod window;

pub use call::{Call, CallKey, InvalidCall};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use window::{Verified, Window};
