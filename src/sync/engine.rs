//! Carries out what [`plan`] decides: sends requests, and takes in answers one at a time.
//!
//! All state of the sync is here, owned by one task. Answers may come in any order; each becomes
//! one transaction of the store, and what was read is published only after it.

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

use super::assistants::Assistants;
use super::clients::{Clients, Wanted};
use super::counting::Counting;
use super::coverage::Coverage;
use super::crowd::Crowd;
use super::dates::Dates;
use super::denials::Denials;
use super::details::Details;
use super::following::Following;
use super::handle::{Clock, Handle, Post};
use super::health::{Health, Moment};
use super::holds::Holds;
use super::housekeeping::Housekeeping;
use super::newest::Newest;
use super::page::PageSize;
use super::passes::Leave;
use super::pending::Pending;
use super::plan::{self, Job, Next};
use super::proof::Proof;
use super::requests::{Requests, Start};
use super::search::Found;
use super::settings::{Settings, SyncError};
use super::status::Phase;
use super::stuck::Stuck;
use super::tiers::Pace;
use super::troubles::Troubles;
use super::vouching::Vouching;
use super::writes::Replay;
use crate::model::{CallKey, KeyHash, Timestamp};
use crate::store::{Census, Followed, OpenCalls, SharedWriter, Writer};
use crate::upstream::{CallSource, Request, Teller};

/// However long there is nothing to do, the engine shows that it is there.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The task that keeps the replica equal to the upstream.
pub struct Engine<S> {
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) post: Post,
    pub(super) writer: SharedWriter,
    pub(super) random: SmallRng,

    // What is known, and what is to be done about it.
    pub(super) coverage: Arc<Coverage>,
    pub(super) census: Census,
    pub(super) organization_id: Option<i64>,
    pub(super) following: Following,
    /// How far another edge was followed by the process before.
    pub(super) followed_before: Option<Followed>,
    pub(super) identified: bool,
    pub(super) key_hash: KeyHash,
    /// The file's calls were read by this very key before.
    pub(super) key_is_known: bool,
    pub(super) vouching: Vouching,
    /// Who tells whose key it is, or did last.
    pub(super) teller: Teller,
    /// The latest request that confirmed the organization, and when.
    pub(super) confirmed: Option<(u64, Instant)>,
    pub(super) identity_due: bool,
    pub(super) assistants: Assistants,
    pub(super) dates: Dates,
    pub(super) page_size: PageSize,
    pub(super) head_at: Option<Instant>,
    /// How the head is asked for.
    pub(super) newest: Newest,
    /// When the calls above a head that begins below unreadable rows are asked for by id again.
    pub(super) above_head_due: Option<Instant>,
    /// Open calls of a status that could not be listed.
    pub(super) unlisted: Vec<OpenCalls>,
    pub(super) denials: Denials,
    /// When the calls without a start are read again, if the head is ranged.
    pub(super) without_start_due: Option<Instant>,
    /// The head tells how many calls there are.
    pub(super) head_has_total: bool,
    pub(super) total: Option<u64>,
    pub(super) holds: Holds,
    pub(super) counting: Counting,
    pub(super) wanted: Vec<Found>,
    /// To be read to find out whether the page above it was cut.
    pub(super) below_a_cut: Option<RangeInclusive<Timestamp>>,
    pub(super) proof: Proof,
    pub(super) troubles: Troubles,
    pub(super) follow: Vec<OpenCalls>,
    pub(super) vanished: VecDeque<CallKey>,
    pub(super) hinted: VecDeque<CallKey>,
    /// A hint spoke of no call in particular.
    pub(super) hinted_head: bool,
    /// By instant.
    pub(super) crowds: BTreeMap<Timestamp, Crowd>,
    pub(super) clients: Clients,
    pub(super) details: Details,
    pub(super) replay: Replay,
    pub(super) housekeeping: Housekeeping,
    /// How old the answer is that is taken in.
    pub(super) answer_age: Duration,
    /// An intermediary had it, which is no edge.
    pub(super) answer_is_kept: bool,
    /// And that of the latest page of the list.
    pub(super) list_age: Duration,

    // What is under way, and when more may be.
    pub(super) requests: Requests<S>,
    /// Clients that wait for leave to ask the upstream themselves, longest first.
    pub(super) permits: VecDeque<Leave>,
    /// Requests for clients since the last one for history.
    pub(super) clients_in_a_row: usize,
    /// Requests for history.
    pub(super) turn: usize,
    /// The request before was a head.
    pub(super) head_was_last: bool,
    pub(super) health: Health,
    pub(super) stuck: Stuck,
    /// The head was read since the process started.
    pub(super) begun: bool,
    /// The last look at both clocks.
    pub(super) looked: Moment,
    /// By how much our clock was put back, all in all.
    pub(super) put_back: Duration,
}

