//! The log: to standard error, so that standard output is left to what a command prints.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs at `level` and above; `RUST_LOG` says otherwise where it is set.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // An error means that a log was started before, as tests may.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
