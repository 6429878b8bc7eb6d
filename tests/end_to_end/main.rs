//! The whole edge before the whole simulated upstream, over real sockets: what a client of either
//! is told, up and down.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail where it stands"
)]

#[path = "../support/captured.rs"]
mod captured;
mod captures;
mod differential;
#[path = "../support/edge_and_upstream.rs"]
mod edge_and_upstream;
mod http;
#[path = "../support/key.rs"]
mod key;
mod metadata;
mod partial;
mod proxy;
mod recordings;
mod studio;
mod writes;
