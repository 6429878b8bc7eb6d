//! `burki-edge token NAME`: makes an access token, shows it once, and prints the configuration
//! lines that admit it. Only its SHA-256 is stored anywhere.

use std::io::{Read, Write};

use anyhow::{Context, bail};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::json;

use crate::config::{check_token_name, parse_expires, token_digest};
use crate::model::Scope;

/// Shows what a token opens if it is found in a log or a repository.
const PREFIX: &str = "burki_edge_";
const RANDOM_BYTES: usize = 32;

/// The length of an existing token: long enough to be hard to guess, short enough for a header.
const EXISTING_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=4096;

/// Make a token that may read from the edge, or do more
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Who will hold the token; shown in logs
    name: String,

    /// What its holder may do: read, write, operate
    #[arg(long, value_name = "SCOPE,...", value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Scope>,

    /// When it expires: a date, or an instant in UTC
    #[arg(long, value_name = "DATE", value_parser = expires)]
    expires: Option<String>,

    /// Hash an existing token, read from standard input, instead of making one
    #[arg(long)]
    sha256: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn scope(name: &str) -> Result<Scope, String> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::named(name).ok_or(format!("expected some of {known}"))
}

fn expires(text: &str) -> Result<String, &'static str> {
    match parse_expires(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a date such as 2027-01-31, or 2027-01-31T18:00:00Z"),
    }
}

/// Writes a new token and its configuration lines to `out`; with `--sha256`, only the lines for the
/// token on standard input.
///
/// # Errors
/// The name or the given token is unfit, the system gives no randomness, or `out` can't be written.
/// No error repeats a token.
pub fn run(args: Args, out: &mut impl Write) -> anyhow::Result<()> {
    make(&args, &mut std::io::stdin().lock(), out)
}

fn make(args: &Args, input: &mut impl Read, out: &mut impl Write) -> anyhow::Result<()> {
    check_token_name(&args.name).with_context(|| format!("the name {:?}", args.name))?;
    let (token, made) = if args.sha256 {
        (read_token(input)?, None)
    } else {
        let token = random_token()?;
        (token.clone(), Some(token))
    };
    let sha256 = hex::encode(token_digest(&token));
    let written = if args.json {
        let mut told = json!({"name": args.name, "token": made, "sha256": sha256});
        if !args.scopes.is_empty() {
            told["scopes"] = names(&args.scopes).into();
        }
        if let Some(expires) = &args.expires {
            told["expires"] = expires.as_str().into();
        }
        writeln!(out, "{told:#}")
    } else {
        write_text(args, made.as_deref(), &sha256, out)
    };
    written.context("writing the result")
}

fn names(scopes: &[Scope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.as_str()).collect()
}

fn write_text(
    args: &Args,
    made: Option<&str>,
    sha256: &str,
    out: &mut impl Write,
) -> std::io::Result<()> {
    if let Some(token) = made {
        writeln!(out, "{token}\n")?;
        writeln!(out, "The token is shown this once; give it to its holder.")?;
        writeln!(out, "To let it in, add to the end of config.toml:\n")?;
    }
    // A JSON string without control characters is a TOML string, and names have none.
    writeln!(out, "[[auth.tokens]]")?;
    writeln!(out, "name = {}", json!(args.name))?;
    writeln!(out, "sha256 = \"{sha256}\"")?;
    if !args.scopes.is_empty() {
        writeln!(out, "scopes = {}", json!(names(&args.scopes)))?;
    }
    if let Some(expires) = &args.expires {
        writeln!(out, "expires = {}", json!(expires))?;
    }
    Ok(())
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    SysRng
        .try_fill_bytes(&mut bytes)
        .context("the operating system gives no random numbers")?;
    Ok(format!("{PREFIX}{}", hex::encode(bytes)))
}

