//! What can be wrong with a configuration, each with the place it was found and the remedy.
//!
//! The value of a secret never enters a [`Problem`], so none can print one.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Origin;

/// Everything wrong that could be found in one go.
#[derive(Debug)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `problems` is not empty.
    pub(super) fn new(problems: Vec<Problem>) -> ConfigError {
        ConfigError { problems }
    }

    /// At least one: unreadable files and unknown keys first, then bad values in the order of the
    /// keys.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// One problem on one line; several as a list.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.problems.as_slice() {
            return write!(f, "{problem}");
        }
        write!(f, "{} problems in the configuration", self.problems.len())?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// One thing to mend.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The configuration file can't be read, or was asked for and does not exist.
    #[error("{}: can't be read: {source}; --config names another file", path.display())]
    Unreadable { path: PathBuf, source: io::Error },

    /// The file is no TOML. The offending line is not repeated: it may hold a secret.
    #[error("{}: line {line}: {message}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        message: String,
    },

    /// A key or variable nobody reads.
    #[error("{place}: unknown {what} \"{name}\"; {}", match nearest {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => "the config.toml that ships with burki-edge lists every key".to_owned(),
    })]
    Unknown {
        place: String,
        what: &'static str,
        name: String,
        nearest: Option<String>,
    },

    /// A section's name with a value of its own.
    #[error("{}: \"{section}\" is a section; write [{section}] and its keys below", path.display())]
    NotASection { path: PathBuf, section: String },

    /// A value outside what its key allows.
    #[error("{origin}: {key} = {value}: {expected}")]
    Invalid {
        origin: Origin,
        key: String,
        /// As written, or what stands for a secret.
        value: String,
        /// What is allowed, and what to do.
        expected: String,
    },

    /// A certificate without its key, or the reverse.
    #[error("{origin}: {given} is set and {missing} is not; set both to serve TLS, or neither")]
    HalfOfTls {
        origin: Origin,
        given: &'static str,
        missing: &'static str,
    },

    /// Two keys, and no telling which one is meant.
    #[error(
        "upstream.api_key (from {key}) and upstream.api_key_file (from {file}) are both set; \
         keep one of them"
    )]
    TwoApiKeys { key: Origin, file: Origin },

    /// Every door is shut.
    #[error(
        "nobody could read: auth.accept_upstream_key, auth.introspect and \
         auth.anonymous_on_loopback are false and auth.tokens is empty; turn one on, or add a \
         token (`burki-edge token NAME` makes one)"
    )]
    NobodyCanRead,

    /// Reading without a token, offered beyond this machine.
    #[error(
        "{origin}: auth.anonymous_on_loopback = true: server.listen = {address} can be reached \
         from other machines; listen on loopback addresses only, such as 127.0.0.1:8080, or turn \
         it off"
    )]
    AnonymousOnNetwork { origin: Origin, address: String },

    /// Without a token, and for the pages of everybody: whatever the browser of this machine shows
    /// would read the calls.
    #[error(
        "{origin}: auth.anonymous_on_loopback = true, but server.cors_origins = [\"*\"] ({cors}) lets \
         every page read that a browser on this machine shows; name the origins of your own pages, \
         or turn it off"
    )]
    AnonymousForAllPages { origin: Origin, cors: Origin },
}

/// `serve` or `sync` was started without the upstream's key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no upstream API key; set BURKI_API_KEY in the environment, or upstream.api_key or \
     upstream.api_key_file in config.toml"
)]
pub struct MissingApiKey;
