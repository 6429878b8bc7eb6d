//! What belongs to a call besides its record: its `text`, as the upstream wrote it, and the `queue` of
//! what is still to be fetched. Functions of a transaction; knows no writer.

pub mod queue;
pub mod text;
