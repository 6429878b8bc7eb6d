//! The simulator against what a real self-hosted server answered, and against its own promises.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod captures;
mod hostile;
mod life;
mod wire;
