//! The engine's promises, in virtual time, against the simulator's world.
#![expect(clippy::expect_used, reason = "a test may fail where it stands")]
#![expect(clippy::print_stdout, reason = "a failing seed is shown with its test")]

mod intermediaries;
mod open_calls;
mod proxied;
mod outbox;
mod revalidation;
mod same_instant;
mod supervisor;
#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/engine_harness.rs"]
mod engine_harness;
mod clocks;
mod cost;
mod counts;
mod deletions;
mod details;
mod fill;
mod hints;
mod hostile;
mod keys;
mod misses;
mod outage;
mod pages;
mod scope;
