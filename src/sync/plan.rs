//! What to ask the upstream next. Pure: the state and `now` in, the most urgent request out.
//!
//! The order of urgency: whose key this is, since nothing may be stored before that is known; what
//! clients wait for; the head, when it is due; the open calls below it, and those that left their
//! list; then, as the budget allows, history.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use super::coverage::{Coverage, NEVER};
use super::crowd::Crowd;
use crate::model::{CallKey, Timestamp};
use crate::store::OpenCalls;
use crate::upstream::{ListQuery, PAGE_LIMIT, Request};

/// The shortest sleep.
const MOMENT: Duration = Duration::from_millis(1);

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Whose key is this?
    Identify,
    /// The top of the list.
    Head,
    /// One call: a client waits for it, or it left the list of open calls.
    Point(CallKey),
    /// How many calls there are, where the list does not tell.
    Total,
    /// The open calls of one status below the head.
    Follow(OpenCalls),
    /// A range that was never read, from its newest end.
    Fill(RangeInclusive<Timestamp>),
    /// The next step of reading an instant with more calls than a page.
    Crowd(Timestamp),
}

/// What the decision depends on.
pub struct View<'a> {
    pub now: Instant,
    /// The oldest start that is to be mirrored.
    pub since: Timestamp,
    pub poll_interval: Duration,
    /// The key's organization is the file's.
    pub identified: bool,
    pub coverage: &'a Coverage,
    /// When the last successful head began; `None` reads it at once.
    pub head_at: Option<Instant>,
    /// Calls without a start fill the top page: the head is read as a range below them.
    pub ranged_head: bool,
    pub total: Option<u64>,
    /// Requests whose connection broke, to be sent once more.
    pub again: &'a [Job],
    /// Calls that clients wait for, longest first.
    pub asked: &'a VecDeque<CallKey>,
    /// Calls that left the list of open ones.
    pub vanished: &'a VecDeque<CallKey>,
    pub follow: &'a [OpenCalls],
    pub crowds: &'a BTreeMap<Timestamp, Crowd>,
    /// By sequence number.
    pub under_way: &'a [(u64, Job)],
    /// The upstream is to be left alone until then.
    pub paused_until: Option<Instant>,
    /// History is.
    pub scans_paused_until: Option<Instant>,
}

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Send(Job, Request),
    /// Nothing to do before this, unless something happens.
    Sleep(Instant),
}

impl View<'_> {
    fn is_idle(&self, job: &Job) -> bool {
        self.under_way.iter().all(|(_, under_way)| under_way != job)
    }
}

/// The most urgent request that is not under way.
pub fn next(view: &View<'_>) -> Next {
    if let Some(until) = view.paused_until.filter(|until| *until > view.now) {
        return Next::Sleep(until);
    }
    if !view.identified {
        return match view.is_idle(&Job::Identify) {
            true => send(view, Job::Identify),
            false => Next::Sleep(view.now + view.poll_interval),
        };
    }
    let idle = |job: &Job| view.is_idle(job);
    let point = |keys: &VecDeque<CallKey>| keys.iter().cloned().map(Job::Point).find(idle);
    let head_due = view.head_at.map_or(view.now, |at| at + view.poll_interval);
    let urgent = (view.again.first().cloned())
        .or_else(|| point(view.asked))
        .or_else(|| (head_due <= view.now).then_some(Job::Head).filter(idle));
    if let Some(job) = urgent {
        return send(view, job);
    }
    // A head under way is not due again before it has come to its end, which wakes the engine.
    let head_due = head_due.max(view.now + MOMENT);
    if let Some(until) = view.scans_paused_until.filter(|until| *until > view.now) {
        return Next::Sleep(head_due.min(until));
    }
    let scan = (view.follow.iter().cloned().map(Job::Follow).find(idle))
        .or_else(|| point(view.vanished))
        .or_else(|| view.crowds.keys().copied().map(Job::Crowd).find(idle))
        .or_else(|| unread(view).into_iter().next().map(Job::Fill))
        .or_else(|| {
            (view.total.is_none() && filling(view))
                .then_some(Job::Total)
                .filter(idle)
        });
    scan.map_or(Next::Sleep(head_due), |job| send(view, job))
}

fn filling(view: &View<'_>) -> bool {
    !view.coverage.gaps(view.since).is_empty()
}

/// The ranges that nobody has read or is reading, newest first.
fn unread(view: &View<'_>) -> Vec<RangeInclusive<Timestamp>> {
    let crowds = view.crowds.keys().map(|instant| *instant..=*instant);
    let filled = view.under_way.iter().filter_map(|(_, job)| match job {
        Job::Fill(range) => Some(range.clone()),
        _ => None,
    });
    let mut unread = view.coverage.gaps(view.since);
    // Calls without a start match no range; a crowd reads them.
    unread.retain(|gap| *gap.end() != NEVER);
    for taken in filled.chain(crowds) {
        unread = unread
            .into_iter()
            .flat_map(|gap| without(&gap, &taken))
            .collect();
    }
    unread
}

/// `gap` less `taken`, newest first.
fn without(
    gap: &RangeInclusive<Timestamp>,
    taken: &RangeInclusive<Timestamp>,
) -> impl Iterator<Item = RangeInclusive<Timestamp>> + use<> {
    const INSTANT: Duration = Duration::from_micros(1);
    let (start, end) = (*gap.start(), *gap.end());
    let above = (*taken.end() + INSTANT).max(start)..=end;
    let below = start..=(*taken.start() - INSTANT).min(end);
    [above, below].into_iter().filter(|piece| !piece.is_empty())
}

fn send(view: &View<'_>, job: Job) -> Next {
    match request(&job, view.ranged_head, view.crowds) {
        Some(request) => Next::Send(job, request),
        None => Next::Sleep(view.now + view.poll_interval),
    }
}

/// How a job is asked; `None` for a crowd that is not there.
pub fn request(
    job: &Job,
    ranged_head: bool,
    crowds: &BTreeMap<Timestamp, Crowd>,
) -> Option<Request> {
    let list = |from, to, status| {
        Some(Request::List(ListQuery {
            from,
            to,
            status,
            skip: 0,
            limit: PAGE_LIMIT,
        }))
    };
    match job {
        Job::Identify => Some(Request::Identity),
        Job::Head => list(ranged_head.then_some(Timestamp::MIN), None, None),
        Job::Point(key) => Some(Request::Call(key.clone())),
        Job::Total => Some(Request::Count {
            from: None,
            to: None,
        }),
        Job::Follow(group) => list(
            Some(group.oldest),
            Some(group.newest),
            Some(group.status.clone()),
        ),
        Job::Fill(range) => {
            let from = Some(*range.start()).filter(|start| *start > Timestamp::MIN);
            list(from, Some(*range.end()), None)
        }
        Job::Crowd(instant) => crowds.get(instant).map(Crowd::request),
    }
}
