//! The store's promises, against real files.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail where it stands"
)]

mod assistants;
mod changes;
mod counts;
mod deletion;
mod details;
mod doubt;
mod erasure;
mod file;
mod lists;
mod merging;
mod migration;
mod model;
mod support;
mod writes;
