//! Named access tokens, of which the configuration keeps the SHA-256 and never the token.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::sources::Settings;
use crate::model::{Scope, Scopes, Timestamp};

const KEY: &str = "auth.tokens";
const FIELDS: [&str; 4] = ["name", "sha256", "scopes", "expires"];
const NAME_CHARACTERS: usize = 64;
const HIDDEN: &str = "(not shown)";
const HINT: &str = "`burki-edge token NAME` makes one";

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

impl Settings {
    /// Reads `auth.tokens`.
    pub(super) fn tokens(&mut self) -> Vec<Token> {
        let mut tokens: Vec<Token> = Vec::new();
        let Some((Value::Array(items), _)) = self.values.get(KEY).cloned() else {
            let expected = format!("expected a list of tables with name and sha256; {HINT}");
            self.refuse_part(KEY, HIDDEN, expected);
            return tokens;
        };
        for (at, item) in items.iter().enumerate() {
            let at = format!("{KEY}[{at}]");
            let Some(token) = self.token(&at, item) else {
                continue;
            };
            if tokens.iter().any(|other| other.name == token.name) {
                let expected = "another token has this name; give each its own";
                self.refuse_part(&format!("{at}.name"), format!("{:?}", token.name), expected);
            } else if let Some(other) = tokens.iter().find(|other| other.sha256 == token.sha256) {
                let expected = format!(
                    "the same token as {:?}; remove one of them, or make another: {HINT}",
                    other.name
                );
                self.refuse_part(&format!("{at}.sha256"), HIDDEN, expected);
            } else {
                tokens.push(token);
            }
        }
        tokens
    }

    fn token(&mut self, at: &str, item: &Value) -> Option<Token> {
        let mut refuse = |field: &str, shown: &str, expected: &str| {
            self.refuse_part(&format!("{at}{field}"), shown, expected.to_owned());
        };
        let Some(fields) = item.as_object() else {
            let expected = format!("expected a table with name and sha256; {HINT}");
            refuse("", HIDDEN, &expected);
            return None;
        };
        let is_unknown = |field: &&String| !FIELDS.contains(&field.as_str());
        for field in fields.keys().filter(is_unknown) {
            let expected =
                "unknown field; a token has name and sha256, and may have scopes and expires";
            refuse(&format!(".{field}"), HIDDEN, expected);
        }
        let text = |field| fields.get(field).and_then(Value::as_str);
        let shown = |field| match (text(field), fields.get(field)) {
            (Some(text), _) => format!("{text:?}"),
            (None, Some(_)) => "(not a text)".to_owned(),
            (None, None) => "(not set)".to_owned(),
        };
        let name = text("name").filter(|name| check_token_name(name).is_ok());
        if name.is_none() {
            refuse(".name", &shown("name"), &InvalidTokenName.to_string());
        }
        let sha256 = text("sha256").and_then(parse_digest);
        if sha256.is_none() {
            // It may be the token itself, so only its length is shown.
            let shown = text("sha256").map_or(shown("sha256"), |text| {
                format!("(not shown, {} characters)", text.chars().count())
            });
            let expected = format!(
                "expected 64 hexadecimal digits: store the token's SHA-256, not the token; {HINT}"
            );
            refuse(".sha256", &shown, &expected);
        }
        let of_nothing = sha256 == Some(token_digest(""));
        if of_nothing {
            let expected = format!("the SHA-256 of nothing at all; hash the token: {HINT}");
            refuse(".sha256", HIDDEN, &expected);
        }
        let names = fields.get("scopes").map(Vec::<&str>::deserialize);
        let scopes = match &names {
            None => Some(Scopes::USUAL),
            Some(Ok(names)) => names.iter().map(|name| Scope::named(name)).collect(),
            Some(Err(_)) => None,
        };
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        if scopes.is_none() {
            let shown = match names {
                Some(Ok(names)) => format!("{names:?}"),
                _ => "(not a list of texts)".to_owned(),
            };
            let known = Scope::ALL.map(Scope::as_str).join(", ");
            let expected =
                format!("expected a list of some of {known}; without one it may only read");
            refuse(".scopes", &shown, &expected);
        }
        let instant = text("expires").and_then(parse_expires);
        let endless = !fields.contains_key("expires");
        if instant.is_none() && !endless {
            let expected = "expected a date, or an instant in UTC, in double quotes, such as \
                 \"2027-01-31\" (valid until that day begins) or \"2027-01-31T18:00:00Z\"";
            refuse(".expires", &shown("expires"), expected);
        }
        Some(Token {
            name: name?.to_owned(),
            sha256: sha256.filter(|_| !of_nothing)?,
            scopes: scopes?,
            expires: instant,
        })
    }
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

/// When a token ends: a day, as its first instant, or an instant.
pub fn parse_expires(text: &str) -> Option<Timestamp> {
    let whole_day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(|_| whole_day()).ok()
}
