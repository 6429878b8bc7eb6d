//! Reads `auth.tokens`.

use serde::Deserialize;
use serde_json::Value;

use crate::config::sources::Settings;
use crate::config::token::{
    InvalidTokenName, Token, check_token_name, parse_expires, token_digest,
};
use crate::model::{Scope, Scopes};

const KEY: &str = "auth.tokens";
const FIELDS: [&str; 4] = ["name", "sha256", "scopes", "expires"];
const HIDDEN: &str = "(not shown)";
const HINT: &str = "`burki-edge token NAME` makes one";

impl Settings {
    /// The tokens; what is wrong with any of them is noted.
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
            None => Some(Scopes::DEFAULT),
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
