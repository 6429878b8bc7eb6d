//! `burki-edge serve`: runs the edge until a signal stops it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::app::{Access, App};
use crate::cli::config_file::ConfigFile;
use crate::config::Config;
use crate::telemetry::{self, Log};

/// Mirror the upstream and answer its calls API, until Ctrl-C or SIGTERM
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub async fn run(args: Args, environment: Vec<(OsString, OsString)>) -> anyhow::Result<ExitCode> {
    let log = telemetry::start("info");
    let config = args.file.load(environment.clone())?;
    log.set_level(&config.log.level);
    let stop = stop_on_signal()?;
    let app = App::build(&config)?;
    let ends = CancellationToken::new();
    let reloading = reload_on_signal(args.file, environment, config, app.access(), log, &ends)?;
    let ended = app.run_until_stopped(stop).await;
    if ended.is_ok() {
        info!("stopped");
    }
    // Ending the task drops the log, which writes its last lines.
    ends.cancel();
    reloading.await?;
    ended.map(|()| ExitCode::SUCCESS)
}

/// Reads the configuration again at each SIGHUP, and applies what may change while the edge runs.
/// If it can't be read, everything stays as it was.
fn reload_on_signal(
    file: ConfigFile,
    environment: Vec<(OsString, OsString)>,
    running: Config,
    access: Access,
    log: Log,
    ends: &CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let ends = ends.clone();
    Ok(tokio::spawn(async move {
        while let Some(Some(())) = ends.run_until_cancelled(hangup.recv()).await {
            let read = file.load(environment.clone());
            let changed = read.and_then(|read| access.change(&read).map(|()| read));
            match changed {
                Ok(read) => {
                    log.set_level(&read.log.level);
                    let waiting = running.differs_beyond_access(&read);
                    info!("the configuration was read again");
                    if !waiting.is_empty() {
                        let waiting = waiting.join(", ");
                        warn!(
                            "these sections differ, and take effect at the next start: {waiting}"
                        );
                    }
                }
                Err(error) => error!(
                    error = format!("{error:#}"),
                    "the configuration could not be read again; all stays as it was"
                ),
            }
        }
    }))
}

/// A token that SIGINT or SIGTERM cancels.
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
