//! `burki-edge status`: how a running edge is, or, where none answers, what its file holds.

use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use url::Url;

use super::ConfigFile;
use crate::config::Config;
use crate::store::Reader;
use crate::telemetry;
use crate::upstream::HttpSource;

/// Longer than any status takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Show how the running edge is; exits 1 if none answers
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,

    /// The edge's address [default: the first of server.listen]
    #[arg(long)]
    url: Option<Url>,

    /// A file that holds a token of the edge's own [default: the upstream key is sent]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Print the JSON of /edge/status
    #[arg(long)]
    json: bool,
}

pub async fn run(
    args: Args,
    environment: Vec<(OsString, OsString)>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    telemetry::start("warn");
    let config = args.file.load(environment)?;
    let url = match &args.url {
        Some(url) => url.clone(),
        None => usual_url(&config)?,
    };
    let token = token(&args, &config)?;
    match HttpSource::new(&url, &token, TIMEOUT)?
        .get("/edge/status")
        .await
    {
        Ok((200, body)) => {
            let status: Value = serde_json::from_slice(&body).context("the edge's answer")?;
            match args.json {
                true => writeln!(out, "{status:#}")?,
                false => print(&status, out)?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok((401, _)) => bail!("the edge at {url} refuses the token; give another by --token-file"),
        Ok((code, _)) => bail!("{url} answers with status {code}; is it a burki-edge?"),
        Err(error) => {
            print_file(&config, out)?;
            Err(error).with_context(|| format!("no edge answers at {url}"))
        }
    }
}

fn usual_url(config: &Config) -> anyhow::Result<Url> {
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let mut address = config.server.listen[0];
    if address.ip().is_unspecified() {
        address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    Ok(Url::parse(&format!("{scheme}://{address}"))?)
}

fn token(args: &Args, config: &Config) -> anyhow::Result<String> {
    if let Some(path) = &args.token_file {
        let token = std::fs::read_to_string(path)
            .with_context(|| format!("--token-file: {} can't be read", path.display()))?;
        return Ok(token.trim().to_owned());
    }
    Ok(config
        .api_key()
        .context("or --token-file")?
        .expose()
        .to_owned())
}

fn print(status: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let (upstream, replica, sync) = (&status["upstream"], &status["replica"], &status["sync"]);
    writeln!(
        out,
        "upstream  {} is {}, last answered {}",
        text(&upstream["base_url"]),
        text(&upstream["state"]),
        text(&upstream["last_success_at"]),
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
    writeln!(
        out,
        "sync      {}, {:.0} % read, {} requests in the last hour, at most {} a minute",
        text(&sync["phase"]),
        sync["progress"].as_f64().unwrap_or(0.0) * 100.0,
        sync["requests_last_hour"],
        sync["budget_per_minute"],
    )
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
        Err(_) => writeln!(out, "{path}: no replica yet")?,
    }
    Ok(())
}
