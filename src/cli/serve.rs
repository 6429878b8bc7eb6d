//! `burki-edge serve`: the edge itself, until it is told to stop.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::ConfigFile;
use crate::app::App;
use crate::telemetry;

/// Mirror the upstream and answer its calls API, until Ctrl-C or SIGTERM
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub async fn run(args: Args, environment: Vec<(OsString, OsString)>) -> anyhow::Result<ExitCode> {
    telemetry::start("info");
    let config = args.file.load(environment)?;
    let stop = stop_on_signal()?;
    App::build(&config)?.run_until_stopped(stop).await?;
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Cancelled by SIGINT or SIGTERM.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping");
        stopped.cancel();
    });
    Ok(stop)
}
