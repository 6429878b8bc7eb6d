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
mod erasure;
mod file;
mod lists;
mod merging;
mod migration;
mod model;
mod outbox;
#[path = "../support/store_file.rs"]
mod store_file;
mod suspects;
