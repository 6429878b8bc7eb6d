//! The command line, one file a subcommand: each has its `Args` and a `run` that writes to the
//! writer it is given.

pub mod config_check;
pub mod token;
