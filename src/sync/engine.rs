//! Carries out what [`plan`] decides: sends requests, and takes in answers one at a time.
//!
//! All state of the sync is here, owned by one task. Answers may come in any order; each becomes
//! one transaction of the store, and what was read is published only after it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::clients::Clients;
use super::coverage::{Coverage, NEVER};
use super::crowd::Crowd;
use super::handle::{Clock, Command, Fetched, Handle, RETRY_SOON};
use super::health::{Health, Moment, Scope};
use super::plan::{self, Job, Next, View};
use super::requests::{Finished, Requests};
use super::status::{Phase, SyncStatus};
use crate::model::{CallKey, Timestamp, Verified};
use crate::store::{Learned, Merged, OpenCalls, SharedWriter, StoreError, Writer};
use crate::upstream::{CallSource, Request, Retry, UpstreamError};

/// How many commands may wait for the engine.
const COMMANDS: usize = 1024;

/// How the sync is to behave.
#[derive(Clone, Debug)]
pub struct Settings {
    pub poll_interval: Duration,
    /// How far back calls are mirrored; `None`: all of them.
    pub history: Option<Duration>,
    pub max_concurrency: usize,
    pub max_requests_per_minute: u32,
    /// For the jitter of backoffs.
    pub seed: u64,
}

/// Why the sync ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The key is of another organization than the file.
    #[error(transparent)]
    Refused(StoreError),
}

/// Why an answer could not be taken in.
pub(super) enum Failure {
    Upstream(UpstreamError),
    Fatal(SyncError),
}

/// The task that keeps the replica equal to the upstream.
pub struct Engine<S> {
    clock: Clock,
    pub(super) settings: Settings,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<SyncStatus>,
    published: Arc<ArcSwap<Coverage>>,
    pub(super) writer: SharedWriter,

    // What is known, and what is to be done about it.
    pub(super) coverage: Arc<Coverage>,
    pub(super) organization_id: Option<i64>,
    pub(super) identified: bool,
    pub(super) head_at: Option<Instant>,
    pub(super) ranged_head: bool,
    /// When the calls without a start are read again, if the head is ranged.
    pub(super) without_start_due: Option<Instant>,
    /// Since when the head leaves out more calls than is believed of it.
    pub(super) doubted_since: Option<Instant>,
    pub(super) total: Option<u64>,
    pub(super) follow: Vec<OpenCalls>,
    pub(super) vanished: VecDeque<CallKey>,
    /// By instant.
    pub(super) crowds: BTreeMap<Timestamp, Crowd>,
    pub(super) clients: Clients,

    // What is under way, and when more may be.
    requests: Requests<S>,
    /// Requests for clients since the last one for history.
    clients_in_a_row: usize,
    pub(super) health: Health,
    /// The head was read since the process started.
    begun: bool,
}

impl<S: CallSource> Engine<S> {
    /// Takes up where the file's last process left off.
    pub fn new(source: S, writer: Writer, settings: Settings, clock: Clock) -> (Engine<S>, Handle) {
        let coverage = Arc::new(Coverage::from_windows(writer.windows().to_vec()));
        let organization_id = writer.identity().organization_id;
        let published = Arc::new(ArcSwap::new(Arc::clone(&coverage)));
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (status, status_out) = watch::channel(SyncStatus::starting(organization_id));
        let handle = Handle {
            commands: commands_in,
            status: status_out,
            coverage: Arc::clone(&published),
        };
        let engine = Engine {
            requests: Requests::new(source, &settings, writer.request_seq()),
            clients_in_a_row: 0,
            clock,
            commands,
            status,
            published,
            coverage,
            organization_id,
            identified: false,
            head_at: None,
            ranged_head: false,
            without_start_due: None,
            doubted_since: None,
            total: None,
            follow: Vec::new(),
            vanished: VecDeque::new(),
            crowds: BTreeMap::new(),
            clients: Clients::default(),
            health: Health::new(settings.seed),
            begun: false,
            writer: SharedWriter::new(writer),
            settings,
        };
        (engine, handle)
    }

