//! Runs the engine, and replaces it where it panics, hangs, makes no progress or needs another key.
//!
//! Users of the engine's [`Handle`](crate::sync::Handle) notice no more than a pause: readers have
//! connections of their own, and commands wait for the next engine.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::sync::engine::Engine;

use crate::sync::clock::Clock;
use crate::sync::handle::channels::EngineChannels;
use crate::sync::health::backoff::Backoff;
use crate::sync::health::stall::Stall;
use crate::sync::health::status::{LastError, UpstreamState};
use crate::sync::settings::{Settings, SyncError};
use crate::upstream::CallSource;

/// The shortest time without a sign of life after which an engine counts as hung. A healthy engine
/// wakes at least once a minute.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(300);

/// The time between two checks. A stop of the whole process delays one, and is no hang.
const LOOK: Duration = Duration::from_secs(30);

/// An engine that ran for this long has recovered.
const RECOVERED: Duration = Duration::from_secs(60);

/// How long a cancelled engine may take for its last write.
const LAST_WRITE: Duration = Duration::from_secs(60);

/// How long an aborted engine may take: a transaction runs to its end, and locks the file
/// meanwhile.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// The shortest time between two restarts for lack of progress.
const PROGRESS_REST: Duration = Duration::from_secs(3600);

/// The failed start that is logged. At earlier ones the last engine's file may still be locked.
const QUIET_TRIES: u32 = 4;

/// What is supervised: an engine, ready to run.
pub trait Supervised: Send + 'static {
    fn run(
        self,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<(), SyncError>> + Send + 'static;
}

impl<S: CallSource> Supervised for Engine<S> {
    fn run(
        self,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<(), SyncError>> + Send + 'static {
        Engine::run(self, cancel)
    }
}

/// Why a new engine is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Panicked,
    StoodStill,
    NoProgress,
    /// Another key is to be used.
    Renewed,
}

enum End {
    Own(Result<(), SyncError>),
    Restart(Cause),
}

pub struct Supervisor {
    post: EngineChannels,
    clock: Clock,
    patience: Duration,
    /// Failures since an engine last recovered.
    backoff: Backoff,
    /// The cause that was logged since then.
    told: Option<Cause>,
    /// New engines since the process started.
    restarts: u64,
    /// The current stall, which is logged.
    stall: Option<Stall>,
    restarted_for_stall: Option<Instant>,
}

impl Supervisor {
    /// `timeout` is the longest time that a request takes.
    pub fn new(
        post: EngineChannels,
        clock: Clock,
        settings: &Settings,
        timeout: Duration,
    ) -> Supervisor {
        Supervisor {
            post,
            clock,
            patience: SHORTEST_PATIENCE
                .max(settings.poll_interval * 10)
                .max(timeout * 4),
            backoff: Backoff::new(settings.seed),
            told: None,
            restarts: 0,
            stall: None,
            restarted_for_stall: None,
        }
    }

