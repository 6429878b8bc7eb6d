//! Named access tokens: what the configuration keeps of them is the SHA-256, never the token.

use std::fmt;

use figment::value::{Dict, Value};
use sha2::{Digest, Sha256};

use super::reader::Reader;
use crate::model::{Scope, Scopes, Timestamp};

const KEY: &str = "auth.tokens";
const NAME_CHARACTERS: usize = 64;
const HINT: &str = "`burki-edge token NAME` makes one";

/// Who may come in, by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Unique; fit for logs.
    pub name: String,
    /// [`token_digest`] of the token.
    pub sha256: [u8; 32],
    pub scopes: Scopes,
    /// It opens nothing from then on.
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

/// Reads `auth.tokens`.
pub(super) fn read(reader: &mut Reader) -> Vec<Token> {
    let Some(Value::Array(_, items)) = reader.get(KEY) else {
        reader.refuse(
            KEY,
            format_args!("expected a list of tables with name and sha256; {HINT}"),
        );
        return Vec::new();
    };
    let mut tokens: Vec<Token> = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let at = format!("{KEY}[{at}]");
        let Some(token) = read_one(reader, &at, item) else {
            continue;
        };
        if tokens.iter().any(|other| other.name == token.name) {
            reader.refuse_as(
                &format!("{at}.name"),
                format!("{:?}", token.name),
                "another token has this name; give each its own",
            );
        } else if let Some(other) = tokens.iter().find(|other| other.sha256 == token.sha256) {
            let expected = format!(
                "the same token as {:?}; remove one of them, or make another: {HINT}",
                other.name
            );
            reader.refuse_as(&format!("{at}.sha256"), "(not shown)".to_owned(), expected);
        } else {
            tokens.push(token);
        }
    }
    tokens
}

fn read_one(reader: &mut Reader, at: &str, item: Value) -> Option<Token> {
    let hidden = || "(not shown)".to_owned();
    let Value::Dict(_, mut fields) = item else {
        reader.refuse_as(
            at,
            hidden(),
            format_args!("expected a table with name and sha256; {HINT}"),
        );
        return None;
    };
    let name = take_text(&mut fields, "name");
    let sha256 = take_text(&mut fields, "sha256");
    let scopes = read_scopes(reader, at, fields.remove("scopes"));
    let expires = read_expires(reader, at, fields.remove("expires"));
    for field in fields.keys() {
        reader.refuse_as(
            &format!("{at}.{field}"),
            hidden(),
            "unknown field; a token has name and sha256, and may have scopes and expires",
        );
    }
    let name = match name {
        Some(name) if check_token_name(&name).is_ok() => Some(name),
        other => {
            let shown = other.map_or("(not set)".to_owned(), |name| format!("{name:?}"));
            reader.refuse_as(&format!("{at}.name"), shown, InvalidTokenName);
            None
        }
    };
    // A value that is no digest may be the token itself: only its length is told.
    let sha256 = match sha256.as_deref().map(parse_digest) {
        Some(Some(digest)) if digest == token_digest("") => {
            reader.refuse_as(
                &format!("{at}.sha256"),
                hidden(),
                format_args!("the SHA-256 of nothing at all; hash the token: {HINT}"),
            );
            None
        }
        Some(Some(digest)) => Some(digest),
        _ => {
            let shown = sha256.map_or("(not set)".to_owned(), |text| {
                format!("(not shown, {} characters)", text.chars().count())
            });
            reader.refuse_as(
                &format!("{at}.sha256"),
                shown,
                format_args!(
                    "expected 64 hexadecimal digits: store the token's SHA-256, not the token; \
                     {HINT}"
                ),
            );
            None
        }
    };
    Some(Token {
        name: name?,
        sha256: sha256?,
        scopes: scopes?,
        expires: expires?,
    })
}

fn read_scopes(reader: &mut Reader, at: &str, value: Option<Value>) -> Option<Scopes> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    let shown = match value {
        None => return Some(Scopes::USUAL),
        Some(Value::Array(_, items)) => {
            let names: Vec<_> = items.into_iter().map(Value::into_string).collect();
            let scope = |name: &Option<String>| Scope::named(name.as_deref()?);
            let scopes: Option<Scopes> = names.iter().map(scope).collect();
            if let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) {
                return Some(scopes);
            }
            let names = names.into_iter().map(|name| match name {
                Some(name) => format!("{name:?}"),
                None => "(not a text)".to_owned(),
            });
            format!("[{}]", names.collect::<Vec<_>>().join(", "))
        }
        Some(_) => "(not a list)".to_owned(),
    };
    let expected = format_args!("expected a list of some of {known}; without one it may only read")
        .to_string();
    reader.refuse_as(&format!("{at}.scopes"), shown, expected);
    None
}

fn read_expires(reader: &mut Reader, at: &str, value: Option<Value>) -> Option<Option<Timestamp>> {
    let shown = match value {
        None => return Some(None),
        Some(Value::String(_, text)) => {
            if let Some(instant) = parse_expires(&text) {
                return Some(Some(instant));
            }
            format!("{text:?}")
        }
        Some(_) => "(not a text)".to_owned(),
    };
    reader.refuse_as(
        &format!("{at}.expires"),
        shown,
        "expected a date, or an instant in UTC, in double quotes, such as \"2027-01-31\" (valid \
         until that day begins) or \"2027-01-31T18:00:00Z\"",
    );
    None
}

/// When a token ends: a day, as its first instant, or an instant.
pub fn parse_expires(text: &str) -> Option<Timestamp> {
    let whole_day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(|_| whole_day()).ok()
}

fn take_text(fields: &mut Dict, field: &str) -> Option<String> {
    fields.remove(field).and_then(Value::into_string)
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}
