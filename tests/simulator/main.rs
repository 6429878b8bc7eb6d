//! The simulator against what a real self-hosted server answered, and against its own promises.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "../support/captured.rs"]
mod captured;
mod aggregates;
mod captures;
mod details;
mod hostile;
mod life;
mod wire;