    /// Runs `first`, and after it the engines that `make` returns, until `cancel` or until one ends
    /// by itself. `make` may block; it is called until it succeeds.
    ///
    /// # Errors
    /// The engine's own: the file refuses the key.
    pub async fn watch<W, M, E>(
        mut self,
        first: W,
        make: M,
        cancel: CancellationToken,
    ) -> Result<(), SyncError>
    where
        W: Supervised,
        M: Fn() -> Result<W, E> + Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let make = Arc::new(make);
        let mut work = first;
        loop {
            match self.run_one(work, &cancel).await {
                End::Own(result) => return result,
                End::Restart(cause) => self.tell(cause),
            }
            tokio::select! {
                made = self.next_engine(&make) => work = made,
                () = cancel.cancelled() => return Ok(()),
            }
            self.restarts += 1;
        }
    }

    async fn run_one<W: Supervised>(&mut self, work: W, cancel: &CancellationToken) -> End {
        let stop = cancel.child_token();
        let begun = Instant::now();
        let mut stalls = self.post.stalls.subscribe();
        let renewed = Arc::clone(&self.post.renewed);
        self.post.beat.send_replace(begun);
        let mut beat = begun;
        let mut still = Duration::ZERO;
        let mut looks = interval_at(begun + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut task = tokio::spawn(work.run(stop.clone()));
        loop {
            tokio::select! {
                ended = &mut task => return end(ended),
                () = cancel.cancelled() => {
                    return match timeout(LAST_WRITE, &mut task).await {
                        Ok(ended) => end(ended),
                        Err(_) => {
                            error!("the sync does not end; it is left as it is");
                            End::Own(Ok(()))
                        }
                    };
                }
                () = renewed.notified() => {
                    stop.cancel();
                    if timeout(LAST_WRITE, &mut task).await.is_err() {
                        abort(task).await;
                    }
                    return End::Restart(Cause::Renewed);
                }
                Ok(()) = stalls.changed() => {
                    let stall = stalls.borrow_and_update().clone();
                    if self.is_too_long(stall) {
                        stop.cancel();
                        if timeout(LAST_WRITE, &mut task).await.is_err() {
                            abort(task).await;
                        }
                        return End::Restart(Cause::NoProgress);
                    }
                }
                _ = looks.tick() => {
                    let last = std::mem::replace(&mut beat, *self.post.beat.borrow());
                    still = if beat == last { still + LOOK } else { Duration::ZERO };
                    if still >= self.patience {
                        abort(task).await;
                        return End::Restart(Cause::StoodStill);
                    }
                    if still.is_zero() && begun.elapsed() >= RECOVERED {
                        self.recovered();
                    }
                }
            }
        }
    }

    /// Logs a stall once, and its end. Returns whether a new engine is to be tried.
    fn is_too_long(&mut self, stall: Option<Stall>) -> bool {
        let Some(stall) = stall else {
            if let Some(stall) = self.stall.take() {
                let failures = stall.failures;
                info!(
                    failures,
                    task = stall.task.name(),
                    "there is progress again"
                );
            }
            return false;
        };
        let known = |told: &Stall| (&told.task, told.error) == (&stall.task, stall.error);
        if !self.stall.as_ref().is_some_and(known) {
            let error = stall.error.message();
            warn!(
                error,
                failures = stall.failures,
                "no progress: {}",
                stall.task.name()
            );
        }
        self.stall = Some(stall);
        let rested = |at: Instant| at.elapsed() >= PROGRESS_REST;
        let due = self.restarted_for_stall.is_none_or(rested);
        if due {
            self.restarted_for_stall = Some(Instant::now());
        }
        due
    }

    fn recovered(&mut self) {
        let failures = self.backoff.succeeded();
        self.told = None;
        if failures > 0 {
            info!(failures, restarts = self.restarts, "the sync runs again");
        }
    }

    /// Logs a cause where it is news, and puts it in the status, which the next engine continues.
    fn tell(&mut self, cause: Cause) {
        let restarts = self.restarts;
        if self.told != Some(cause) {
            match cause {
                Cause::Panicked => error!(restarts, "the sync panicked, and is restarted"),
                Cause::StoodStill => error!(
                    restarts,
                    seconds = self.patience.as_secs(),
                    "the sync stood still, and is restarted"
                ),
                Cause::NoProgress => info!(restarts, "the sync is restarted"),
                Cause::Renewed => info!("the sync begins anew with another key"),
            }
            self.told = Some(cause);
        }
        if matches!(cause, Cause::NoProgress | Cause::Renewed) {
            return;
        }
        let at = (self.clock)();
        self.post.status.send_modify(|status| {
            status.state = UpstreamState::Offline;
            status.consecutive_errors = status.consecutive_errors.saturating_add(1);
            status.freshness_bound = None;
            status.next_attempt_at = None;
            status.last_error = Some(LastError::restarted(cause == Cause::Panicked, at));
        });
    }

    /// The next engine, after a backoff; starting one is retried until it succeeds.
    async fn next_engine<W, M, E>(&mut self, make: &Arc<M>) -> W
    where
        W: Supervised,
        M: Fn() -> Result<W, E> + Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut tries = 0;
        loop {
            tokio::time::sleep(self.backoff.failed()).await;
            let make = Arc::clone(make);
            let made = tokio::task::spawn_blocking(move || make().map_err(Into::into));
            let failed = match made.await {
                Ok(Ok(work)) => return work,
                Ok(Err(failed)) => failed,
                Err(panicked) => panicked.into(),
            };
            tries += 1;
            if tries == QUIET_TRIES {
                error!(
                    error = &*failed as &dyn Error,
                    "the sync can't be restarted yet"
                );
            }
        }
    }
}

fn end(ended: Result<Result<(), SyncError>, JoinError>) -> End {
    match ended {
        Ok(result) => End::Own(result),
        // A panic's message may quote a call, so it is not logged.
        Err(_) => End::Restart(Cause::Panicked),
    }
}

async fn abort(mut task: JoinHandle<Result<(), SyncError>>) {
    task.abort();
    // A task that never yields can't be aborted. The next engine waits for the file's lock.
    let _ = timeout(LAST_BREATH, &mut task).await;
}
