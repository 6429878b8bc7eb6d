//! The simulator against what a real self-hosted server answered, and against its own promises.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod aggregates;
#[path = "../support/captured.rs"]
mod captured;
mod captures;
mod details;
mod hostile;
#[path = "../support/key.rs"]
mod key;
mod life;
mod wire;
