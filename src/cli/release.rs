//! `burki-edge release`: the operator's confirmation that the deletions which the running edge
//! holds are real.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::edge;
use crate::telemetry;

/// Let the running edge carry out the deletions that it holds because of their number
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    address: edge::Address,
}

pub async fn run(
    args: Args,
    environment: Vec<(OsString, OsString)>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let _log = telemetry::start("warn");
    let config = args.address.file.load(environment)?;
    let edge = args.address.edge(&config)?;
    let answer = edge.post("/edge/holds/release").await;
    let said = edge.read(answer.map_err(|error| edge.silent(error))?)?;
    let status = said["status"].as_str().context("the edge's answer")?;
    writeln!(out, "{status}")?;
    Ok(ExitCode::SUCCESS)
}
