//! A text that must not be seen: it can be used, compared and cloned, never printed.

use std::fmt;

use subtle::ConstantTimeEq;

/// An API key or a webhook secret. `Debug` hides it and there is no `Display`, so that neither a
/// log line nor an error can carry it by accident.
#[derive(Clone)]
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
