//! An engine behind a command that ends: it is started, awaited with a progress bar, and stopped in
//! good order.

use std::future::Future;
use std::time::Duration;

use anyhow::{anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sync::{Handle, Phase, SyncError, SyncStatus, UpstreamState};

/// The number of failures in a row after which a command stops waiting: about two minutes.
pub const MAX_FAILURES: u32 = 8;

/// An engine in the background. End it with [`Running::end`], which awaits its last write.
pub struct Running {
    pub handle: Handle,
    cancel: CancellationToken,
    /// `None` once the engine has ended by itself and its result was reported.
    task: Option<JoinHandle<Result<(), SyncError>>>,
}

impl Running {
    /// Starts `run`, which works until its token is cancelled.
    pub fn start<F>(run: impl FnOnce(CancellationToken) -> F, handle: Handle) -> Running
    where
        F: Future<Output = Result<(), SyncError>> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        Running {
            handle,
            task: Some(tokio::spawn(run(cancel.clone()))),
            cancel,
        }
    }

    /// Does `work` beside the engine, unless `stop` is cancelled or the engine ends first.
    ///
    /// # Errors
    /// Those of `work`; `stopped` as a message; the reason why the engine ended.
    pub async fn during<T>(
        &mut self,
        work: impl Future<Output = anyhow::Result<T>>,
        stop: &CancellationToken,
        stopped: &'static str,
    ) -> anyhow::Result<T> {
        let Some(task) = &mut self.task else {
            bail!("the sync has ended");
        };
        let ended = tokio::select! {
            done = work => return done,
            () = stop.cancelled() => bail!(stopped),
            ended = task => ended,
        };
        self.task = None;
        ended??;
        Err(anyhow!("the sync ended by itself"))
    }

    /// Stops the engine, and waits until the file is closed.
    ///
    /// # Errors
    /// The reason why the engine had already ended, if it was not reported yet.
    pub async fn end(self) -> anyhow::Result<()> {
        self.cancel.cancel();
        if let Some(task) = self.task {
            task.await??;
        }
        Ok(())
    }
}

/// Waits until everything within `sync.history` was read, with a progress bar on a terminal.
pub async fn filled(status: &mut watch::Receiver<SyncStatus>) -> anyhow::Result<()> {
    let bar = bar(1000, "");
    loop {
        {
            let status = status.borrow_and_update();
            bar.set_position((status.progress * 1000.0) as u64);
            if let Some(error) = &status.last_error {
                bar.set_message(error.message.clone());
            }
            fail_if_hopeless(&status).inspect_err(|_| bar.finish_and_clear())?;
            // While deletions are held, everything was read as well.
            if matches!(status.phase, Phase::Live | Phase::Held) {
                bar.finish_and_clear();
                return Ok(());
            }
        }
        if status.changed().await.is_err() {
            // The engine has ended and reports the reason itself.
            return std::future::pending().await;
        }
    }
}

/// Waits until all due details of ended calls were requested, with a progress bar on a terminal.
pub async fn detailed(status: &mut watch::Receiver<SyncStatus>) -> anyhow::Result<()> {
    let bar = bar(status.borrow().details.due, "details of ended calls");
    loop {
        {
            let status = status.borrow_and_update();
            let most = bar.length().unwrap_or(0).max(status.details.due);
            bar.set_length(most);
            bar.set_position(most - status.details.due);
            fail_if_hopeless(&status).inspect_err(|_| bar.finish_and_clear())?;
            if status.details.due == 0 {
                bar.finish_and_clear();
                return Ok(());
            }
        }
        if status.changed().await.is_err() {
            // The engine has ended and reports the reason itself.
            return std::future::pending().await;
        }
    }
}

/// Fails, with a hint, once it is pointless to wait for the upstream.
pub fn fail_if_hopeless(status: &SyncStatus) -> anyhow::Result<()> {
    if let Some(error) = &status.last_error {
        let hopeless = status.state == UpstreamState::Unauthorized;
        if hopeless || status.consecutive_errors >= MAX_FAILURES {
            bail!("{}; {}", error.message, error.hint);
        }
    }
    Ok(())
}

/// A progress bar with a label. It shows on a terminal only.
pub fn bar(length: u64, message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(message);
    // The template is a constant that the tests use.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}%  {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
