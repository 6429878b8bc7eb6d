//! What a client of the edge sees: a real socket, a real file, the real engine. Only the upstream
//! is a fake, which the tests change and cut off at will.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail where it stands"
)]

mod aggregates;
mod change_feed;
mod completeness;
mod content_coding;
mod deleted;
mod details;
#[path = "../support/edge_server.rs"]
mod edge_server;
#[path = "../support/key.rs"]
mod key;

mod export;
mod framing;
mod gate;
mod lists;
mod pressure;
mod serving;
mod strangers;
mod surface;
mod tree;
mod webhooks;
