//! A text that must not be seen: it can be used, compared and cloned, never printed.
//!
//! Also what an API key and a webhook secret must look like.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::config::values::{Checked, allow};

const KEY_FORM: &str = "the key alone, without \"Bearer\", quotes or spaces, in visible ASCII";
const WEBHOOK_SECRET_CHARACTERS: usize = 16;

/// An API key or a webhook secret. `Debug` hides it and there is no `Display`, so that neither a
/// log line nor an error can carry it by accident.
#[derive(Clone, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that the caller found acceptable.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// In constant time for texts of one length.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

pub(super) fn api_key(text: &str) -> Checked {
    allow(is_key(text).then_some(text), format!("expected {KEY_FORM}"))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads a file that holds an API key.
///
/// # Errors
/// Why it holds none, in words that follow the file's name.
pub fn read_key_file(path: &Path) -> Result<Secret, String> {
    match fs::read_to_string(path) {
        Ok(text) if is_key(text.trim()) => Ok(Secret::new(text.trim())),
        Ok(_) => Err(format!("the file must hold {KEY_FORM}")),
        Err(error) => Err(format!(
            "can't be read: {error}; name a file that holds {KEY_FORM}"
        )),
    }
}

pub(super) fn webhook_secret(text: &str) -> Checked {
    let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_secret = text.len() >= WEBHOOK_SECRET_CHARACTERS && text.bytes().all(is_url_safe);
    let expected = format!(
        "expected at least {WEBHOOK_SECRET_CHARACTERS} characters out of A-Z, a-z, 0-9 and -._~, \
         as they stand in a URL; `openssl rand -hex 32` makes some"
    );
    allow(is_secret.then_some(text), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_equal_to_itself_and_silent_about_it() {
        let secret = Secret::new("hunter2-hunter2");
        assert_eq!(secret, Secret::new("hunter2-hunter2"));
        assert_ne!(secret, Secret::new("hunter2-hunter3"));
        assert!(!format!("{secret:?}").contains("hunter"));
    }
}
