//! The engine's promises, in virtual time, against the simulator's world.
#![expect(clippy::expect_used, reason = "a test may fail where it stands")]

mod fill;
mod follow;
mod misses;
mod outage;
mod stage;
