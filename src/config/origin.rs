//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

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
