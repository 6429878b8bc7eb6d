//! The settings of an edge: read from defaults, file and environment, checked once, then plain
//! typed values that can't be wrong.
//!
//! ```text
//!  keys (the table) ──► sources (default < file < environment) ──► reader ──► validation ──► Config
//!                              unknown keys refused               bad values refused
//! ```
//! Nothing here reads the process's environment by itself: the caller hands it in.

mod error;
mod keys;
mod reader;
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
use std::time::Duration;

pub use error::{ConfigError, MissingApiKey, Problem};
pub use secret::Secret;
pub use sections::{Auth, History, Log, Server, Store, Sync, Tls, Upstream, Webhooks, Writes};
pub use tokens::{InvalidTokenName, Token, check_token_name, parse_expires, token_digest};
pub use validation::read_key_file;

use reader::Reader;
use sources::File;

/// Read from the working directory where no other file is named.
pub const USUAL_FILE: &str = "config.toml";

/// `BURKI_EDGE_SYNC__POLL_INTERVAL` sets `sync.poll_interval`.
const ENVIRONMENT_PREFIX: &str = "BURKI_EDGE_";

/// The variable Burki's own clients read; goes before every other source of `upstream.api_key`.
const API_KEY_VARIABLE: &str = "BURKI_API_KEY";

/// The whole configuration, every value checked.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
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
    /// Everything wrong that can be told at once: a file that can't be read, unknown keys, values
    /// out of range, settings that contradict each other. A missing API key is none of them.
    pub fn load<N: Into<OsString>, V: Into<OsString>>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Loaded, ConfigError> {
        let file = match file {
            Some(path) => File::Given(path),
            None => File::Usual(Path::new(USUAL_FILE)),
        };
        load(file, environment)
    }

    /// The defaults and `environment` alone, wherever the process runs: for the demo and tests.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_environment<N: Into<OsString>, V: Into<OsString>>(
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, ConfigError> {
        Ok(load(File::None, environment)?.config)
    }

    /// The upstream's key, for those who can't work without it.
    ///
    /// # Errors
    /// [`MissingApiKey`], whose text says the three ways to give one.
    pub fn api_key(&self) -> Result<&Secret, MissingApiKey> {
        self.upstream.api_key.as_ref().ok_or(MissingApiKey)
    }

    /// Two settings that are right by themselves and can't keep together what they promise: the
    /// polls alone take over half of the request budget. In words, with the remedy.
    pub fn crowded_budget(&self) -> Option<String> {
        let budget = u128::from(self.upstream.max_requests_per_minute.get());
        let poll = self.sync.poll_interval.max(Duration::from_millis(1));
        let polls = Duration::from_secs(60)
            .as_millis()
            .div_ceil(poll.as_millis());
        (2 * polls > budget).then(|| {
            format!(
                "upstream.max_requests_per_minute = {budget}: sync.poll_interval = {} alone takes \
                 {polls} requests a minute, so the newest is polled more rarely, and history is \
                 read slowly; allow {} requests a minute, or poll every {}",
                humantime::format_duration(poll),
                2 * polls,
                humantime::format_duration(Duration::from_secs(
                    u64::try_from(120_u128.div_ceil(budget)).unwrap_or(120)
                )),
            )
        })
    }
}

fn load<N: Into<OsString>, V: Into<OsString>>(
    file: File<'_>,
    environment: impl IntoIterator<Item = (N, V)>,
) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let is_named = matches!(file, File::Given(_));
    let environment = environment
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    let figment = sources::gather(file, environment, &mut problems);
    let mut reader = Reader::new(figment, problems);
    let config = Config::read(&mut reader);
    let (settings, problems) = reader.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            settings,
            is_named,
        }),
        _ => Err(ConfigError::new(problems)),
    }
}
