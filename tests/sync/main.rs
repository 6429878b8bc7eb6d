//! The engine's promises, in virtual time, against the simulator's world.
#![expect(clippy::expect_used, reason = "a test may fail where it stands")]
#![expect(clippy::print_stdout, reason = "a failing seed is shown with its test")]

mod clocks;
mod cost;
mod counts;
mod deletions;
mod details;
#[path = "../support/engine_harness.rs"]
mod engine_harness;
mod fill;
#[path = "../support/folder.rs"]
mod folder;
mod hints;
mod hostile;
mod intermediaries;
mod keys;
mod misses;
mod open_calls;
mod outage;
mod outbox;
mod pages;
mod proxied;
mod revalidation;
mod same_instant;
mod scope;
mod supervisor;
