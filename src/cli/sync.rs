//! `burki-edge sync`: brings the file up to date once.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ConfigFile;
use super::serve::stop_on_signal;
use crate::store::Reader;
use crate::sync::{Phase, SyncStatus, UpstreamState};
use crate::{app, telemetry};

/// After so many failures in a row it is not worth waiting at a terminal: about two minutes.
const FAILURES: u32 = 8;

/// Mirror the upstream once, until nothing is missing, and exit
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub async fn run(
    args: Args,
    environment: Vec<(OsString, OsString)>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    telemetry::start("warn");
    let config = args.file.load(environment)?;
    let (engine, handle, _) = app::engine(&config)?;
    let stop = stop_on_signal()?;
    let cancel = CancellationToken::new();
    let mut engine = tokio::spawn(engine.run(cancel.clone()));
    let mut status = handle.status();
    let outcome = tokio::select! {
        done = filled(&mut status) => done,
        () = stop.cancelled() => Err(anyhow!("stopped; what was read is kept, and the next run goes on from there")),
        ended = &mut engine => match ended? {
            Ok(()) => Err(anyhow!("the sync ended by itself")),
            Err(error) => Err(error.into()),
        },
    };
    cancel.cancel();
    if !engine.is_finished() {
        engine.await??;
    }
    outcome?;
    let totals = Reader::open(&config.store.path)?.totals()?;
    writeln!(
        out,
        "{}: {} calls, complete; {} requests",
        config.store.path.display(),
        totals.calls,
        status.borrow().requests_last_hour,
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Until everything within `sync.history` was read, with a bar where there is a terminal.
async fn filled(status: &mut watch::Receiver<SyncStatus>) -> anyhow::Result<()> {
    let bar = ProgressBar::new(1000);
    // The template is a constant that the tests run through.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}%  {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    loop {
        {
            let status = status.borrow_and_update();
            bar.set_position((status.progress * 1000.0) as u64);
            if let Some(error) = &status.last_error {
                bar.set_message(error.message.clone());
                let hopeless = status.state == UpstreamState::Unauthorized;
                if hopeless || status.consecutive_errors >= FAILURES {
                    bar.finish_and_clear();
                    bail!("{}; {}", error.message, error.hint);
                }
            }
            if status.phase == Phase::Live {
                bar.finish_and_clear();
                return Ok(());
            }
        }
        if status.changed().await.is_err() {
            // The engine has ended, and says itself why.
            return std::future::pending().await;
        }
    }
}
