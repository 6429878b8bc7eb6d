//! From a path to the function that answers it.

pub mod dispatch;
pub mod path;
