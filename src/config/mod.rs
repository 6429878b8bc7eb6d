//! The settings of an edge: read from defaults, file and environment, checked once, then plain
//! typed values. Only `app` and `cli` know this folder; of the crate, it knows only `model`.
//!
//! ```text
//!  sources: defaults < file < environment ──► Settings ──► validation, tokens ──► Config
//!             unknown keys are refused           bad values are refused
//! ```
//! In reading order: `sections` has every key, what it may hold and the types that others read;
//! `sources` lays one source over another and remembers where each value was set; `validation`
//! checks the values, and `tokens` those of `auth.tokens`; `error` is what is refused, `warnings`
//! what is allowed and may be a mistake; `secret` is a text that is never printed.
//!
//! Nothing here reads the process's environment by itself: the caller hands it in.

mod error;
mod secret;
mod sections;
mod sources;
mod tokens;
mod validation;
mod warnings;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use error::{ConfigError, MissingApiKey, Problem};
pub use secret::{Secret, read_key_file};
pub use sections::{Auth, History, Log, Server, Store, Sync, Tls, Upstream, Webhooks, Writes};
pub use tokens::{InvalidTokenName, Token, check_token_name, parse_expires, token_digest};

use sources::Settings;

/// Read from the working directory where no other file is named.
pub const USUAL_FILE: &str = "config.toml";

/// The whole configuration, every value checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    pub server: Server,
    pub upstream: Upstream,
    pub store: Store,
    pub sync: Sync,
    pub auth: Auth,
    pub webhooks: Webhooks,
    pub writes: Writes,
    pub log: Log,
}

/// A configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Every key, in the order of the shipped `config.toml`.
    pub settings: Vec<Setting>,
    /// The file was asked for by its name.
    is_named: bool,
}

/// One key as it is in effect, fit to be shown: no secret is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Dotted, `sync.poll_interval`.
    pub key: &'static str,
    /// Null where it is not set; `"(set)"` for a secret; the names for `auth.tokens`.
    pub value: serde_json::Value,
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Default,
    File(PathBuf),
    /// The variable's name.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => path.display().fmt(f),
            Origin::Environment(variable) => f.write_str(variable),
        }
    }
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

fn load<N: Into<OsString>, V: Into<OsString>>(
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
