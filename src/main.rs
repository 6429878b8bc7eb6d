//! The binary: parses the command line, and reports success or failure by its exit code.

use std::io::Write;
use std::process::ExitCode;

use burki_edge::cli::Cli;
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().run(&mut std::io::stdout()).await {
        Ok(code) => code,
        Err(error) => {
            // If standard error can't be written, the exit code still reports the failure.
            let _ = writeln!(std::io::stderr(), "burki-edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}
