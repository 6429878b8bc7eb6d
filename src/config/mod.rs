//! The settings of an edge: read from defaults, file and environment, checked once, then plain
//! typed values. Only `app` and `cli` know this folder; of the crate, it knows only `model`.
//!
//! ```text
//!  sources: defaults < file < environment ──► Settings ──► validation, tokens ──► Config
//!             unknown keys are refused           bad values are refused
//! ```
//! In reading order: `sections` are the typed values that others read; `token` and `secret` are two of
//! them; `values` checks one text, and `keys` is the table of every key with its check; `sources` lays
//! one source over another and remembers the `origin` of each value; `validation` checks them all,
//! and `tokens` those of `auth.tokens`; `loaded` does all of it; `error` is what is refused, `warnings`
//! what is allowed and may be a mistake.
//!
//! Nothing here reads the process's environment by itself: the caller hands it in.

mod error;
mod keys;
mod loaded;
mod origin;
mod secret;
mod sections;
mod sources;
mod token;
mod tokens;
mod validation;
mod values;
mod warnings;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, MissingApiKey, Problem};
pub use loaded::{Loaded, USUAL_FILE};
pub use origin::{Origin, Setting};
pub use secret::{Secret, read_key_file};
pub use sections::{Auth, Config, Log, Server, Store, Sync, Tls, Upstream, Webhooks, Writes};
pub use token::{InvalidTokenName, Token, check_token_name, parse_expires, token_digest};
pub use values::History;
