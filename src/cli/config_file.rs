//! Where the configuration is: an argument that most subcommands share.

use std::ffi::OsString;
use std::path::PathBuf;

use tracing::warn;

use crate::config::Config;
use crate::model::Timestamp;

/// The location of the configuration, an argument that most subcommands share.
#[derive(clap::Args, Debug)]
pub struct ConfigFile {
    /// The configuration file [default: ./config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// Loads the configuration, and logs a warning for each likely mistake in it.
    pub fn load(&self, environment: Vec<(OsString, OsString)>) -> anyhow::Result<Config> {
        let loaded = Config::load(self.config.as_deref(), environment)?;
        for warning in loaded.warnings(Timestamp::now()) {
            warn!("{warning}");
        }
        Ok(loaded.config)
    }
}
