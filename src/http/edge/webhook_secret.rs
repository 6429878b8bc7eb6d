//! The secret in a webhook's path, which authenticates its sender.

use subtle::ConstantTimeEq;

use crate::http::middleware::auth::digest;

/// The digest of the secret: the secret is not stored, and its length does not show in the time
/// that a comparison takes. It has no `Debug`.
pub struct Webhooks {
    digest: Option<[u8; 32]>,
}

impl Webhooks {
    /// Without a secret, no webhook is accepted.
    pub fn new(secret: Option<&str>) -> Webhooks {
        Webhooks {
            digest: secret.map(|secret| digest(secret.as_bytes())),
        }
    }

    pub(in crate::http) fn open_to(&self, presented: &str) -> bool {
        self.digest.is_some_and(|digest_of_secret| {
            digest_of_secret
                .as_slice()
                .ct_eq(digest(presented.as_bytes()).as_slice())
                .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_opens_and_none_opens_nothing() {
        let webhooks = Webhooks::new(Some("0123456789abcdef"));
        assert!(webhooks.open_to("0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789ABCDEF",
            "0123456789abcdef0",
        ] {
            assert!(!webhooks.open_to(wrong), "{wrong}");
            assert!(!Webhooks::new(None).open_to(wrong));
        }
    }
}
