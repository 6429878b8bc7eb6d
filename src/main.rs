//! The binary: reads the command line, and says by its exit code whether the work was done.

use std::process::ExitCode;

use burki_edge::cli::Cli;
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().run(&mut std::io::stdout()).await {
        Ok(code) => code,
        Err(error) => {
            #[expect(
                clippy::disallowed_macros,
                reason = "the one place that prints the error"
            )]
            {
                eprintln!("burki-edge: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
