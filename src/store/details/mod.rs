//! The details of calls: the upstream's `text` of each, and the `queue` of those still to be
//! fetched. Functions of a transaction; they know no writer.

pub mod queue;
pub mod text;
