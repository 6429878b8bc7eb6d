//! The engine's promises, in virtual time, against the simulator's world.
#![expect(clippy::expect_used, reason = "a test may fail where it stands")]
#![expect(clippy::print_stdout, reason = "a failing seed is shown with its test")]

mod cached;
mod clocks;
mod cost;
mod counts;
mod crowds;
mod deletions;
mod details;
mod fill;
mod folder;
mod follow;
mod hints;
mod hostile;
mod keys;
mod misses;
mod outage;
mod pages;
mod passed;
mod scope;
mod stage;
mod tiers;
mod watchdog;
mod writes;
