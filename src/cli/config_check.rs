//! `burki-edge config check`: shows every setting in effect and where it came from, or everything
//! that is wrong with the settings.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use crate::config::{Config, ConfigError, Loaded, Origin, Setting};
use crate::model::Timestamp;

/// Check the configuration and show every setting in effect
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration file [default: ./config.toml where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON, also for what is wrong
    #[arg(long)]
    json: bool,
}

/// Checks the configuration that this process would run with, and writes it to `out` without any
/// secret.
///
/// # Errors
/// A [`ConfigError`] (with `--json` its problems are also on `out`), or `out` can't be written.
pub fn run(args: Args, out: &mut impl Write) -> anyhow::Result<()> {
    check(&args, std::env::vars_os(), out)
}

fn check<N: Into<OsString>, V: Into<OsString>>(
    args: &Args,
    environment: impl IntoIterator<Item = (N, V)>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let loaded = Config::load(args.config.as_deref(), environment);
    match (&loaded, args.json) {
        (Ok(loaded), false) => write_text(loaded, out),
        (Ok(loaded), true) => write_json(&effective(loaded), out),
        (Err(_), false) => Ok(()),
        (Err(error), true) => write_json(&problems(error), out),
    }
    .context("writing the result")?;
    loaded?;
    Ok(())
}

fn write_text(loaded: &Loaded, out: &mut impl Write) -> std::io::Result<()> {
    let lines: Vec<(String, &Origin)> = loaded
        .settings
        .iter()
        .map(|setting| {
            (
                format!("{} = {}", setting.key, text(setting)),
                &setting.origin,
            )
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max();
    for (line, origin) in &lines {
        writeln!(out, "{line:width$}  # {origin}", width = width.unwrap_or(0))?;
    }
    if let Err(missing) = loaded.config.api_key() {
        writeln!(
            out,
            "\nnote: {missing}; `serve`, `sync` and `verify` need it"
        )?;
    }
    for warning in loaded.warnings(Timestamp::now()) {
        writeln!(out, "\nnote: {warning}")?;
    }
    Ok(())
}

fn text(setting: &Setting) -> String {
    match &setting.value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) if text == "(set)" => text.clone(),
        value => value.to_string(),
    }
}

fn effective(loaded: &Loaded) -> Value {
    let settings: Vec<Value> = loaded
        .settings
        .iter()
        .map(|setting| {
            let (origin, source) = match &setting.origin {
                Origin::Default => ("default", None),
                Origin::File(path) => ("file", Some(path.display().to_string())),
                Origin::Environment(variable) => ("environment", Some(variable.clone())),
            };
            json!({
                "key": setting.key,
                "value": setting.value,
                "origin": origin,
                "source": source,
            })
        })
        .collect();
    json!({
        "valid": true,
        "settings": settings,
        "notes": notes(loaded),
    })
}

fn notes(loaded: &Loaded) -> Vec<String> {
    let missing = loaded.config.api_key().err();
    let missing = missing.iter().map(ToString::to_string);
    missing.chain(loaded.warnings(Timestamp::now())).collect()
}

fn problems(error: &ConfigError) -> Value {
    let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    json!({"valid": false, "problems": problems})
}

fn write_json(value: &Value, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "bk_live_not_for_your_eyes";

    /// Runs the check on a file with this TOML. Returns the output, the error and the file's name.
    fn checked(toml: &str, json: bool, environment: &[(&str, &str)]) -> (String, String, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let args = Args {
            config: Some(file.path().to_owned()),
            json,
        };
        let mut out = Vec::new();
        let result = check(&args, environment.iter().copied(), &mut out);
        let error = result.err().map(|error| format!("{error:#}"));
        (
            String::from_utf8(out).unwrap(),
            error.unwrap_or_default(),
            file.path().display().to_string(),
        )
    }

    #[test]
    fn each_setting_is_shown_with_where_it_came_from() {
        let (out, error, file) = checked(
            "[sync]\npoll_interval = \"5s\"",
            false,
            &[("BURKI_EDGE_SERVER__WORKERS", "2")],
        );
        assert_eq!(error, "");
        let line = |key: &str| {
            let line = out.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            line("sync.poll_interval"),
            format!("sync.poll_interval = \"5s\" # {file}")
        );
        assert_eq!(
            line("server.workers"),
            "server.workers = 2 # BURKI_EDGE_SERVER__WORKERS"
        );
        assert_eq!(
            line("upstream.api_key "),
            "upstream.api_key = (not set) # default"
        );
        assert!(out.contains("note: no upstream API key; set BURKI_API_KEY"));
    }

    #[test]
    fn a_secret_is_shown_as_set_and_no_more() {
        for json in [false, true] {
            let (out, error, _) = checked(
                "[webhooks]\nsecret = \"bk_hook_not_for_your_eyes\"",
                json,
                &[("BURKI_API_KEY", KEY)],
            );
            assert_eq!(error, "");
            assert_eq!(out.matches("(set)").count(), 2, "{out}");
            assert!(!out.contains("for_your_eyes") && !out.contains("note:"));
        }
    }

    #[test]
    fn the_machine_form_names_origin_and_source() {
        let (out, _, _) = checked("", true, &[("BURKI_API_KEY", KEY)]);
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["valid"], true);
        let settings = value["settings"].as_array().unwrap();
        let key = settings.iter().find(|s| s["key"] == "upstream.api_key");
        assert_eq!(
            key.unwrap(),
            &json!({
                "key": "upstream.api_key",
                "value": "(set)",
                "origin": "environment",
                "source": "BURKI_API_KEY",
            })
        );
        let cert = settings.iter().find(|s| s["key"] == "server.tls_cert");
        assert_eq!(cert.unwrap()["value"], Value::Null);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = "[server]\nworkers = 5000\n[sync]\npol_interval = \"1s\"";
        let (out, error, file) = checked(wrong, false, &[]);
        assert_eq!(out, "");
        assert!(error.starts_with("2 problems in the configuration\n"));
        assert!(error.contains(&format!("{file}: unknown key \"sync.pol_interval\"")));
        assert!(error.contains("server.workers = 5000"));

        let (out, error, _) = checked(wrong, true, &[]);
        assert!(!error.is_empty());
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["valid"], false);
        assert_eq!(value["problems"].as_array().unwrap().len(), 2);
    }
}
