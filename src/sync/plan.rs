//! What to ask the upstream next. Pure: the state and `now` in, the most urgent request out.
//!
//! The order of urgency: whose key this is, since nothing may be stored before that is known; the
//! head, when it is due; what clients wait for; the open calls below the head, and those that left
//! their list; then history. Nothing starves: of four requests one is history's, however many calls
//! clients ask for.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use super::coverage::{Coverage, NEVER};
use super::crowd::Crowd;
use crate::model::{CallKey, Timestamp};
use crate::store::OpenCalls;
use crate::upstream::{ListQuery, PAGE_LIMIT, Request};

/// After so many requests for clients the next is history's.
const CLIENTS_IN_A_ROW: usize = 3;

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
    /// Requests for clients since the last one for history.
    pub clients_in_a_row: usize,
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
    let head_due = match idle(&Job::Head) {
        true => view.head_at.map_or(view.now, |at| at + view.poll_interval),
        // Its end wakes the engine.
        false => view.now + view.poll_interval,
    };
    let head = (head_due <= view.now).then_some(Job::Head);
    if let Some(job) = view.again.first().cloned().or(head) {
        return send(view, job);
    }
    let paused = view.scans_paused_until.filter(|until| *until > view.now);
    let history = || paused.is_none().then(|| history(view)).flatten();
    let client = || point(view, view.asked);
    let job = match view.clients_in_a_row < CLIENTS_IN_A_ROW {
        true => client().or_else(history),
        false => history().or_else(client),
    };
    let until = paused.map_or(head_due, |until| until.min(head_due));
    job.map_or(Next::Sleep(until), |job| send(view, job))
}

/// The first of these calls that is not being asked for.
fn point(view: &View<'_>, keys: &VecDeque<CallKey>) -> Option<Job> {
    keys.iter()
        .cloned()
        .map(Job::Point)
        .find(|job| view.is_idle(job))
}

