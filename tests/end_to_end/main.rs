//! The whole edge before the whole simulated upstream, over real sockets: what a client of either
//! is told, up and down.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail where it stands"
)]

mod audio;
#[path = "../simulator/captured.rs"]
mod captured;
mod captures;
mod differential;
mod forward;
mod http;
mod metadata;
mod partial;
mod site;
mod studio;
mod writes;
