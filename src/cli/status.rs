//! `burki-edge status`: shows the state of a running edge or, if none answers, the contents of its
//! file.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::cli::edge;
use crate::config::Config;
use crate::store::{Reader, StoreError};
use crate::telemetry;

/// Show the state of the running edge; exits 1 if none answers
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    address: edge::Address,

    /// Print the JSON of /edge/status
    #[arg(long)]
    json: bool,
}

pub async fn run(
    args: Args,
    environment: Vec<(OsString, OsString)>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let _log = telemetry::start("warn");
    let config = args.address.file.load(environment)?;
    let edge = args.address.edge(&config)?;
    match edge.get("/edge/status").await {
        Ok(answer) => {
            let status = edge.read(answer)?;
            match args.json {
                true => writeln!(out, "{status:#}")?,
                false => print(&status, out)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            print_file(&config, out)?;
            Err(edge.silent(error))
        }
    }
}

fn print(status: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let (upstream, replica, sync) = (&status["upstream"], &status["replica"], &status["sync"]);
    if sync["phase"] == "held" {
        writeln!(
            out,
            "HELD      more calls seem to be gone upstream than are believed at once; all are served \
             on ({} were looked for and not found so far)",
            replica["suspects"],
        )?;
        writeln!(
            out,
            "          if they were meant to be deleted, let them go: burki-edge release"
        )?;
    }
    writeln!(
        out,
        "upstream  {} is {}, {}",
        text(&upstream["base_url"]),
        text(&upstream["state"]),
        match upstream["last_success_at"].as_str() {
            Some(at) => format!("last answered {at}"),
            None => "and never answered".to_owned(),
        },
    )?;
    if !upstream["last_error"].is_null() {
        let error = &upstream["last_error"];
        writeln!(
            out,
            "          last failed {}: {}",
            text(&error["at"]),
            text(&error["message"])
        )?;
        writeln!(out, "          {}", text(&error["hint"]))?;
    }
    let complete = replica["coverage"]["complete"] == Value::Bool(true);
    writeln!(
        out,
        "replica   {} calls, {}, newest {}, all verified since {}",
        replica["calls"],
        if complete {
            "complete"
        } else {
            "not complete yet"
        },
        text(&replica["newest_call_at"]),
        text(&replica["oldest_verified_at"]),
    )?;
    if replica["unreadable"]
        .as_u64()
        .is_some_and(|calls| calls > 0)
    {
        writeln!(
            out,
            "          {} more are counted upstream, which fails to send them",
            replica["unreadable"],
        )?;
    }
    writeln!(
        out,
        "sync      {}, {:.0} % read, {} requests in the last hour, at most {} a minute",
        text(&sync["phase"]),
        sync["progress"].as_f64().unwrap_or(0.0) * 100.0,
        sync["requests_last_hour"],
        sync["budget_per_minute"],
    )?;
    match sync["freshness_bound_s"].as_u64().map(Duration::from_secs) {
        Some(bound) => writeln!(
            out,
            "          a change upstream shows here within {}",
            humantime::format_duration(bound),
        )?,
        None => writeln!(
            out,
            "          nothing bounds now how long a change upstream stays unseen"
        )?,
    }
    print_details(&sync["details"], out)?;
    print_writes(&status["writes"], out)
}

/// Prints nothing for an edge that stores no details.
fn print_details(details: &Value, out: &mut impl Write) -> std::io::Result<()> {
    match (count(&details["kept"]), count(&details["due"])) {
        (0, 0) => Ok(()),
        (kept, due) => writeln!(
            out,
            "details   {kept} texts kept, {due} ended calls left to ask for"
        ),
    }
}

/// Prints nothing if no write is pending, failed or in conflict.
fn print_writes(writes: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let told = [
        (&writes["pending"], "waiting for the upstream"),
        (&writes["failed"], "failed (GET /edge/writes tells why)"),
        (
            &writes["conflicts"],
            "went over somebody else's change of the same keys",
        ),
    ];
    let told = told.map(|(figure, words)| (count(figure), words));
    let told = told.iter().filter(|(figure, _)| *figure > 0);
    let told: Vec<String> = told
        .map(|(figure, words)| format!("{figure} {words}"))
        .collect();
    match told.is_empty() {
        true => Ok(()),
        false => writeln!(out, "writes    {}", told.join(", ")),
    }
}

/// The figure, or 0 if an older edge does not report it.
fn count(figure: &Value) -> u64 {
    figure.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("never")
}

fn print_file(config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    let path = config.store.path.display();
    match Reader::open(&config.store.path).and_then(|reader| reader.totals()) {
        Ok(totals) => writeln!(
            out,
            "{path}: {} calls, newest {}",
            totals.calls,
            totals
                .newest_call_at
                .map_or("never".to_owned(), |at| at.to_string()),
        )?,
        Err(error @ StoreError::Older { .. }) => writeln!(out, "{error}")?,
        Err(_) => writeln!(out, "{path}: no replica yet")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(phase: &str, unreadable: u64, bound: Option<u64>) -> String {
        let status = json!({
            "upstream": {"base_url": "https://upstream.test", "state": "online"},
            "replica": {"calls": 900, "suspects": 80, "unreadable": unreadable},
            "sync": {"phase": phase, "freshness_bound_s": bound},
        });
        let mut out = Vec::new();
        print(&status, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn held_deletions_are_told_first_and_with_the_remedy() {
        let held = printed("held", 0, None);
        assert!(
            held.starts_with("HELD      more calls seem to be gone upstream than are believed")
        );
        assert!(held.contains("(80 were looked for and not found so far)"));
        assert!(held.contains("is online, and never answered\n"));
        assert!(held.contains("burki-edge release"));
        assert!(held.contains("nothing bounds now how long"));
        assert!(!printed("live", 0, None).contains("release"));
    }

    #[test]
    fn unreadable_calls_are_told_where_there_are_any() {
        assert!(printed("live", 3, None).contains("\n          3 more are counted upstream"));
        assert!(!printed("live", 0, None).contains("counted"));
    }

    #[test]
    fn the_bound_is_told_as_a_time() {
        let text = printed("live", 0, Some(3690));
        assert!(text.ends_with("shows here within 1h 1m 30s\n"), "{text}");
    }

    #[test]
    fn details_and_writes_are_a_line_each_where_there_are_any() {
        let told = |details: Value, writes: Value| {
            let mut out = Vec::new();
            print_details(&details, &mut out).unwrap();
            print_writes(&writes, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let none = json!({"pending": 0, "failed": 0, "conflicts": 0});
        assert_eq!(told(json!({"due": 0, "kept": 0}), none.clone()), "");
        assert_eq!(told(Value::Null, Value::Null), "");
        assert_eq!(
            told(json!({"due": 7, "kept": 0}), none.clone()),
            "details   0 texts kept, 7 ended calls left to ask for\n"
        );
        assert_eq!(
            told(json!({"due": 0, "kept": 12}), none),
            "details   12 texts kept, 0 ended calls left to ask for\n"
        );
        assert_eq!(
            told(
                Value::Null,
                json!({"pending": 3, "failed": 1, "conflicts": 2})
            ),
            "writes    3 waiting for the upstream, 1 failed (GET /edge/writes tells why), \
             2 went over somebody else's change of the same keys\n"
        );
        let one = json!({"pending": 0, "failed": 0, "conflicts": 4});
        assert_eq!(
            told(Value::Null, one),
            "writes    4 went over somebody else's change of the same keys\n"
        );
    }
}