fn read_token(input: &mut impl Read) -> anyhow::Result<String> {
    let limit = *EXISTING_CHARACTERS.end() as u64 + 2;
    let mut text = String::new();
    input
        .take(limit)
        .read_to_string(&mut text)
        .context("reading the token from standard input")?;
    let token = text.trim();
    let (from, to) = EXISTING_CHARACTERS.into_inner();
    if !(from..=to).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "what came on standard input is no token: expected {from} to {to} visible ASCII \
             characters on one line, such as `burki-edge token NAME` makes"
        );
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::Config;

    fn output(name: &str, sha256: bool, json: bool, input: &str) -> anyhow::Result<String> {
        let args = Args {
            name: name.to_owned(),
            scopes: Vec::new(),
            expires: None,
            sha256,
            json,
        };
        let mut out = Vec::new();
        make(&args, &mut input.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn the_printed_lines_let_the_printed_token_in() {
        let name = r#"the "Ulm" office \ door"#;
        let out = output(name, false, false, "").unwrap();
        let (token, rest) = out.split_once('\n').unwrap();
        assert_eq!(token.len(), PREFIX.len() + 2 * RANDOM_BYTES);
        let lines = &rest[rest.find("[[").unwrap()..];
        // The lines go at the end of the shipped file, as the output says.
        let file = tempfile::NamedTempFile::new().unwrap();
        let shipped = include_str!("../../config.toml");
        std::fs::write(file.path(), format!("{shipped}\n{lines}")).unwrap();
        let loaded = Config::load(Some(file.path()), [("", ""); 0]).unwrap();
        let tokens = loaded.config.auth.tokens;
        assert_eq!(tokens[0].name, name);
        assert_eq!(tokens[0].sha256, token_digest(token));
    }

    #[test]
    fn what_it_may_do_and_until_when_is_in_the_lines() {
        let args = Args {
            name: "ci".to_owned(),
            scopes: vec![Scope::Read, Scope::Operate],
            expires: Some("2027-01-31".to_owned()),
            sha256: false,
            json: false,
        };
        let mut out = Vec::new();
        make(&args, &mut std::io::empty(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &out[out.find("[[").unwrap()..]).unwrap();
        let loaded = Config::load(Some(file.path()), [("", ""); 0]).unwrap();
        let token = &loaded.config.auth.tokens[0];
        assert_eq!(token.scopes, args.scopes.into_iter().collect());
        assert_eq!(token.expires, parse_expires("2027-01-31"));
        assert!(scope("Read").is_err() && expires("tomorrow").is_err());
    }

    #[test]
    fn two_tokens_differ() {
        let json = || -> serde_json::Value {
            serde_json::from_str(&output("ci", false, true, "").unwrap()).unwrap()
        };
        let (one, other) = (json(), json());
        assert_ne!(one["token"], other["token"]);
        assert_eq!(one["name"], "ci");
        let digest = token_digest(one["token"].as_str().unwrap());
        assert_eq!(one["sha256"], hex::encode(digest));
    }

    #[test]
    fn an_existing_token_is_hashed_and_not_repeated() {
        let token = "an-existing-token";
        for json in [false, true] {
            let out = output("ci", true, json, &format!("{token}\r\n")).unwrap();
            assert!(out.contains(&hex::encode(token_digest(token))));
            assert!(!out.contains(token));
        }
    }

    #[rstest]
    #[case::nothing("")]
    #[case::too_short("short-secret")]
    #[case::two_words("two-words-of-a two-words-of-b")]
    #[case::not_ascii("sécret-sécret-sécret")]
    fn what_is_no_token_is_refused_unseen(#[case] input: &str) {
        let error = format!("{:#}", output("ci", true, false, input).unwrap_err());
        assert!(error.contains("expected 16 to 4096 visible ASCII"));
        assert!(input.is_empty() || !error.contains(input));
    }

    #[test]
    fn an_endless_input_is_not_read_to_its_end() {
        let args = Args {
            name: "ci".to_owned(),
            scopes: Vec::new(),
            expires: None,
            sha256: true,
            json: false,
        };
        assert!(make(&args, &mut std::io::repeat(b'a'), &mut Vec::new()).is_err());
    }

    #[rstest]
    #[case("")]
    #[case(" ci")]
    #[case("line\nbreak")]
    fn a_name_unfit_for_a_log_is_refused(#[case] name: &str) {
        let error = format!("{:#}", output(name, false, false, "").unwrap_err());
        assert!(error.contains(&format!("{name:?}")) && error.contains("1 to 64 printable"));
    }
}
