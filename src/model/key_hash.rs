//! A hash that distinguishes API keys.

use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 of an API key: it distinguishes keys and can't be used as one. It has no `Debug`, so
/// that no log can expose it to guessing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub fn of(key: &str) -> KeyHash {
        KeyHash(Sha256::digest(key.as_bytes()).into())
    }
}

impl fmt::Display for KeyHash {
    /// Writes the hash in hex, as the database file has it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_keys_sha_256_in_hex() {
        let hash = KeyHash::of("abc").to_string();
        assert!(hash.starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert_eq!(hash.len(), 64);
    }
}