impl<S: CallSource> Engine<S> {
    /// Takes up where the file's last process left off.
    pub fn new(source: S, writer: Writer, settings: Settings, clock: Clock) -> (Engine<S>, Handle) {
        let (post, handle) = Post::new();
        let engine = Engine::resume(source, writer, settings, clock, post);
        (engine, handle)
    }

    /// The same behind a handle that others hold already.
    pub fn resume(
        source: S,
        mut writer: Writer,
        settings: Settings,
        clock: Clock,
        post: Post,
    ) -> Engine<S> {
        let looked = Moment {
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
        post.pending.store(Pending::of(writer.outbox()).into());
        post.status
            .send_modify(|status| status.organization_id = organization_id);
        Engine {
            requests: Requests::new(source, &settings, writer.request_seq()),
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
            following: Following::resume(writer.followed()),
            followed_before: writer.followed().cloned(),
            identified: false,
            key_hash,
            key_is_known,
            vouching: Vouching::default(),
            teller: Teller::default(),
            confirmed: None,
            identity_due: false,
            assistants: Assistants::default(),
            dates: Dates::of_texts(writer.finest_start()),
            page_size,
            head_at: None,
            newest: Newest::new(page_limit),
            above_head_due: None,
            unlisted: Vec::new(),
            denials: Denials::default(),
            without_start_due: None,
            head_has_total: false,
            total: None,
            holds: Holds::default(),
            counting: Counting::new(
                settings.poll_interval,
                settings.max_requests_per_minute,
                settings.reconcile_interval,
            ),
            wanted: Vec::new(),
            below_a_cut: None,
            proof: Proof::default(),
            troubles: Troubles::new(page_limit),
            follow: Vec::new(),
            vanished: VecDeque::new(),
            hinted: VecDeque::new(),
            hinted_head: false,
            crowds: BTreeMap::new(),
            clients: Clients::default(),
            details: Details::new(
                settings.details.clone(),
                settings.seed,
                writer.details_books(),
            ),
            replay: Replay::of(writer.outbox()),
            housekeeping,
            answer_age: Duration::ZERO,
            answer_is_kept: false,
            list_age: Duration::ZERO,
            health: Health::resumed(settings.seed, &before),
            stuck: Stuck::default(),
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
        let dates = match &job {
            Job::Dates(_, form) => *form,
            _ => self.dates.form().unwrap_or_default(),
        };
        let start = Start {
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
            Job::Identify | Job::Vouch(_) | Job::Dates(..) | Job::Assistants(_) => return Ok(()),
            Job::Detail(id, kind) => {
                let asked = self.clients.sent(&Wanted::Detail(id, kind));
                self.clients_in_a_row += usize::from(asked);
                return Ok(());
            }
            Job::Point(key) => {
                let hinted = self.hinted.len();
                self.hinted.retain(|hinted| *hinted != key);
                self.vanished.retain(|vanished| *vanished != key);
                if self.clients.sent(&Wanted::Call(key)) || self.hinted.len() < hinted {
                    self.clients_in_a_row += 1;
                    return Ok(());
                }
            }
            Job::Review(_) | Job::Write(_) => {
                self.clients_in_a_row += 1;
                return Ok(());
            }
            Job::Follow(group) => self.follow.retain(|followed| *followed != group),
            Job::Canary(_) | Job::Total | Job::Count(_) | Job::Range(_) | Job::Crowd(_) => {}
        }
        self.clients_in_a_row = 0;
        self.turn += 1;
        Ok(())
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::of(&self.settings)
    }

    /// The oldest start that is mirrored.
    pub(super) fn since(&self) -> Timestamp {
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
}
