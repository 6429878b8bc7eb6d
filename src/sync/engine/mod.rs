//! Sends what the plan decides, and applies answers one at a time. One task owns all of its state.
//! Beside the handle, which passes clients' own requests on, it is the only part of the sync with
//! I/O.
//!
//! In the order of a request's life: `send`, `in_flight` (above this folder), `complete` (an answer
//! or a failure), `apply` (what an answer means, one transaction each), `commit` (the transaction, and then the
//! coverage) and `publish` (the status). `completed` is an answer with its age.
//! Beside them `commands` (of clients and operators), `proxy` (permits for requests that are passed
//! on), `waiting` (clients that wait for a call), and what is done between requests:
//! `housekeeping`, `deletion` and `replica_file`.

mod apply;
mod commands;
mod commit;
mod complete;
mod completed;
mod deletion;
mod housekeeping;
mod proxy;
mod publish;
mod replica_file;
mod send;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::Timestamp;
use crate::store::{RowCounts, SharedWriter, Writer};
use crate::sync::clock::{Clock, Now, WatchedClock};
use crate::sync::engine::completed::{AnswerAge, Completed};
use crate::sync::handle::Handle;
use crate::sync::handle::channels::EngineChannels;
use crate::sync::health::denials::Denials;
use crate::sync::health::replica_file::ReplicaFile;
use crate::sync::health::stall::StallDetector;
use crate::sync::health::status::Phase;
use crate::sync::health::upstream::Health;
use crate::sync::in_flight::InFlight;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::pending_writes::PendingWrites;
use crate::sync::plan::context::{Context, Pauses};
use crate::sync::planners::Planners;
use crate::sync::planners::date_format::DateFormat;
use crate::sync::planners::details::Details;
use crate::sync::planners::feed::UpstreamKind;
use crate::sync::planners::outbox::OutboxReplay;
use crate::sync::planners::page_extent::PageSize;
use crate::sync::planners::revalidation::RevalidationPolicy;
use crate::sync::settings::{Settings, SyncError};
use crate::upstream::CallSource;

/// However little there is to do, the engine shows the supervisor this often that it runs.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The task that keeps the replica equal to the upstream.
pub struct Engine<S> {
    settings: Settings,
    clock: WatchedClock,
    random: SmallRng,
    /// The engine's end of its handles.
    channels: EngineChannels,

    // Knowledge.
    writer: SharedWriter,
    coverage: Arc<Coverage>,
    row_counts: RowCounts,
    file: ReplicaFile,

    // Requests.
    source: Arc<S>,
    planners: Planners,
    in_flight: InFlight,
    fetches: JoinSet<Completed>,
    /// The age of the answer that is being applied.
    answer: AnswerAge,

    // Failures.
    health: Health,
    denials: Denials,
    stalls: StallDetector,
}

impl<S: CallSource> Engine<S> {
    /// Continues where the file's last process stopped.
    pub fn new(source: S, writer: Writer, settings: Settings, clock: Clock) -> (Engine<S>, Handle) {
        let (channels, handle) = EngineChannels::new();
        let engine = Engine::resume(source, writer, settings, clock, channels);
        (engine, handle)
    }

    /// Like [`Engine::new`], behind handles that exist already.
    pub fn resume(
        source: S,
        mut writer: Writer,
        settings: Settings,
        clock: Clock,
        channels: EngineChannels,
    ) -> Engine<S> {
        let clock = WatchedClock::new(clock);
        let now = clock.now();
        let windows = writer.windows().to_vec();
        let coverage = Arc::new(Coverage::from_windows(windows, now.wall));
        let before = channels.status.borrow().clone();
        let mut plan = planners(&writer, &settings, &source, now.instant);
        plan.head.was_read = before.phase != Phase::Starting;
        let file = writer.file().clone();
        let file = ReplicaFile::new(file, settings.poll_interval, now.instant);
        // A file without a key's hash was only ever opened with this key.
        let is_stamped = writer.identity().key_hash.is_some();
        let lets_key_in = plan.identity.key_is_known || !is_stamped;
        (channels.lets_key_in).fetch_and(lets_key_in, Ordering::Relaxed);
        channels.published.store(Arc::clone(&coverage));
        writer.announce_to(Arc::clone(&channels.revisions));
        let pending = PendingWrites::of(writer.outbox());
        channels.pending.store(pending.into());
        let organization_id = plan.identity.organization_id;
        (channels.status).send_modify(|status| status.organization_id = organization_id);
        Engine {
            random: SmallRng::seed_from_u64(settings.seed),
            coverage,
            row_counts: writer.row_counts(),
            file,
            source: Arc::new(source),
            planners: plan,
            in_flight: InFlight::new(&settings, writer.request_seq()),
            fetches: JoinSet::new(),
            answer: AnswerAge::default(),
            health: Health::resumed(settings.seed, &before),
            denials: Denials::default(),
            stalls: StallDetector::default(),
            writer: SharedWriter::new(writer),
            settings,
            clock,
            channels,
        }
    }

