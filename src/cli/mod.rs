//! The command line: one file for each subcommand, with its arguments and its `run`.

mod config_check;
mod config_file;
mod demo;
mod edge;
mod release;
mod running;
mod serve;
mod status;
mod sync;
mod token;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An edge replica of your Burki call records: the calls API, answered from a local file.
///
/// Try it without an account: burki-edge demo
#[derive(Parser, Debug)]
#[command(name = "burki-edge", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Sync(sync::Args),
    Status(status::Args),
    Release(release::Args),
    Verify(verify::Args),
    Token(token::Args),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    Check(config_check::Args),
}

impl Cli {
    /// Runs the subcommand. Its output goes to `out`, the log to standard error.
    ///
    /// # Errors
    /// The reason why it could not do its work, which `main` prints as one chain.
    pub async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let environment: Vec<_> = std::env::vars_os().collect();
        match self.command {
            Command::Demo(args) => demo::run(args, out).await,
            Command::Serve(args) => serve::run(args, environment).await,
            Command::Sync(args) => sync::run(args, environment, out).await,
            Command::Status(args) => status::run(args, environment, out).await,
            Command::Release(args) => release::run(args, environment, out).await,
            Command::Verify(args) => verify::run(args, environment, out).await,
            Command::Token(args) => token::run(args, out).map(|()| ExitCode::SUCCESS),
            Command::Config(ConfigCommand::Check(args)) => {
                config_check::run(args, out).map(|()| ExitCode::SUCCESS)
            }
        }
    }
}
