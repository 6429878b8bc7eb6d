//! The whole edge before the whole simulated upstream, over real sockets: what a client of either
//! is told, up and down.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail where it stands"
)]

mod proxy;
mod recordings;
#[path = "../support/captured.rs"]
mod captured;
#[path = "../support/edge_and_upstream.rs"]
mod edge_and_upstream;
mod captures;
mod differential;
mod http;
mod metadata;
mod partial;
mod studio;
mod writes;
