//! Reads the configuration from all of its sources.

use std::ffi::OsString;
use std::path::Path;

use crate::config::error::{ConfigError, MissingApiKey};
use crate::config::origin::Setting;
use crate::config::secret::Secret;
use crate::config::sections::Config;
use crate::config::sources::Settings;

/// Read from the working directory where no other file is named.
pub const USUAL_FILE: &str = "config.toml";

/// A configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Every key, in the order of the shipped `config.toml`.
    pub settings: Vec<Setting>,
    /// The file was asked for by its name.
    pub(super) is_named: bool,
}

impl Config {
    /// Reads the configuration: defaults, then `file` (without one, `./config.toml` where it
    /// exists), then `BURKI_EDGE_SECTION__KEY`, then `BURKI_API_KEY`. `environment` is
    /// `std::env::vars_os()`; a test hands in a table.
    ///
    /// # Errors
    /// Everything wrong that can be found at once: a file that can't be read, unknown keys, values
    /// out of range, settings that contradict each other. A missing API key is none of them.
    pub fn load<N: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Loaded, ConfigError> {
        let usual = Path::new(USUAL_FILE);
        load(Some(file.unwrap_or(usual)), file.is_some(), environment)
    }

    /// The defaults and `environment` alone, wherever the process runs: for the demo and tests.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_environment<N: Into<OsString>, V: Into<OsString>>(
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, ConfigError> {
        Ok(load(None, false, environment)?.config)
    }

    /// The upstream's key, for those who can't work without it.
    ///
    /// # Errors
    /// [`MissingApiKey`], whose text says the three ways to give one.
    pub fn api_key(&self) -> Result<&Secret, MissingApiKey> {
        self.upstream.api_key.as_ref().ok_or(MissingApiKey)
    }
}

pub(super) fn load<N: Into<OsString>, V: Into<OsString>>(
    file: Option<&Path>,
    must_exist: bool,
    environment: impl IntoIterator<Item = (N, V)>,
) -> Result<Loaded, ConfigError> {
    let environment = environment.into_iter();
    let mut settings = Settings::new();
    if let Some(path) = file {
        settings.add_file(path, must_exist);
    }
    settings.add_environment(environment.map(|(name, value)| (name.into(), value.into())));
    let config = Config::read(&mut settings);
    if !settings.problems.is_empty() {
        return Err(ConfigError {
            problems: settings.problems,
        });
    }
    Ok(Loaded {
        config,
        settings: settings.shown(),
        is_named: must_exist,
    })
}
