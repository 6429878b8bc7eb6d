//! What the plan decides on: the engine's state as far as it matters for what is asked next.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use tokio::time::Instant;

use crate::model::{CallKey, Detail, Timestamp};
use crate::store::OpenCalls;
use crate::sync::engine::Engine;
use crate::sync::knowledge::coverage::{Coverage, NEVER};
use crate::sync::plan::job::Job;
use crate::sync::planners::count_bisection::Discrepancy;
use crate::sync::planners::feed::UpstreamKind;
use crate::sync::planners::head_page::HeadPage;
use crate::sync::planners::misses::Miss;
use crate::sync::planners::outbox::OutboxReplay;
use crate::sync::planners::revalidation::RevalidationPolicy;
use crate::sync::planners::same_instant::SameInstantGroup;
use crate::sync::planners::unreadable::Unreadable;
use crate::upstream::{CallSource, DateForm, Teller};

type Range = RangeInclusive<Timestamp>;

/// What the decision depends on.
pub struct Context<'a> {
    pub now: Instant,
    pub wall: Timestamp,
    /// The oldest start that is to be mirrored.
    pub since: Timestamp,
    pub pace: RevalidationPolicy,
    pub page_limit: usize,
    pub following: &'a UpstreamKind,
    /// The key's organization is the file's.
    pub identified: bool,
    /// A call that is held and is to be found by a key that is new here.
    pub witness: Option<i64>,
    /// Who is asked whose key it is.
    pub teller: Teller,
    /// It is to be confirmed that it still is.
    pub identity_due: bool,
    pub coverage: &'a Coverage,
    /// When the last head was begun that succeeded; `None` reads it at once.
    pub head_at: Option<Instant>,
    /// How the head is asked for.
    pub newest: &'a HeadPage,
    /// Counts are not left alone.
    pub may_count: bool,
    /// How many assistants the next page of their list is behind, if one is due.
    pub assistants: Option<usize>,
    /// The date form to be tried next and the instant to try it at; `None` once one is known.
    pub dates: Option<(Timestamp, DateForm)>,
    /// Ranges can be asked for.
    pub dates_known: bool,
    pub total: Option<u64>,
    /// Requests whose connection broke, to be sent once more.
    pub again: &'a [Job],
    /// What clients wait for, longest first.
    pub asked: &'a VecDeque<Miss>,
    /// Calls that hints spoke of.
    pub hinted: &'a VecDeque<CallKey>,
    /// A hint spoke of no call in particular.
    pub hinted_head: bool,
    /// Calls that left the list of open ones, and suspects.
    pub vanished: &'a VecDeque<CallKey>,
    pub canary: Option<i64>,
    pub follow: &'a [OpenCalls],
    /// The range whose count is compared next.
    pub count: Option<Range>,
    /// Ranges in which something is known to differ.
    pub wanted: Vec<Range>,
    pub crowds: &'a BTreeMap<Timestamp, SameInstantGroup>,
    pub troubles: &'a Unreadable,
    /// Windows verified before this are compared again, whatever their age.
    pub reread_before: Option<Timestamp>,
    /// The list leaves out so many calls that it may be somebody else's.
    pub list_doubted: bool,
    /// What is to be kept of a call beside its record.
    pub detail: Option<(i64, Detail)>,
    /// When that may be asked for, or looked for; `None`: there is none to be looked for.
    pub detail_at: Option<Instant>,
    /// Changes that wait to be sent.
    pub replay: &'a OutboxReplay,
    /// By sequence number.
    pub under_way: &'a [(u64, Job)],
    /// Requests for clients since the last one for history.
    pub clients_in_a_row: usize,
    /// Requests for history so far.
    pub turn: usize,
    /// The request before was a head.
    pub head_was_last: bool,
    /// It did not answer when it was last asked: one request at a time finds out whether it does.
    pub is_out: bool,
    /// The upstream is to be left alone until then.
    pub paused_until: Option<Instant>,
    /// What is read can't be stored until then.
    pub store_rests_until: Option<Instant>,
    /// The head is.
    pub head_paused_until: Option<Instant>,
    /// History is.
    pub scans_paused_until: Option<Instant>,
}

