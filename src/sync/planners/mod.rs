//! The concerns of the plan. Each owns its state, says what it wants next, and takes in the
//! outcome. Pure: no clock, no I/O.
//!
//! In the order of the ladder in [`plan`](crate::sync::plan): `identity` and `key_witness` (the
//! key's organization), `feed` (an upstream that is an edge), `head` and `head_page` (the newest
//! calls), `date_format`, `assistants`; for clients `proxied`, `outbox`, `misses` and `call_queue`
//! (hints); of history `deletion_guard` and `deletion_proof`, `open_calls`, `discrepancies`,
//! `count_check` and `count_bisection`, `same_instant`, `backfill`, `unreadable` and `page_extent`,
//! `revalidation`; and last `details`. `shares` says whose turn it is.

pub mod assistants;
pub mod backfill;
pub mod call_queue;
pub mod count_bisection;
pub mod count_check;
pub mod date_format;
pub mod deletion_guard;
pub mod deletion_proof;
pub mod details;
pub mod discrepancies;
pub mod feed;
pub mod head;
pub mod head_page;
pub mod identity;
pub mod key_witness;
pub mod misses;
pub mod open_calls;
pub mod outbox;
pub mod page_extent;
pub mod proxied;
pub mod revalidation;
pub mod same_instant;
pub mod shares;
pub mod unreadable;

use tokio::time::Instant;

use crate::model::{CallKey, KeyHash, Unit};
use crate::store::DetailsCounts;
use crate::sync::handle::messages::Miss;
use crate::sync::in_flight::InFlight;
use crate::sync::knowledge::ranges::Range;
use crate::sync::plan::job::Job;
use crate::sync::planners::assistants::Assistants;
use crate::sync::planners::backfill::Backfill;
use crate::sync::planners::call_queue::CallQueue;
use crate::sync::planners::count_check::CountCheck;
use crate::sync::planners::date_format::DateFormat;
use crate::sync::planners::deletion_guard::DeletionGuard;
use crate::sync::planners::deletion_proof::DeletionProof;
use crate::sync::planners::details::Details;
use crate::sync::planners::discrepancies::Discrepancies;
use crate::sync::planners::feed::UpstreamKind;
use crate::sync::planners::head::Head;
use crate::sync::planners::identity::Identity;
use crate::sync::planners::misses::Misses;
use crate::sync::planners::open_calls::OpenCallLists;
use crate::sync::planners::outbox::OutboxReplay;
use crate::sync::planners::page_extent::PageSize;
use crate::sync::planners::proxied::Proxied;
use crate::sync::planners::same_instant::SameInstant;
use crate::sync::planners::shares::Shares;
use crate::sync::planners::unreadable::Unreadable;
use crate::sync::settings::Settings;

/// At most this many hints may wait.
const MOST_HINTS: usize = 256;

/// The state of every concern.
pub struct Planners {
    pub identity: Identity,
    pub feed: UpstreamKind,
    pub head: Head,
    pub page_size: PageSize,
    pub date_format: DateFormat,
    pub assistants: Assistants,
    pub proxied: Proxied,
    pub outbox: OutboxReplay,
    pub misses: Misses,
    /// Calls that hints named.
    pub hints: CallQueue,
    pub deletion_guard: DeletionGuard,
    pub deletion_proof: DeletionProof,
    pub open_calls: OpenCallLists,
    /// Calls that left a list, and suspects.
    pub vanished: CallQueue,
    pub discrepancies: Discrepancies,
    pub count_check: CountCheck,
    pub same_instant: SameInstant,
    pub backfill: Backfill,
    pub unreadable: Unreadable,
    pub details: Details,
    pub shares: Shares,
}

impl Planners {
    /// The state for a file that has stored nothing yet.
    pub fn new(settings: &Settings, key_hash: KeyHash, now: Instant) -> Planners {
        let page_limit = settings.page_limit;
        Planners {
            identity: Identity::new(key_hash),
            feed: UpstreamKind::resume(None),
            head: Head::new(page_limit),
            page_size: PageSize::new(page_limit, None, now),
            date_format: DateFormat::of_texts(Unit::SECOND),
            assistants: Assistants::default(),
            proxied: Proxied::default(),
            outbox: OutboxReplay::default(),
            misses: Misses::default(),
            hints: CallQueue::new(MOST_HINTS),
            deletion_guard: DeletionGuard::default(),
            deletion_proof: DeletionProof::default(),
            open_calls: OpenCallLists::default(),
            vanished: CallQueue::new(usize::MAX),
            discrepancies: Discrepancies::default(),
            count_check: CountCheck::new(
                settings.poll_interval,
                settings.max_requests_per_minute,
                settings.reconcile_interval,
            ),
            same_instant: SameInstant::default(),
            backfill: Backfill::default(),
            unreadable: Unreadable::new(page_limit),
            details: Details::new(
                settings.details.clone(),
                settings.seed,
                DetailsCounts::default(),
            ),
            shares: Shares::default(),
        }
    }

    /// Makes the changes that depend on time alone. Called before each decision.
    pub fn advance(&mut self, now: Instant, in_flight: &InFlight) {
        // A head in flight was requested with the known length.
        if !in_flight.is_under_way(&Job::Head)
            && let Some(limit) = self.page_size.longer(now)
        {
            self.head.page.try_longer(limit);
        }
        match self.head.page.is_ranged() {
            true => {
                let (page, head) = (self.page_size.limit(), self.head.page.limit());
                self.same_instant.read_without_start(now, page, head);
            }
            false => self.same_instant.leave_without_start(),
        }
        self.misses.forget_gone();
    }

    /// Notes that the job's request is in flight: it leaves its queue, and its share is spent.
    pub fn sent(&mut self, job: &Job) {
        self.shares.head_was_last = *job == Job::Head;
        let for_client = match job {
            Job::Head | Job::Feed => {
                self.head.is_hinted = false;
                return;
            }
            Job::Identify | Job::KeyWitness(_) | Job::DateFormat(..) | Job::Assistants(_) => return,
            Job::Detail(id, kind) => {
                // A background detail takes no share.
                if self.misses.sent(&Miss::Detail(*id, *kind)) {
                    self.shares.client_was_sent();
                }
                return;
            }
            Job::Call(key) => self.call_was_sent(key),
            Job::Review(_) | Job::Write(_) => true,
            Job::OpenCalls(group) => {
                self.open_calls.groups.retain(|listed| listed != group);
                false
            }
            Job::Canary(_) | Job::Total | Job::Count(_) => false,
            Job::Range(_) | Job::SameInstant(_) => false,
        };
        match for_client {
            true => self.shares.client_was_sent(),
            false => self.shares.history_was_sent(),
        }
    }

    /// Removes a call from its queues. Returns whether a client waits for it, or a hint named it.
    fn call_was_sent(&mut self, key: &CallKey) -> bool {
        let hinted = self.hints.sent(key);
        self.vanished.sent(key);
        self.misses.sent(&Miss::Call(key.clone())) || hinted
    }

    /// Notes that reading this range added calls, which explains some of a discrepancy there.
    pub fn note_explained(&mut self, read: &Range, new: usize) {
        if new > 0 && self.discrepancies.meet(read) {
            self.count_check.explained();
        }
    }

    /// Sets the page length that the upstream serves, for every concern.
    pub fn set_page_limit(&mut self) {
        let limit = self.page_size.limit();
        self.head.page.set_longest(limit);
        self.unreadable.set_page_limit(limit);
        self.same_instant.set_page_limit(limit);
    }
}
