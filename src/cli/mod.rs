//! The command line: one file for each subcommand, with its arguments and its `run`.

mod config_check;
mod demo;
mod edge;
mod release;
mod running;
mod serve;
mod status;
mod sync;
mod token;
mod verify;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::warn;

use crate::config::Config;
use crate::model::Timestamp;

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

/// The location of the configuration, an argument that most subcommands share.
#[derive(clap::Args, Debug)]
struct ConfigFile {
    /// The configuration file [default: ./config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Loads the configuration, and logs a warning for each likely mistake in it.
    fn load(&self, environment: Vec<(OsString, OsString)>) -> anyhow::Result<Config> {
        let loaded = Config::load(self.config.as_deref(), environment)?;
        for warning in loaded.warnings(Timestamp::now()) {
            warn!("{warning}");
        }
        Ok(loaded.config)
    }
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
