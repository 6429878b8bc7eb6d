//! `burki-edge sync`: brings the file up to date once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;

use crate::cli::config_file::ConfigFile;
use crate::cli::running::{Running, detailed, filled};
use crate::cli::serve::stop_on_signal;
use crate::model::Detail;
use crate::store::Reader;
use crate::sync::Phase;
use crate::{app, telemetry};

/// Mirror the upstream once, until nothing is missing, and exit
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,

    /// Also wait until what sync.details names is stored for every ended call
    #[arg(long)]
    details: bool,
}

pub async fn run(
    args: Args,
    environment: Vec<(OsString, OsString)>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let _log = telemetry::start("warn");
    let config = args.file.load(environment)?;
    let (engine, handle, _) = app::engine(&config)?;
    let stop = stop_on_signal()?;
    let mut running = Running::start(|cancel| engine.run(cancel), handle);
    let mut status = running.handle.status();
    let stopped = "stopped; what was read is kept, and the next run goes on from there";
    let mut outcome = running.during(filled(&mut status), &stop, stopped).await;
    if outcome.is_ok() && args.details {
        outcome = running.during(detailed(&mut status), &stop, stopped).await;
    }
    running.end().await?;
    outcome?;
    if status.borrow().phase == Phase::Held {
        bail!(
            "so many calls seem to be deleted upstream that their deletion is held; see \
             `burki-edge verify` for which, and run `burki-edge serve` to have them looked at twice"
        );
    }
    let totals = Reader::open(&config.store.path)?.totals()?;
    writeln!(
        out,
        "{}: {} calls, complete; {} requests",
        config.store.path.display(),
        totals.calls,
        status.borrow().requests_last_hour,
    )?;
    let due = status.borrow().details.due;
    if due > 0 {
        writeln!(
            out,
            "{due} ended calls are left to ask for {}; `burki-edge sync --details` waits for them, \
             and `burki-edge serve` asks on",
            names(&config.sync.details)
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A text such as `recordings, transcripts`.
fn names(details: &BTreeSet<Detail>) -> String {
    let names: Vec<&str> = details.iter().map(|detail| detail.as_str()).collect();
    names.join(", ")
}
