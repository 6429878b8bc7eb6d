//! What can be wrong with a configuration: each problem names the place, the value and the remedy.
//!
//! The value of a secret never enters a [`Problem`], so none can print one.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::config::origin::Origin;

/// Everything wrong that could be found in one go: one problem on one line, several as a list.
#[derive(Debug, thiserror::Error)]
#[error("{}", match problems.as_slice() {
    [problem] => problem.to_string(),
    problems => {
        let lines = problems.iter().map(|problem| format!("\n  {problem}"));
        format!("{} problems in the configuration{}", problems.len(), String::from_iter(lines))
    }
})]
pub struct ConfigError {
    /// Not empty.
    pub(super) problems: Vec<Problem>,
}

impl ConfigError {
    /// At least one: unreadable files and unknown keys, then bad values in the order of the keys,
    /// then contradictions.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// One thing to mend.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The configuration file can't be read, or was asked for and does not exist.
    #[error("{}: can't be read: {source}; --config names another file", path.display())]
    Unreadable { path: PathBuf, source: io::Error },

    /// The file is not TOML. The offending line is not repeated: it may hold a secret.
    #[error("{}: line {line}: {message}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        message: String,
    },

    /// A key or variable that nothing reads.
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
        expected: Cow<'static, str>,
    },

    /// Settings that exclude each other: where each was set, and what to do.
    #[error("{0}")]
    Contradiction(String),
}

/// `serve` or `sync` was started without the upstream's key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no upstream API key; set BURKI_API_KEY in the environment, or upstream.api_key or \
     upstream.api_key_file in config.toml"
)]
pub struct MissingApiKey;
