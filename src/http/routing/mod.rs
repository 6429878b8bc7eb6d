//! From a path to the function that answers it: `path` is what a path names, `dispatch` the table.

pub mod dispatch;
pub mod path;
