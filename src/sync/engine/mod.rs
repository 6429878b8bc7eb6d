//! Carries out what [`plan`] decides: sends requests, and takes in answers one at a time.
//!
//! All state of the sync is here, owned by one task. Answers may come in any order; each becomes
//! one transaction of the store, and what was read is published only after it.

mod apply;
mod commands;
mod commit;
mod complete;
mod housekeeping;
pub mod in_flight;
mod publish;
mod replica_file;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::{CallKey, KeyHash, Timestamp};
use crate::store::{Census, FeedPosition, OpenCalls, SharedWriter, Writer};
use crate::sync::engine::in_flight::{InFlight, StartTime};
use crate::sync::handle::{Clock, EngineChannels, Handle};
use crate::sync::health::denials::Denials;
use crate::sync::health::replica_file::Housekeeping;
use crate::sync::health::stall::StallDetector;
use crate::sync::health::status::Phase;
use crate::sync::health::upstream::{Health, Now};
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::pending_writes::PendingWrites;
use crate::sync::plan;
use crate::sync::plan::{Decision, Job};
use crate::sync::planners::assistants::Assistants;
use crate::sync::planners::count_bisection::Discrepancy;
use crate::sync::planners::count_check::CountCheck;
use crate::sync::planners::date_format::DateFormat;
use crate::sync::planners::deletion_guard::DeletionGuard;
use crate::sync::planners::deletion_proof::DeletionProof;
use crate::sync::planners::details::Details;
use crate::sync::planners::feed::UpstreamKind;
use crate::sync::planners::head_page::HeadPage;
use crate::sync::planners::key_witness::KeyWitness;
use crate::sync::planners::misses::{Miss, Misses};
use crate::sync::planners::outbox::OutboxReplay;
use crate::sync::planners::page_extent::PageSize;
use crate::sync::planners::revalidation::RevalidationPolicy;
use crate::sync::planners::same_instant::SameInstantGroup;
use crate::sync::planners::unreadable::Unreadable;
use crate::sync::proxy_permits::PermitReply;
use crate::sync::settings::{Settings, SyncError};
use crate::upstream::{CallSource, Request, Teller};

/// However long there is nothing to do, the engine shows that it is there.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The task that keeps the replica equal to the upstream.
pub struct Engine<S> {
    pub(in crate::sync) clock: Clock,
    pub(in crate::sync) settings: Settings,
    pub(in crate::sync) post: EngineChannels,
    pub(in crate::sync) writer: SharedWriter,
    pub(in crate::sync) random: SmallRng,

    // What is known, and what is to be done about it.
    pub(in crate::sync) coverage: Arc<Coverage>,
    pub(in crate::sync) census: Census,
    pub(in crate::sync) organization_id: Option<i64>,
    pub(in crate::sync) following: UpstreamKind,
    /// How far another edge was followed by the process before.
    pub(in crate::sync) followed_before: Option<FeedPosition>,
    pub(in crate::sync) identified: bool,
    pub(in crate::sync) key_hash: KeyHash,
    /// The file's calls were read by this very key before.
    pub(in crate::sync) key_is_known: bool,
    pub(in crate::sync) vouching: KeyWitness,
    /// Who tells whose key it is, or did last.
    pub(in crate::sync) teller: Teller,
    /// The latest request that confirmed the organization, and when.
    pub(in crate::sync) confirmed: Option<(u64, Instant)>,
    pub(in crate::sync) identity_due: bool,
    pub(in crate::sync) assistants: Assistants,
    pub(in crate::sync) dates: DateFormat,
    pub(in crate::sync) page_size: PageSize,
    pub(in crate::sync) head_at: Option<Instant>,
    /// How the head is asked for.
    pub(in crate::sync) newest: HeadPage,
    /// When the calls above a head that begins below unreadable rows are asked for by id again.
    pub(in crate::sync) above_head_due: Option<Instant>,
    /// Open calls of a status that could not be listed.
    pub(in crate::sync) unlisted: Vec<OpenCalls>,
    pub(in crate::sync) denials: Denials,
    /// When the calls without a start are read again, if the head is ranged.
    pub(in crate::sync) without_start_due: Option<Instant>,
    /// The head tells how many calls there are.
    pub(in crate::sync) head_has_total: bool,
    pub(in crate::sync) total: Option<u64>,
    pub(in crate::sync) holds: DeletionGuard,
    pub(in crate::sync) counting: CountCheck,
    pub(in crate::sync) wanted: Vec<Discrepancy>,
    /// To be read to find out whether the page above it was cut.
    pub(in crate::sync) below_a_cut: Option<RangeInclusive<Timestamp>>,
    pub(in crate::sync) proof: DeletionProof,
    pub(in crate::sync) troubles: Unreadable,
    pub(in crate::sync) follow: Vec<OpenCalls>,
    pub(in crate::sync) vanished: VecDeque<CallKey>,
    pub(in crate::sync) hinted: VecDeque<CallKey>,
    /// A hint spoke of no call in particular.
    pub(in crate::sync) hinted_head: bool,
    /// By instant.
    pub(in crate::sync) crowds: BTreeMap<Timestamp, SameInstantGroup>,
    pub(in crate::sync) clients: Misses,
    pub(in crate::sync) details: Details,
    pub(in crate::sync) replay: OutboxReplay,
    pub(in crate::sync) housekeeping: Housekeeping,
    /// How old the answer is that is taken in.
    pub(in crate::sync) answer_age: Duration,
    /// An intermediary had it, which is no edge.
    pub(in crate::sync) answer_is_kept: bool,
    /// And that of the latest page of the list.
    pub(in crate::sync) list_age: Duration,