impl Context<'_> {
    pub fn is_idle(&self, job: &Job) -> bool {
        self.under_way.iter().all(|(_, under_way)| under_way != job)
    }

    pub fn idle(&self, job: Job) -> Option<Job> {
        self.is_idle(&job).then_some(job)
    }

    /// The next step of the change that waits longest.
    pub fn write(&self) -> Option<Job> {
        self.replay.next(self.now, self.under_way)
    }

    /// The first of these calls that is not being asked for.
    pub fn point(&self, keys: &VecDeque<CallKey>) -> Option<Job> {
        keys.iter()
            .cloned()
            .map(Job::Call)
            .find(|job| self.is_idle(job))
    }

    /// The first that a client waits for and that is not being asked for.
    pub fn client(&self) -> Option<Job> {
        let job = |wanted: &Miss| match wanted {
            Miss::Call(key) => Job::Call(key.clone()),
            Miss::Detail(id, kind) => Job::Detail(*id, *kind),
        };
        self.asked.iter().map(job).find(|job| self.is_idle(job))
    }
}

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) fn view(&mut self, now: Instant) -> Context<'_> {
        // Below a ranged head they are nobody else's to read: at first, after the reading was given
        // up, and again when it is due.
        let due = self.without_start_due.is_none_or(|due| due <= now);
        // One that is under way was asked for with the length that is known to be served.
        if !self.requests.is_under_way(&Job::Head)
            && let Some(limit) = self.page_size.longer(now)
        {
            self.newest.try_longer(limit);
        }
        if !self.newest.is_ranged() {
            self.crowds.remove(&NEVER);
        } else if due {
            let page_limit = self.page_size.limit();
            self.crowds.entry(NEVER).or_insert_with(|| {
                SameInstantGroup::new(NEVER, page_limit).narrowed(self.newest.limit())
            });
        }
        self.clients.forget_gone();
        let range = |found: &Discrepancy| found.range.clone();
        let (detail, detail_at) = self.next_detail(now);
        // What an intermediary keeps is not younger for being read at once again.
        let wall = (self.clock)() - self.list_age;
        Context {
            now,
            wall,
            since: self.since(),
            pace: self.pace(),
            page_limit: self.page_size.limit(),
            following: &self.following,
            identified: self.identified,
            witness: self.vouching.witness(),
            teller: self.teller,
            identity_due: self.identity_due,
            coverage: &self.coverage,
            head_at: self.head_at,
            newest: &self.newest,
            may_count: self.counting.may_be_asked(now),
            assistants: self.assistants.due(now),
            dates: self.dates.probe(),
            dates_known: self.dates.is_known(),
            total: self.total,
            again: self.requests.again(),
            asked: self.clients.asked(),
            hinted: &self.hinted,
            hinted_head: self.hinted_head,
            vanished: &self.vanished,
            canary: self.proof.canary(),
            follow: &self.follow,
            count: self.counting.next(self.coverage.windows()),
            wanted: self.wanted.iter().map(range).collect(),
            crowds: &self.crowds,
            troubles: &self.troubles,
            // What is read before then would have to be read once more.
            reread_before: self.holds.reread_before().filter(|at| *at <= wall),
            list_doubted: self.holds.is_list_doubted(),
            detail,
            detail_at,
            replay: &self.replay,
            under_way: self.requests.under_way(),
            clients_in_a_row: self.clients_in_a_row,
            turn: self.turn,
            head_was_last: self.head_was_last,
            is_out: self.health.is_out(),
            paused_until: self.health.paused_until(),
            store_rests_until: self.health.store_rests_until(),
            head_paused_until: self.health.head_paused_until(),
            scans_paused_until: self.health.scans_paused_until(),
        }
    }
}
