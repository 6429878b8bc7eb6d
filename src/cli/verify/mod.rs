//! `burki-edge verify`: reads everything from the upstream and compares it with the file.
//!
//! The engine that fills replicas reads the upstream into a second file within the budget, and
//! keeps that file up to date until the end. Then the two files are compared, and what differs is
//! checked again before it is reported.

mod compare;
mod recheck;
mod report;

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::compare::{Compared, Difference, Kind, compare};
use self::recheck::{CallFetcher, unrepaired};
use self::report::Report;
use crate::cli::config_file::ConfigFile;
use crate::cli::running::{Running, bar, filled};
use crate::cli::serve::stop_on_signal;
use crate::config::{Config, History};
use crate::model::{CallKey, NEVER, Timestamp};
use crate::store::{Identity, Reader, StoreError, TempReplica, Text, is_written};
use crate::sync::SyncStatus;
use crate::{app, telemetry};

/// How long the proof of a deletion may take.
const PROOF: Duration = Duration::from_secs(120);

/// Interval between two checks of a repair.
const LOOK: Duration = Duration::from_millis(250);

const STOPPED: &str = "stopped before everything was compared";

/// Compare everything with the upstream; exits 1 if anything differs
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,

    /// Repair what differs; no edge may be running
    #[arg(long)]
    repair: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(
    args: Args,
    environment: Vec<(OsString, OsString)>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let _log = telemetry::start("warn");
    let config = args.file.load(environment)?;
    config.api_key()?;
    let stop = stop_on_signal()?;
    let identity = identity(&config)?;
    let report = if args.repair {
        // This comes first: a repair that is impossible fails at once, and nothing else writes
        // meanwhile.
        let (engine, handle, _) = app::engine(&config).context(
            "--repair needs the file to itself (a running edge mends a call that is read with \
             `Cache-Control: no-cache`)",
        )?;
        let compared = verify(&config, identity, None, &stop).await?;
        let run = |cancel| engine.run(cancel);
        let remaining = match compared.differences.as_slice() {
            [] => Vec::new(),
            found => repair(&config, found, Running::start(run, handle), &stop).await?,
        };
        Report {
            compared,
            remaining: Some(remaining),
        }
    } else {
        let poll = config.sync.poll_interval;
        let followed = is_written(&config.store.path)?.then_some(poll);
        Report {
            compared: verify(&config, identity, followed, &stop).await?,
            remaining: None,
        }
    };
    match args.json {
        true => report.write_json(out)?,
        false => report.write_text(out)?,
    }
    Ok(match report.is_fine() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The identity of the replica, which must exist and be of this upstream.
fn identity(config: &Config) -> anyhow::Result<Identity> {
    let path = &config.store.path;
    if !path.exists() {
        bail!(
            "store.path: there is no {} to compare; `burki-edge sync` makes one",
            path.display()
        );
    }
    let identity = Reader::open(path)?.identity()?;
    let configured = config.upstream.base();
    if identity.base_url != configured {
        bail!(StoreError::OtherBaseUrl {
            path: path.clone(),
            recorded: identity.base_url,
            configured: configured.to_owned(),
        });
    }
    Ok(identity)
}

/// Reads everything into a file of its own and compares. The file is removed afterwards.
async fn verify(
    config: &Config,
    identity: Identity,
    followed: Option<Duration>,
    stop: &CancellationToken,
) -> anyhow::Result<Compared> {
    let scratch = TempReplica::beside(&config.store.path)?;
    // Only calls are compared; requests for their details would be wasted.
    let mut calls = config.clone();
    calls.sync.details.clear();
    let (engine, handle, _) = app::engine_at(&calls, scratch.path())?;
    let running = Running::start(|cancel| engine.run(cancel), handle);
    let handle = running.handle.clone();
    let (mut status, told) = (handle.status(), handle.status());
    let asking = CallFetcher {
        handle,
        concurrency: config.upstream.max_concurrency,
    };
    let work = async {
        tokio::select! {
            filled = filled(&mut status) => filled?,
            refused = refused(config, identity, told) => return Err(refused.into()),
        }
        let compared = compared(config, scratch.path(), stop).await?;
        let here = Reader::open(&config.store.path)?;
        let there = Reader::open(scratch.path())?;
        let found = compared.differences;
        let (found, failing) = recheck::again(found, &here, &there, &asking, followed).await?;
        let coverage = asking.handle.coverage();
        let (mut differences, mut unreadable) = (Vec::new(), Vec::new());
        let mut unread = coverage.holes().to_vec();
        for difference in found {
            let held = here.call(&CallKey::Id(difference.id))?;
            let start = held.and_then(|call| call.started_at).unwrap_or(NEVER);
            // Outside the holes, a call that the list leaves out is certainly missing.
            let is_unreadable = difference.kind == Kind::Extra
                && failing.contains(&difference.id)
                && coverage.is_in_a_hole(&(start..=start));
            if is_unreadable {
                unread.retain(|hole| !hole.contains(&start));
                unreadable.push(difference.id);
            } else {
                differences.push(difference);
            }
        }
        Ok(Compared {
            differences,
            unreadable,
            unread,
            ..compared
        })
    };
    finish(work, running, stop).await
}

/// Repairs what differs by requesting each such call. Returns what still differs once nothing does,
/// or once the proof of a deletion is overdue.
async fn repair(
    config: &Config,
    found: &[Difference],
    running: Running,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Difference>> {
    let asking = CallFetcher {
        handle: running.handle.clone(),
        concurrency: config.upstream.max_concurrency,
    };
    let mut status = running.handle.status();
    let work = async {
        filled(&mut status).await?;
        let here = Reader::open(&config.store.path)?;
        let mut has = HashMap::new();
        let mut ask = Vec::new();
        for Difference { id, kind } in found {
            // A call that was missing and is stored now was fetched by this fill.
            let filled = *kind == Kind::Missing && here.call(&CallKey::Id(*id))?.is_some();
            if filled {
                has.insert(*id, true);
            } else {
                ask.push(*id);
            }
        }
        has.extend(asking.each(&ask).await?);
        let overdue = Instant::now() + PROOF;
        let mut left = unrepaired(found, &here, &has)?;
        while !left.is_empty() && Instant::now() < overdue {
            tokio::time::sleep(LOOK).await;
            left = unrepaired(&left, &here, &has)?;
        }
        Ok(left)
    };
    finish(work, running, stop).await
}

/// Does `work` beside the engine, and stops the engine in good order however the work ended.
async fn finish<T>(
    work: impl Future<Output = anyhow::Result<T>>,
    mut running: Running,
    stop: &CancellationToken,
) -> anyhow::Result<T> {
    let outcome = running.during(work, stop, STOPPED).await;
    running.end().await?;
    outcome
}

async fn compared(
    config: &Config,
    scratch: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<Compared> {
    let (here, there) = (config.store.path.clone(), scratch.to_owned());
    // The bound is taken now: the second file was filled for a slightly longer time.
    let since = since(config);
    let stop = stop.clone();
    let work = move || {
        let (here, there) = (Reader::open(&here)?, Reader::open(&there)?);
        let bar = bar(there.totals()?.calls, "comparing");
        let unless_stopped = |text: Result<Text, StoreError>| match stop.is_cancelled() {
            true => bail!(STOPPED),
            false => Ok(text?),
        };
        let theirs = there.scan().inspect(|_| bar.inc(1));
        let compared = compare(
            here.scan().map(unless_stopped),
            theirs.map(unless_stopped),
            since,
        );
        bar.finish_and_clear();
        compared
    };
    tokio::task::spawn_blocking(work).await?
}

/// The oldest start that is compared. Of older calls, the replica may store some and not others.
fn since(config: &Config) -> Timestamp {
    match config.sync.history {
        History::All => Timestamp::MIN,
        History::Back(span) => (Timestamp::now() - span).max(Timestamp::MIN),
    }
}

/// Resolves once the upstream reports that the key belongs to another organization than the
/// replica.
async fn refused(
    config: &Config,
    identity: Identity,
    mut status: watch::Receiver<SyncStatus>,
) -> StoreError {
    let found = match identity.organization_id {
        Some(recorded) => {
            let other = |found: Option<i64>| found.filter(|found| *found != recorded);
            let told = status
                .wait_for(|status| other(status.organization_id).is_some())
                .await;
            told.ok()
                .and_then(|status| status.organization_id)
                .map(|found| (recorded, found))
        }
        None => None,
    };
    match found {
        Some((recorded, found)) => StoreError::OtherOrganization {
            path: config.store.path.clone(),
            recorded,
            found,
        },
        // The engine has ended, or the replica has no organization to compare with.
        None => std::future::pending().await,
    }
}