    /// Runs until `cancel`, then writes what is only in memory and closes the file.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), SyncError> {
        let commands = Arc::clone(&self.channels.commands);
        let mut commands: OwnedMutexGuard<_> = commands.lock_owned().await;
        loop {
            self.channels.beat.send_replace(Instant::now());
            self.check_clock();
            self.note_holes();
            let busy = self.housekeep().await;
            let mut sleep_until = self.send_what_is_due();
            if busy {
                sleep_until = Instant::now();
            }
            self.publish(sleep_until);
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(completed) = self.fetches.join_next() => match completed {
                    Ok(completed) => self.complete(completed).await?,
                    Err(failed) if failed.is_panic() => {
                        std::panic::resume_unwind(failed.into_panic())
                    }
                    Err(_) => {}
                },
                Some(command) = commands.recv() => self.execute(command).await,
                () = tokio::time::sleep_until(sleep_until.min(Instant::now() + LONGEST_SLEEP)) => {}
            }
        }
        self.fetches.shutdown().await;
        let windows = self.coverage.windows().to_vec();
        if let Err(error) = self.writer.run(|writer| writer.keep_windows(windows)).await {
            self.health.store_failed(&error, self.now());
        }
        Ok(())
    }

    /// What the plan decides by.
    fn context(&self, now: Now) -> Context<'_> {
        Context {
            now,
            settings: &self.settings,
            since: self.since(),
            pauses: Pauses {
                upstream: self.health.paused_until(),
                store: self.health.store_rests_until(),
                head: self.health.head_paused_until(),
                history: self.health.history_paused_until(),
                is_out: self.health.is_out(),
            },
            in_flight: &self.in_flight,
            list_age: self.answer.list_age,
            coverage: &self.coverage,
            unreadable: &self.planners.unreadable,
            same_instant: &self.planners.same_instant.groups,
            date_form: self.planners.date_format.form(),
        }
    }

    fn policy(&self) -> RevalidationPolicy {
        RevalidationPolicy::of(&self.settings)
    }

    /// The oldest start that is replicated.
    fn since(&self) -> Timestamp {
        self.settings.history.map_or(Timestamp::MIN, |history| {
            (self.now().wall - history).max(Timestamp::MIN)
        })
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

/// The planners, with the state that the file's last process stored.
fn planners<S: CallSource>(
    writer: &Writer,
    settings: &Settings,
    source: &S,
    now: Instant,
) -> Planners {
    let key_hash = source.key_hash();
    let mut plan = Planners::new(settings, key_hash, now);
    let identity = writer.identity();
    let known = identity.key_hash.as_ref();
    plan.identity.organization_id = identity.organization_id;
    plan.identity.key_is_known = known.is_some_and(|known| *known == key_hash.to_string());
    plan.feed = UpstreamKind::resume(writer.followed().cloned());
    plan.page_size = PageSize::new(settings.page_limit, writer.page_rows(), now);
    plan.set_page_limit();
    plan.date_format = DateFormat::of_texts(writer.finest_start());
    plan.details = Details::new(
        settings.details.clone(),
        settings.seed,
        writer.details_counts(),
    );
    plan.outbox = OutboxReplay::of(writer.outbox());
    plan
}
