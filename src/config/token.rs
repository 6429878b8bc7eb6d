//! A named access token, of which the configuration stores the SHA-256 and never the token.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::model::{Scopes, Timestamp};

const NAME_CHARACTERS: usize = 64;

/// One access token, known by its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Unique; fit for logs.
    pub name: String,
    /// [`token_digest`] of the token.
    pub sha256: [u8; 32],
    pub scopes: Scopes,
    /// The instant from which it opens nothing.
    pub expires: Option<Timestamp>,
}

/// Without the digest, which a guess could be tried against.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The SHA-256 of a token's text as it stands in the `Authorization` header.
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Why a text can't name a token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "expected a name of 1 to {NAME_CHARACTERS} printable characters that neither begins nor ends \
     with a space"
)]
pub struct InvalidTokenName;

/// Names go into logs and tables, so they are short and printable.
///
/// # Errors
/// [`InvalidTokenName`], which says what is allowed.
pub fn check_token_name(name: &str) -> Result<(), InvalidTokenName> {
    let printable = !name.chars().any(char::is_control);
    let length = name.chars().count();
    if printable && name.trim() == name && (1..=NAME_CHARACTERS).contains(&length) {
        Ok(())
    } else {
        Err(InvalidTokenName)
    }
}

/// When a token ends: a day, as its first instant, or an instant.
pub fn parse_expires(text: &str) -> Option<Timestamp> {
    let whole_day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(|_| whole_day()).ok()
}