    /// Runs until `cancel`, then writes what is only in memory and lets go of the file.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), SyncError> {
        loop {
            let sleep_until = self.send_what_is_due();
            self.publish(sleep_until);
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(finished) = self.requests.next() => match finished {
                    Ok(finished) => self.absorb(finished).await?,
                    Err(failed) if failed.is_panic() => {
                        std::panic::resume_unwind(failed.into_panic())
                    }
                    Err(_) => {}
                },
                Some(command) = self.commands.recv() => self.obey(command),
                () = tokio::time::sleep_until(sleep_until) => {}
            }
        }
        self.requests.abandon().await;
        let windows = self.coverage.windows().to_vec();
        if let Err(error) = self.writer.run(|writer| writer.keep_windows(windows)).await {
            self.health.store_failed(&error, self.now());
        }
        Ok(())
    }

    /// Sends requests until none is due, there are enough under way, or the budget is spent.
    /// Returns when to look again; an answer or a command comes between.
    fn send_what_is_due(&mut self) -> Instant {
        loop {
            let now = Instant::now();
            match plan::next(&self.view(now)) {
                Next::Sleep(until) => return until,
                Next::Send(job, request) => {
                    if let Err(until) = self.send(job, request, now) {
                        return until;
                    }
                }
            }
        }
    }

    /// Sends one request, or says when to try again.
    pub(super) fn send(&mut self, job: Job, request: Request, now: Instant) -> Result<(), Instant> {
        // An answer wakes the engine before the next poll does.
        let later = now + self.settings.poll_interval;
        let sent = self
            .requests
            .send(job.clone(), request, now, (self.clock)());
        sent.map_err(|until| until.unwrap_or(later))?;
        match job {
            Job::Identify | Job::Head => return Ok(()),
            Job::Point(key) if self.clients.sent(&key) => {
                self.clients_in_a_row += 1;
                return Ok(());
            }
            Job::Point(key) => self.vanished.retain(|vanished| *vanished != key),
            Job::Follow(group) => self.follow.retain(|followed| *followed != group),
            Job::Total | Job::Fill(_) | Job::Crowd(_) => {}
        }
        self.clients_in_a_row = 0;
        Ok(())
    }

    fn view(&mut self, now: Instant) -> View<'_> {
        // Below a ranged head they are nobody else's to read: at first, after the reading was given
        // up, and again when it is due.
        let due = self.without_start_due.is_none_or(|due| due <= now);
        if self.ranged_head && (due || self.coverage.known(None).is_none()) {
            self.crowds
                .entry(NEVER)
                .or_insert_with(|| Crowd::new(NEVER));
        }
        self.clients.forget_gone();
        View {
            now,
            since: self.since(),
            poll_interval: self.settings.poll_interval,
            identified: self.identified,
            coverage: &self.coverage,
            head_at: self.head_at,
            ranged_head: self.ranged_head,
            total: self.total,
            again: self.requests.again(),
            asked: self.clients.asked(),
            vanished: &self.vanished,
            follow: &self.follow,
            crowds: &self.crowds,
            under_way: self.requests.under_way(),
            clients_in_a_row: self.clients_in_a_row,
            paused_until: self.health.paused_until(),
            scans_paused_until: self.health.scans_paused_until(),
        }
    }

    /// The oldest start that is mirrored.
    fn since(&self) -> Timestamp {
        self.settings.history.map_or(Timestamp::MIN, |history| {
            ((self.clock)() - history).max(Timestamp::MIN)
        })
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            instant: Instant::now(),
            wall: (self.clock)(),
        }
    }

    async fn absorb(&mut self, finished: Finished) -> Result<(), SyncError> {
        let Finished {
            job,
            request,
            begun,
            repeated,
            result,
        } = finished;
        let scope = match job {
            Job::Identify | Job::Head => Scope::Upstream,
            Job::Point(_) => Scope::Call,
            Job::Total | Job::Follow(_) | Job::Fill(_) | Job::Crowd(_) => Scope::Scan,
        };
        let error = match result {
            Ok(reply) => match self.learn(&job, request, begun, reply.answer).await {
                Ok(()) => {
                    let (now, of_head) = (self.now(), scope == Scope::Upstream);
                    self.health
                        .succeeded(scope, of_head, reply.retry_after, now);
                    return Ok(());
                }
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Upstream(error)) => error,
            },
            Err(error) if error.retry() == Retry::Now && !repeated => {
                self.requests.repeat(job);
                return Ok(());
            }
            Err(error) => error,
        };
        let scope = if error.kind.is_outage() {
            Scope::Upstream
        } else {
            scope
        };
        let now = self.now();
        self.health.failed(&error, scope, now);
        if let Job::Point(key) = &job {
            self.clients.tell(key, self.unavailable());
        }
        if self.is_paused() {
            // Nobody waits for an upstream that is known not to answer.
            let unavailable = self.unavailable();
            for job in self.requests.give_up_calls() {
                if let Job::Point(key) = job {
                    self.clients.tell(&key, unavailable);
                }
            }
            self.clients.dismiss(unavailable);
        }
        Ok(())
    }

    /// Writes one answer; what was read counts from then on. A failure is noted and told to
    /// nobody but the operator: the answer is simply asked for again.
    pub(super) async fn commit(
        &mut self,
        learned: Learned,
        coverage: Option<Coverage>,
    ) -> Option<Merged> {
        let windows = coverage
            .as_ref()
            .map(|coverage| coverage.windows().to_vec());
        let learned = Learned { windows, ..learned };
        match self.writer.run(|writer| writer.merge(learned)).await {
            Ok(merged) => {
                self.health.stored();
                if let Some(coverage) = coverage.filter(|_| merged.unbelieved == 0) {
                    self.coverage = Arc::new(coverage);
                    self.published.store(Arc::clone(&self.coverage));
                }
                Some(merged)
            }
            Err(error) => {
                let now = self.now();
                self.health.store_failed(&error, now);
                None
            }
        }
    }

    /// An answer that says nothing yet, to be filled in.
    pub(super) fn learned(&self, request: Verified) -> Learned {
        Learned {
            request,
            oldest_in_flight: self.requests.oldest_seq(request),
            newest_seq: self.requests.newest_seq(),
            calls: Vec::new(),
            singly: false,
            absent: None,
            complete: None,
            windows: None,
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::SyncNow => {
                self.health.hurry();
                self.head_at = None;
            }
            Command::Fetch(key, reply) => {
                let unavailable = self.unavailable();
                self.clients.wait(key, reply, unavailable);
                if self.is_paused() {
                    self.clients.dismiss(unavailable);
                }
            }
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.health
            .paused_until()
            .is_some_and(|until| until > Instant::now())
    }

    pub(super) fn unavailable(&self) -> Fetched {
        let now = Instant::now();
        let wait = self
            .health
            .paused_until()
            .map(|until| until.duration_since(now).as_secs() + 1);
        Fetched::Unavailable {
            retry_after: wait.unwrap_or(RETRY_SOON),
        }
    }

    fn publish(&mut self, sleep_until: Instant) {
        let now = self.now();
        let complete = self.coverage.is_complete(self.since());
        self.begun |= self.head_at.is_some();
        let phase = match (self.begun, complete) {
            (false, _) => Phase::Starting,
            (true, true) => Phase::Live,
            (true, false) => Phase::Backfilling,
        };
        let progress = match self.total {
            _ if complete => 1.0,
            Some(total) if total > 0 => (self.coverage.rows() as f64 / total as f64).min(0.999),
            _ => 0.0,
        };
        if phase != self.status.borrow().phase {
            info!(?phase, "sync");
        }
        self.status.send_replace(SyncStatus {
            state: self.health.state(),
            last_success_at: self.health.last_success_at(),
            consecutive_errors: self.health.consecutive_errors(),
            last_error: self.health.last_error().cloned(),
            next_attempt_at: Some(now.wall + sleep_until.duration_since(now.instant)),
            phase,
            progress,
            requests_last_hour: self.requests.spent_last_hour(now.instant),
            organization_id: self.organization_id,
        });
    }
}
