//! The binary itself, as an operator runs it: a child process with its own environment, sockets,
//! signals and exit code, against a simulated Burki on a real socket.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may fail where it stands"
)]
#![expect(clippy::print_stdout, reason = "a seed is shown with its test")]

mod auth;
mod child;
mod daemon;
mod demo;
#[path = "../support/edge_process.rs"]
mod edge_process;
mod end;
mod endurance;
#[path = "../support/key.rs"]
mod key;
mod log;
mod mangled;
mod refusals;
mod release;
mod replica;
mod status;
mod sync;
mod tls;
mod verify;