    // What is under way, and when more may be.
    pub(in crate::sync) requests: InFlight<S>,
    /// Clients that wait for leave to ask the upstream themselves, longest first.
    pub(in crate::sync) permits: VecDeque<PermitReply>,
    /// Requests for clients since the last one for history.
    pub(in crate::sync) clients_in_a_row: usize,
    /// Requests for history.
    pub(in crate::sync) turn: usize,
    /// The request before was a head.
    pub(in crate::sync) head_was_last: bool,
    pub(in crate::sync) health: Health,
    pub(in crate::sync) stuck: StallDetector,
    /// The head was read since the process started.
    pub(in crate::sync) begun: bool,
    /// The last look at both clocks.
    pub(in crate::sync) looked: Now,
    /// By how much our clock was put back, all in all.
    pub(in crate::sync) put_back: Duration,
}

impl<S: CallSource> Engine<S> {
    /// Takes up where the file's last process left off.
    pub fn new(source: S, writer: Writer, settings: Settings, clock: Clock) -> (Engine<S>, Handle) {
        let (post, handle) = EngineChannels::new();
        let engine = Engine::resume(source, writer, settings, clock, post);
        (engine, handle)
    }

    /// The same behind a handle that others hold already.
    pub fn resume(
        source: S,
        mut writer: Writer,
        settings: Settings,
        clock: Clock,
        post: EngineChannels,
    ) -> Engine<S> {
        let looked = Now {
            instant: Instant::now(),
            wall: clock(),
        };
        let coverage = Arc::new(Coverage::from_windows(
            writer.windows().to_vec(),
            looked.wall,
        ));
        let organization_id = writer.identity().organization_id;
        let key_hash = source.key_hash();
        let known = writer.identity().key_hash.as_ref();
        let key_is_known = known.is_some_and(|known| *known == key_hash.to_string());
        // A file that was never stamped is one that the key has opened until now.
        post.lets_key_in
            .fetch_and(key_is_known || known.is_none(), Ordering::Relaxed);
        let before = post.status.borrow().clone();
        let page_size = PageSize::new(settings.page_limit, writer.page_rows(), looked.instant);
        let page_limit = page_size.limit();
        let file = writer.file().clone();
        let housekeeping = Housekeeping::new(file, settings.poll_interval, looked.instant);
        post.published.store(Arc::clone(&coverage));
        writer.announce_to(Arc::clone(&post.revisions));
        post.pending
            .store(PendingWrites::of(writer.outbox()).into());
        post.status
            .send_modify(|status| status.organization_id = organization_id);
        Engine {
            requests: InFlight::new(source, &settings, writer.request_seq()),
            permits: VecDeque::new(),
            clients_in_a_row: 0,
            turn: 0,
            head_was_last: false,
            clock,
            post,
            random: SmallRng::seed_from_u64(settings.seed),
            coverage,
            census: writer.census(),
            organization_id,
            following: UpstreamKind::resume(writer.followed()),
            followed_before: writer.followed().cloned(),
            identified: false,
            key_hash,
            key_is_known,
            vouching: KeyWitness::default(),
            teller: Teller::default(),
            confirmed: None,
            identity_due: false,
            assistants: Assistants::default(),
            dates: DateFormat::of_texts(writer.finest_start()),
            page_size,
            head_at: None,
            newest: HeadPage::new(page_limit),
            above_head_due: None,
            unlisted: Vec::new(),
            denials: Denials::default(),
            without_start_due: None,
            head_has_total: false,
            total: None,
            holds: DeletionGuard::default(),
            counting: CountCheck::new(
                settings.poll_interval,
                settings.max_requests_per_minute,
                settings.reconcile_interval,
            ),
            wanted: Vec::new(),
            below_a_cut: None,
            proof: DeletionProof::default(),
            troubles: Unreadable::new(page_limit),
            follow: Vec::new(),
            vanished: VecDeque::new(),
            hinted: VecDeque::new(),
            hinted_head: false,
            crowds: BTreeMap::new(),
            clients: Misses::default(),
            details: Details::new(
                settings.details.clone(),
                settings.seed,
                writer.details_books(),
            ),
            replay: OutboxReplay::of(writer.outbox()),
            housekeeping,
            answer_age: Duration::ZERO,
            answer_is_kept: false,
            list_age: Duration::ZERO,
            health: Health::resumed(settings.seed, &before),
            stuck: StallDetector::default(),
            begun: before.phase != Phase::Starting,
            looked,
            put_back: Duration::ZERO,
            writer: SharedWriter::new(writer),
            settings,
        }
    }

