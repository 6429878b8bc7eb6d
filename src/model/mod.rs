//! What the replica holds, in plain values: no I/O, no clock, no SQL.

mod call;
mod piece;
mod timestamp;
mod window;

pub use call::{Call, CallKey, InvalidCall};
pub use piece::Piece;
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use window::{Verified, Window};
