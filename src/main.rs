//! The binary: reads the command line, and says by its exit code whether the work was done.

use std::io::Write;
use std::process::ExitCode;

use burki_edge::cli::Cli;
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().run(&mut std::io::stdout()).await {
        Ok(code) => code,
        Err(error) => {
            // Where it can't be told, the code tells it.
            let _ = writeln!(std::io::stderr(), "burki-edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}