    /// Runs until `cancel`, then writes what is only in memory and lets go of the file.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), SyncError> {
        let mut commands: OwnedMutexGuard<_> = Arc::clone(&self.post.commands).lock_owned().await;
        loop {
            self.post.beat.send_replace(Instant::now());
            self.mind_the_clock();
            self.note_holes();
            let busy = self.run_errands().await;
            let mut sleep_until = self.send_what_is_due();
            if busy {
                sleep_until = Instant::now();
            }
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
                Some(command) = commands.recv() => self.obey(command).await,
                () = tokio::time::sleep_until(sleep_until.min(Instant::now() + LONGEST_SLEEP)) => {}
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
            let next = plan::next(&self.view(now));
            if self.passes_go_before(&next) {
                match self.grant(now) {
                    Ok(()) => continue,
                    Err(until) => return until,
                }
            }
            match next {
                Decision::Sleep(until) => return until,
                Decision::Send(job, request) => {
                    if let Err(until) = self.send(job, request, now) {
                        return until;
                    }
                }
            }
        }
    }

    /// Sends one request, or says when to try again.
    pub(in crate::sync) fn send(
        &mut self,
        job: Job,
        request: Request,
        now: Instant,
    ) -> Result<(), Instant> {
        // An answer wakes the engine before the next poll does.
        let later = now + self.settings.poll_interval;
        let dates = match &job {
            Job::DateFormat(_, form) => *form,
            _ => self.dates.form().unwrap_or_default(),
        };
        let start = StartTime {
            now,
            wall: (self.clock)(),
            put_back: self.put_back,
        };
        let sent = self.requests.send(job.clone(), request, dates, start);
        sent.map_err(|until| until.unwrap_or(later))?;
        self.head_was_last = job == Job::Head;
        match job {
            Job::Head | Job::Feed => {
                self.hinted_head = false;
                return Ok(());
            }
            Job::Identify | Job::KeyWitness(_) | Job::DateFormat(..) | Job::Assistants(_) => {
                return Ok(());
            }
            Job::Detail(id, kind) => {
                let asked = self.clients.sent(&Miss::Detail(id, kind));
                self.clients_in_a_row += usize::from(asked);
                return Ok(());
            }
            Job::Call(key) => {
                let hinted = self.hinted.len();
                self.hinted.retain(|hinted| *hinted != key);
                self.vanished.retain(|vanished| *vanished != key);
                if self.clients.sent(&Miss::Call(key)) || self.hinted.len() < hinted {
                    self.clients_in_a_row += 1;
                    return Ok(());
                }
            }
            Job::Review(_) | Job::Write(_) => {
                self.clients_in_a_row += 1;
                return Ok(());
            }
            Job::OpenCalls(group) => self.follow.retain(|followed| *followed != group),
            Job::Canary(_) | Job::Total | Job::Count(_) | Job::Range(_) | Job::SameInstant(_) => {}
        }
        self.clients_in_a_row = 0;
        self.turn += 1;
        Ok(())
    }

    pub(in crate::sync) fn pace(&self) -> RevalidationPolicy {
        RevalidationPolicy::of(&self.settings)
    }

    /// The oldest start that is mirrored.
    pub(in crate::sync) fn since(&self) -> Timestamp {
        self.settings.history.map_or(Timestamp::MIN, |history| {
            ((self.clock)() - history).max(Timestamp::MIN)
        })
    }

    pub(in crate::sync) fn now(&self) -> Now {
        Now {
            instant: Instant::now(),
            wall: (self.clock)(),
        }
    }
}