/// What nobody waits for.
fn history(view: &View<'_>) -> Option<Job> {
    let idle = |job: &Job| view.is_idle(job);
    (view.follow.iter().cloned().map(Job::Follow).find(idle))
        .or_else(|| point(view, view.vanished))
        .or_else(|| view.crowds.keys().copied().map(Job::Crowd).find(idle))
        .or_else(|| unread(view).into_iter().next().map(Job::Fill))
        .or_else(|| {
            Some(Job::Total).filter(|job| view.total.is_none() && filling(view) && idle(job))
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Verified, Window};
    use crate::sync::coverage::HeadRead;

    const POLL: Duration = Duration::from_secs(10);

    /// A state to decide on: live, complete from 0 on, nothing under way, the head just read.
    struct State {
        now: Instant,
        identified: bool,
        coverage: Coverage,
        head_at: Option<Instant>,
        ranged_head: bool,
        total: Option<u64>,
        again: Vec<Job>,
        asked: VecDeque<CallKey>,
        vanished: VecDeque<CallKey>,
        follow: Vec<OpenCalls>,
        crowds: BTreeMap<Timestamp, Crowd>,
        under_way: Vec<(u64, Job)>,
        paused_until: Option<Instant>,
        scans_paused_until: Option<Instant>,
        clients_in_a_row: usize,
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn window(from: i64, to: i64) -> Window {
        let verified = Verified { at: at(0), seq: 1 };
        Window {
            from: at(from),
            to: at(to),
            verified,
            rows: 0,
            open_ended: false,
        }
    }

    fn state(windows: &[Window]) -> State {
        let mut coverage = Coverage::default();
        coverage.insert_head(HeadRead {
            from: at(1000),
            starts: vec![at(1000)],
            without_start: Some(0),
            verified: Verified {
                at: at(2000),
                seq: 1,
            },
        });
        for window in windows {
            coverage.insert(*window);
        }
        let now = Instant::now() + Duration::from_secs(1000);
        State {
            now,
            identified: true,
            coverage,
            head_at: Some(now),
            ranged_head: false,
            total: Some(5000),
            again: Vec::new(),
            asked: VecDeque::new(),
            vanished: VecDeque::new(),
            follow: Vec::new(),
            crowds: BTreeMap::new(),
            under_way: Vec::new(),
            paused_until: None,
            scans_paused_until: None,
            clients_in_a_row: 0,
        }
    }

    fn decide(state: &State) -> Next {
        next(&View {
            now: state.now,
            since: at(0),
            poll_interval: POLL,
            identified: state.identified,
            coverage: &state.coverage,
            head_at: state.head_at,
            ranged_head: state.ranged_head,
            total: state.total,
            again: &state.again,
            asked: &state.asked,
            vanished: &state.vanished,
            follow: &state.follow,
            crowds: &state.crowds,
            under_way: &state.under_way,
            paused_until: state.paused_until,
            scans_paused_until: state.scans_paused_until,
            clients_in_a_row: state.clients_in_a_row,
        })
    }

    fn group(status: &str) -> OpenCalls {
        OpenCalls {
            status: status.to_owned(),
            oldest: at(1),
            newest: at(9),
        }
    }

    /// Everything the plan would send, one after the other, were nothing ever answered.
    fn order(mut state: State) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Next::Send(job, _) = decide(&state) {
            state.again.retain(|again| *again != job);
            state.under_way.push((jobs.len() as u64, job.clone()));
            jobs.push(job);
        }
        jobs
    }

    #[test]
    fn the_most_urgent_comes_first_and_nothing_comes_twice() {
        let mut state = state(&[window(500, 699)]);
        state.head_at = None;
        state.total = None;
        state.again.push(Job::Point(CallKey::Id(3)));
        state.asked.extend([CallKey::Id(1), CallKey::Id(2)]);
        state.vanished.push_back(CallKey::Id(9));
        state.follow.push(group("ongoing"));
        state.crowds.insert(at(400), Crowd::new(at(400)));
        let expected = [
            Job::Point(CallKey::Id(3)),
            Job::Head,
            Job::Point(CallKey::Id(1)),
            Job::Point(CallKey::Id(2)),
            Job::Follow(group("ongoing")),
            Job::Point(CallKey::Id(9)),
            Job::Crowd(at(400)),
            Job::Fill(at(700)..=at(999)),
            Job::Fill(at(401)..=at(499)),
            Job::Fill(at(0)..=at(399)),
            Job::Total,
        ];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn nothing_is_read_before_it_is_known_whose_key_it_is() {
        let mut state = state(&[]);
        state.identified = false;
        state.asked.push_back(CallKey::Id(1));
        assert_eq!(order(state), [Job::Identify]);
    }

    #[test]
    fn a_pause_holds_back_everything_and_a_pause_of_scans_only_history() {
        let mut state = state(&[]);
        let until = state.now + Duration::from_secs(3);
        state.head_at = None;
        state.asked.push_back(CallKey::Id(1));
        state.paused_until = Some(until);
        assert_eq!(decide(&state), Next::Sleep(until));
        state.paused_until = Some(state.now);
        state.scans_paused_until = Some(until);
        state.follow.push(group("ongoing"));
        assert_eq!(order(state), [Job::Head, Job::Point(CallKey::Id(1))]);
    }

    #[test]
    fn after_three_requests_for_clients_history_has_its_turn() {
        let mut state = state(&[]);
        state.asked.push_back(CallKey::Id(1));
        state.clients_in_a_row = 3;
        let expected = [Job::Fill(at(0)..=at(999)), Job::Point(CallKey::Id(1))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn a_complete_replica_sleeps_until_the_next_poll() {
        let mut state = state(&[window(0, 999)]);
        assert_eq!(decide(&state), Next::Sleep(state.now + POLL));
        state.now += POLL;
        assert!(matches!(decide(&state), Next::Send(Job::Head, _)));
    }

    #[test]
    fn what_is_being_read_is_not_read_again() {
        let mut state = state(&[]);
        state.under_way.push((1, Job::Fill(at(300)..=at(600))));
        let expected = [Job::Fill(at(601)..=at(999)), Job::Fill(at(0)..=at(299))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn the_fill_asks_from_its_newest_end_and_for_no_lower_bound_at_the_beginning_of_time() {
        let list = |job| match request(&job, false, &BTreeMap::new()) {
            Some(Request::List(query)) => (query.from, query.to, query.skip, query.limit),
            other => panic!("{other:?}"),
        };
        let fill = |from| Job::Fill(from..=at(9));
        assert_eq!(
            list(fill(Timestamp::MIN)),
            (None, Some(at(9)), 0, PAGE_LIMIT)
        );
        assert_eq!(list(fill(at(5))), (Some(at(5)), Some(at(9)), 0, PAGE_LIMIT));
        assert_eq!(list(Job::Head), (None, None, 0, PAGE_LIMIT));
    }
}
