//! What to ask the upstream next. Pure: the state and `now` in, the most urgent request out.
//!
//! The order of urgency: whose key this is, since nothing may be stored before that is known; the
//! head, when it is due; which form of dates is read right, since no range may be asked for before
//! that is known; what clients changed meanwhile, what they wait for, and hints; then history.
//! Nothing starves: no head follows another while anything else is to be sent, of four requests one
//! is history's, however many calls clients ask for, and of four for history one compares what
//! is due, however much is new. What belongs to calls comes last: when nothing else is to be sent, and
//! from the half of the budget that nothing else will miss.

pub mod context;
pub mod job;
pub mod request;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Timestamp, Window};
use crate::sync::knowledge::coverage::NEVER;
pub use crate::sync::plan::context::Context;
pub use crate::sync::plan::job::Job;
use crate::sync::plan::request::{repeated, request};
use crate::sync::planners::feed;
use crate::upstream::Request;

/// After so many requests for clients the next is history's.
pub const CLIENTS_IN_A_ROW: usize = 3;

/// A hint brings the head forward to this long after the last one, however many hints there are.
const HINTED_HEAD: Duration = Duration::from_secs(1);

/// Of so many requests for history one reads what was never read, and one compares what is due.
const TURNS: usize = 4;

/// A window that is this late may be compared along with one that is due.
const SOON: f64 = 0.5;

/// Neighbouring windows are read as one up to this share of a page, so that the next reading is
/// one request too, with room to grow.
const JOINED: (usize, usize) = (9, 10);

type Range = RangeInclusive<Timestamp>;

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Send(Job, Request),
    /// Nothing to do before this, unless something happens.
    Sleep(Instant),
}

/// The most urgent request that is not under way.
pub fn next(view: &Context<'_>) -> Decision {
    if let Some(until) = view.paused_until.filter(|until| *until > view.now) {
        return Decision::Sleep(until);
    }
    if let Some(until) = view.store_rests_until.filter(|until| *until > view.now) {
        // Who waits for a call is told it all the same.
        let client = view.identified.then(|| view.client()).flatten();
        return client.map_or(Decision::Sleep(until), |job| send(view, job));
    }
    if let Some(id) = view.witness {
        let job = view.idle(Job::KeyWitness(id));
        let poll = view.now + view.pace.poll_interval;
        return job.map_or(Decision::Sleep(poll), |job| send(view, job));
    }
    if let Some(next) = feed::next(view) {
        return next;
    }
    if !view.identified {
        return match view.idle(Job::Identify) {
            Some(job) => send(view, job),
            None => Decision::Sleep(view.now + view.pace.poll_interval),
        };
    }
    let head_due = head_due(view, &Job::Head);
    let head = (head_due <= view.now).then_some(Job::Head);
    // Where the budget carries little more than the polls, the rest is owed every other request.
    let (first, after) = match view.head_was_last && !view.is_out {
        true => (None, head),
        false => (head, None),
    };
    if let Some(job) = repeated(view).or(first) {
        return send(view, job);
    }
    if view.is_out {
        return Decision::Sleep(head_due);
    }
    let confirm = view.identity_due.then_some(Job::Identify);
    let names = view.assistants.map(Job::Assistants);
    let dates = view
        .dates
        .map(|(instant, form)| Job::DateFormat(instant, form));
    if let Some(job) = confirm.or(dates).or(names).and_then(|job| view.idle(job)) {
        return send(view, job);
    }
    let paused = view.scans_paused_until.filter(|until| *until > view.now);
    let history = || paused.is_none().then(|| history(view)).flatten();
    let client = || {
        view.write()
            .or_else(|| view.client())
            .or_else(|| view.point(view.hinted))
    };
    let job = match view.clients_in_a_row < CLIENTS_IN_A_ROW {
        true => client().or_else(history),
        false => history().or_else(client),
    };
    let rested = view.troubles.rested_at(view.now);
    let crowds = view.crowds.values();
    let crowds = crowds.filter_map(|crowd| crowd.rested_at(view.now));
    let wakes = paused.into_iter().chain(rested).chain(crowds);
    let until = wakes.fold(head_due, Instant::min);
    match job.or(after) {
        Some(job) => send(view, job),
        None if paused.is_some() || view.list_doubted => Decision::Sleep(until),
        None => detail(view, until),
    }
}

/// What is sent when nothing else is to be before `until`.
pub fn detail(view: &Context<'_>, until: Instant) -> Decision {
    let job = view.detail.map(|(id, kind)| Job::Detail(id, kind));
    match (view.detail_at, job.and_then(|job| view.idle(job))) {
        (Some(at), _) if at > view.now => Decision::Sleep(until.min(at)),
        (Some(_), Some(job)) => send(view, job),
        _ => Decision::Sleep(until),
    }
}

/// When the newest is read next, by this job.
pub fn head_due(view: &Context<'_>, job: &Job) -> Instant {
    if !view.is_idle(job) {
        // Its end wakes the engine.
        return view.now + view.pace.poll_interval;
    }
    let pause = match view.hinted_head {
        true => view.pace.poll_interval.min(HINTED_HEAD),
        false => view.pace.poll_interval,
    };
    let due = view.head_at.map_or(view.now, |at| at + pause);
    view.head_paused_until.map_or(due, |until| due.max(until))
}

/// What nobody waits for.
fn history(view: &Context<'_>) -> Option<Job> {
    if view.list_doubted {
        // Whatever else is listed may be as wrong. One call that is held tells more.
        return view.canary.and_then(|id| view.idle(Job::Canary(id)));
    }
    match view.turn % TURNS {
        1 => fill(view).or_else(|| urgent(view)).or_else(|| due(view)),
        3 => due(view).or_else(|| urgent(view)).or_else(|| fill(view)),
        _ => urgent(view).or_else(|| fill(view)).or_else(|| due(view)),
    }
}

/// What is known to have changed.
fn urgent(view: &Context<'_>) -> Option<Job> {
    let dated = |job: Option<Job>| job.filter(|_| view.dates_known);
    let canary = view.canary.map(Job::Canary);
    let follow = view.follow.iter().cloned().map(Job::OpenCalls);
    let wanted = view
        .wanted
        .iter()
        .flat_map(|range| free(view, range.clone()))
        .next();
    (canary.and_then(|job| view.idle(job)))
        .or_else(|| dated(follow.into_iter().find(|job| view.is_idle(job))))
        .or_else(|| view.point(view.vanished))
        .or_else(|| dated(wanted.map(Job::Range)))
        .or_else(|| dated(view.count.clone().map(Job::Count)).and_then(|job| view.idle(job)))
}

/// What was never read.
fn fill(view: &Context<'_>) -> Option<Job> {
    // The one that is furthest goes on: a crowd that is read over and over does not keep the others
    // from their end.
    let mut crowds: Vec<_> = view.crowds.iter().collect();
    crowds.sort_by_key(|(_, crowd)| std::cmp::Reverse(crowd.requests()));
    let crowds = crowds
        .into_iter()
        .map(|(instant, _)| Job::SameInstant(*instant));
    let total =
        || view.may_count && view.total.is_none() && !view.coverage.gaps(view.since).is_empty();
    let unread = || {
        let gaps = view.coverage.gaps(view.since).into_iter();
        let instants = view.troubles.instants();
        // Calls without a start match no range; a crowd reads them.
        let ranges = instants.chain(gaps.filter(|gap| *gap.end() != NEVER));
        ranges
            .flat_map(|range| free(view, range))
            .next()
            .map(Job::Range)
    };
    crowds
        .into_iter()
        .filter(|job| view.dates_known || *job == Job::SameInstant(NEVER))
        .filter(
            |job| !matches!(job, Job::SameInstant(instant) if view.crowds[instant].rests(view.now)),
        )
        .find(|job| view.is_idle(job))
        .or_else(|| view.dates_known.then(unread).flatten())
        .or_else(|| total().then_some(Job::Total).and_then(|job| view.idle(job)))
}

/// What was read too long ago: the latest first.
fn due(view: &Context<'_>) -> Option<Job> {
    if !view.dates_known {
        return None;
    }
    let hole = view
        .troubles
        .holes()
        .iter()
        // That of the calls without a start is read again as a crowd.
        .find(|hole| hole.next_try <= view.now && *hole.range.end() != NEVER);
    if let Some(job) = hole.and_then(|hole| view.idle(Job::Range(hole.range.clone()))) {
        return Some(job);
    }
    let windows = view.coverage.windows();
    let mut late: Vec<(f64, usize)> = (windows.iter().enumerate())
        .filter(|(_, window)| is_compared(view, window))
        .map(|(place, window)| (lateness(view, window), place))
        .filter(|(late, _)| *late >= 1.0)
        .collect();
    late.sort_by(|a, b| b.0.total_cmp(&a.0));
    late.into_iter().find_map(|(_, place)| {
        let own = windows[place].from..=windows[place].to;
        let range = match is_free(view, &own) {
            true => Some(joined(view, windows, place)),
            false => free(view, own).into_iter().next(),
        };
        range.map(Job::Range)
    })
}

/// As a multiple of the window's interval.
fn lateness(view: &Context<'_>, window: &Window) -> f64 {
    let reread = view
        .reread_before
        .is_some_and(|before| window.verified.at < before);
    let late = view.pace.lateness(window, view.wall);
    if reread { late.max(1.0) } else { late }
}

fn is_compared(view: &Context<'_>, window: &Window) -> bool {
    !window.open_ended && window.from != NEVER && window.to >= view.since
}

/// A window with as many of its neighbours as one page can hold. One that was just compared is not
/// read again with it: if the page is cut after all, what is due lies below the cut.
fn joined(view: &Context<'_>, windows: &[Window], place: usize) -> Range {
    let most = view.page_limit * JOINED.0 / JOINED.1;
    let (mut first, mut last) = (place, place);
    let mut rows = windows[place].rows;
    let joins = |rows: usize, window: &Window| {
        rows + window.rows <= most
            && is_compared(view, window)
            && lateness(view, window) >= SOON
            && is_free(view, &(window.from..=window.to))
    };
    while let Some(older) = first.checked_sub(1).map(|place| &windows[place])
        && older.to + INSTANT == windows[first].from
        && joins(rows, older)
    {
        first -= 1;
        rows += older.rows;
    }
    while let Some(newer) = windows.get(last + 1)
        && windows[last].to + INSTANT == newer.from
        && joins(rows, newer)
    {
        last += 1;
        rows += newer.rows;
    }
    windows[first].from..=windows[last].to
}

const INSTANT: Duration = Duration::from_micros(1);

/// What of a range nobody is reading and may be read now, newest first.
fn free(view: &Context<'_>, range: Range) -> Vec<Range> {
    let crowds = view.crowds.keys().map(|instant| *instant..=*instant);
    let holes = view.troubles.holes().iter().map(|hole| hole.range.clone());
    let read = view.under_way.iter().filter_map(|(_, job)| match job {
        Job::Range(range) => Some(range.clone()),
        _ => None,
    });
    let mut pieces = vec![range];
    for taken in crowds.chain(holes).chain(read) {
        pieces = pieces
            .into_iter()
            .flat_map(|piece| without(&piece, &taken))
            .collect();
    }
    pieces.retain(|piece| !view.troubles.rests(piece, view.now));
    pieces
}

fn is_free(view: &Context<'_>, range: &Range) -> bool {
    free(view, range.clone()) == [range.clone()]
}

/// `range` less `taken`, newest first.
pub fn without(range: &Range, taken: &Range) -> impl Iterator<Item = Range> + use<> {
    let (start, end) = (*range.start(), *range.end());
    let above = (*taken.end() + INSTANT).max(start)..=end;
    let below = start..=(*taken.start() - INSTANT).min(end);
    [above, below].into_iter().filter(|piece| !piece.is_empty())
}

pub fn send(view: &Context<'_>, job: Job) -> Decision {
    let later = Decision::Sleep(view.now + view.pace.poll_interval);
    request(view, &job).map_or(later, |request| Decision::Send(job, request))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use super::*;
    use crate::model::{CallKey, Detail, Verified};
    use crate::store::OpenCalls;
    use crate::sync::knowledge::coverage::{Coverage, HeadRead};
    use crate::sync::planners::feed::UpstreamKind;
    use crate::sync::planners::head_page::HeadPage;
    use crate::sync::planners::misses::Miss;
    use crate::sync::planners::outbox::OutboxReplay;
    use crate::sync::planners::revalidation::RevalidationPolicy;
    use crate::sync::planners::same_instant::SameInstantGroup;
    use crate::sync::planners::unreadable::Unreadable;
    use crate::upstream::{DateForm, PAGE_LIMIT, Teller};

    const POLL: Duration = Duration::from_secs(10);

    /// A state to decide on: live, complete from 0 on, nothing under way, the head just read.
    struct State {
        now: Instant,
        identified: bool,
        coverage: Coverage,
        head_at: Option<Instant>,
        newest: HeadPage,
        hinted_head: bool,
        is_out: bool,
        head_paused_until: Option<Instant>,
        total: Option<u64>,
        again: Vec<Job>,
        asked: VecDeque<Miss>,
        vanished: VecDeque<CallKey>,
        hinted: VecDeque<CallKey>,
        canary: Option<i64>,
        dates: Option<(Timestamp, DateForm)>,
        wanted: Vec<Range>,
        count: Option<Range>,
        troubles: Unreadable,
        reread_before: Option<Timestamp>,
        turn: usize,
        head_was_last: bool,
        follow: Vec<OpenCalls>,
        crowds: BTreeMap<Timestamp, SameInstantGroup>,
        detail: Option<(i64, Detail)>,
        detail_at: Option<Instant>,
        under_way: Vec<(u64, Job)>,
        paused_until: Option<Instant>,
        store_rests_until: Option<Instant>,
        scans_paused_until: Option<Instant>,
        clients_in_a_row: usize,
        replay: OutboxReplay,
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
            until: None,
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
            newest: HeadPage::new(PAGE_LIMIT),
            hinted_head: false,
            is_out: false,
            head_paused_until: None,
            total: Some(5000),
            again: Vec::new(),
            asked: VecDeque::new(),
            vanished: VecDeque::new(),
            hinted: VecDeque::new(),
            canary: None,
            dates: None,
            wanted: Vec::new(),
            count: None,
            troubles: Unreadable::new(PAGE_LIMIT),
            reread_before: None,
            turn: 0,
            head_was_last: false,
            follow: Vec::new(),
            crowds: BTreeMap::new(),
            detail: None,
            detail_at: None,
            under_way: Vec::new(),
            paused_until: None,
            store_rests_until: None,
            scans_paused_until: None,
            clients_in_a_row: 0,
            replay: OutboxReplay::default(),
        }
    }

    fn view(state: &State) -> Context<'_> {
        Context {
            now: state.now,
            wall: at(2000),
            since: at(0),
            pace: RevalidationPolicy {
                poll_interval: POLL,
                reconcile_interval: Duration::from_secs(3600),
            },
            page_limit: PAGE_LIMIT,
            following: &UpstreamKind::Burki,
            identified: state.identified,
            witness: None,
            teller: Teller::User,
            identity_due: false,
            coverage: &state.coverage,
            head_at: state.head_at,
            newest: &state.newest,
            may_count: true,
            assistants: None,
            dates: state.dates,
            dates_known: state.dates.is_none(),
            total: state.total,
            again: &state.again,
            asked: &state.asked,
            hinted: &state.hinted,
            hinted_head: state.hinted_head,
            vanished: &state.vanished,
            canary: state.canary,
            follow: &state.follow,
            count: state.count.clone(),
            wanted: state.wanted.clone(),
            crowds: &state.crowds,
            troubles: &state.troubles,
            reread_before: state.reread_before,
            list_doubted: false,
            detail: state.detail,
            detail_at: state.detail_at,
            replay: &state.replay,
            under_way: &state.under_way,
            clients_in_a_row: state.clients_in_a_row,
            turn: state.turn,
            head_was_last: state.head_was_last,
            is_out: state.is_out,
            paused_until: state.paused_until,
            store_rests_until: state.store_rests_until,
            head_paused_until: state.head_paused_until,
            scans_paused_until: state.scans_paused_until,
        }
    }

    fn decide(state: &State) -> Decision {
        next(&view(state))
    }

    fn group(status: &str) -> OpenCalls {
        OpenCalls {
            status: status.to_owned(),
            oldest: at(1),
            newest: at(9),
        }
    }

    #[test]
    fn a_repetition_that_has_nothing_to_ask_any_more_holds_up_nothing() {
        let mut state = state(&[]);
        state.head_at = None;
        state.again.push(Job::SameInstant(at(400)));
        state.again.push(Job::Call(CallKey::Id(3)));
        assert_eq!(order(state)[..2], [Job::Call(CallKey::Id(3)), Job::Head]);
    }

    /// Everything the plan would send, one after the other, were nothing ever answered.
    fn order(mut state: State) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Decision::Send(job, _) = decide(&state) {
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
        state.again.push(Job::Call(CallKey::Id(3)));
        state.asked.push_back(CallKey::Id(1).into());
        state.asked.push_back(Miss::Detail(2, Detail::Messages));
        state.vanished.push_back(CallKey::Id(9));
        state.follow.push(group("ongoing"));
        state
            .crowds
            .insert(at(400), SameInstantGroup::new(at(400), PAGE_LIMIT));
        let expected = [
            Job::Call(CallKey::Id(3)),
            Job::Head,
            Job::Call(CallKey::Id(1)),
            Job::Detail(2, Detail::Messages),
            Job::OpenCalls(group("ongoing")),
            Job::Call(CallKey::Id(9)),
            Job::SameInstant(at(400)),
            Job::Range(at(700)..=at(999)),
            Job::Range(at(401)..=at(499)),
            Job::Range(at(0)..=at(399)),
            Job::Total,
        ];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn no_head_follows_another_while_there_is_anything_else_to_send() {
        let mut state = state(&[window(0, 699)]);
        (state.head_at, state.head_was_last) = (None, true);
        let expected = [Job::Range(at(700)..=at(999)), Job::Head];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn what_belongs_to_calls_comes_last_and_out_of_what_is_spare() {
        let mut state = state(&[window(0, 699)]);
        state.detail = Some((5, Detail::Recordings));
        state.detail_at = Some(state.now);
        let expected = [
            Job::Range(at(700)..=at(999)),
            Job::Detail(5, Detail::Recordings),
        ];
        assert_eq!(order(state), expected);

        let mut state = self::state(&[window(0, 999)]);
        state.detail = Some((5, Detail::Recordings));
        let soon = state.now + Duration::from_secs(2);
        state.detail_at = Some(soon);
        assert_eq!(decide(&state), Decision::Sleep(soon));
        state.now = soon;
        state.scans_paused_until = Some(soon + POLL);
        assert!(matches!(decide(&state), Decision::Sleep(_)));
        state.scans_paused_until = None;
        state.is_out = true;
        assert!(matches!(decide(&state), Decision::Sleep(_)));
        state.is_out = false;
        assert!(matches!(decide(&state), Decision::Send(Job::Detail(..), _)));
    }

    #[test]
    fn what_is_known_to_have_changed_comes_before_what_was_never_read() {
        let mut state = state(&[window(0, 699)]);
        state.canary = Some(8);
        state.follow.push(group("ongoing"));
        state.vanished.push_back(CallKey::Id(9));
        state.wanted.push(at(100)..=at(199));
        state.count = Some(at(0)..=at(400));
        let expected = [
            Job::Canary(8),
            Job::OpenCalls(group("ongoing")),
            Job::Call(CallKey::Id(9)),
            Job::Range(at(100)..=at(199)),
            Job::Count(at(0)..=at(400)),
            Job::Range(at(700)..=at(999)),
        ];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn of_four_requests_for_history_each_kind_has_its_turn() {
        let mut state = state(&[window(0, 699)]);
        state.follow.push(group("ongoing"));
        state.reread_before = Some(at(1));
        let job = |turn| {
            state.turn = turn;
            match decide(&state) {
                Decision::Send(job, _) => job,
                Decision::Sleep(_) => panic!("nothing to do"),
            }
        };
        let jobs: Vec<_> = (0..4).map(job).collect();
        let expected = [
            Job::OpenCalls(group("ongoing")),
            Job::Range(at(700)..=at(999)),
            Job::OpenCalls(group("ongoing")),
            Job::Range(at(0)..=at(699)),
        ];
        assert_eq!(jobs, expected);
    }

    #[test]
    fn no_range_is_asked_for_before_a_form_of_dates_is_known_to_be_right() {
        let mut state = state(&[]);
        state.follow.push(group("ongoing"));
        state.wanted.push(at(100)..=at(199));
        state.count = Some(at(0)..=at(400));
        state.asked.push_back(CallKey::Id(1).into());
        let probe = Job::DateFormat(at(1000), DateForm::NAIVE);
        state.dates = Some((at(1000), DateForm::NAIVE));
        assert_eq!(order(state), [probe, Job::Call(CallKey::Id(1))]);
    }

    #[test]
    fn a_window_that_is_due_takes_its_neighbours_along_while_they_fit_one_page() {
        let rows = |from, to, rows, seq| Window {
            rows,
            verified: Verified {
                at: at(seq),
                seq: 1,
            },
            ..window(from, to)
        };
        let mut state = state(&[
            rows(0, 99, 500, 50),
            rows(100, 199, 300, 50),
            rows(200, 299, 1, 50),
            rows(300, 399, 400, 50),
            rows(400, 499, 1, 60),
            rows(500, 999, 900, 60),
        ]);
        state.reread_before = Some(at(51));
        // What was just compared is not read along.
        let expected = [Job::Range(at(0)..=at(299)), Job::Range(at(300)..=at(399))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn a_window_that_is_busy_does_not_keep_the_others_from_their_turn() {
        let mut state = state(&[window(0, 99), window(100, 100), window(101, 999)]);
        state.reread_before = Some(at(1));
        let mut crowd = SameInstantGroup::new(at(100), PAGE_LIMIT);
        let counted = Verified { at: at(1), seq: 2 };
        crowd.absorb(counted, &crate::upstream::Answer::Count(2000), state.now);
        state.crowds.insert(at(100), crowd);
        state.under_way.push((1, Job::SameInstant(at(100))));
        let expected = [Job::Range(at(0)..=at(99)), Job::Range(at(101)..=at(999))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn an_upstream_that_is_out_is_asked_one_thing_at_a_time() {
        let mut state = state(&[]);
        state.is_out = true;
        state.head_at = None;
        state.asked.push_back(CallKey::Id(1).into());
        assert_eq!(order(state), [Job::Head]);
    }

    #[test]
    fn hints_bring_the_head_forward_but_not_more_than_once_a_second() {
        let mut state = state(&[window(0, 999)]);
        state.hinted_head = true;
        assert_eq!(decide(&state), Decision::Sleep(state.now + HINTED_HEAD));
        state.now += HINTED_HEAD;
        assert!(matches!(decide(&state), Decision::Send(Job::Head, _)));
    }

    #[test]
    fn nothing_is_read_before_it_is_known_whose_key_it_is() {
        let mut state = state(&[]);
        state.identified = false;
        state.asked.push_back(CallKey::Id(1).into());
        assert_eq!(order(state), [Job::Identify]);
    }

    #[test]
    fn a_pause_holds_back_everything_and_a_pause_of_scans_only_history() {
        let mut state = state(&[]);
        let until = state.now + Duration::from_secs(3);
        state.head_at = None;
        state.asked.push_back(CallKey::Id(1).into());
        state.paused_until = Some(until);
        assert_eq!(decide(&state), Decision::Sleep(until));
        state.paused_until = Some(state.now);
        state.scans_paused_until = Some(until);
        state.follow.push(group("ongoing"));
        assert_eq!(order(state), [Job::Head, Job::Call(CallKey::Id(1))]);
    }

    #[test]
    fn after_three_requests_for_clients_history_has_its_turn() {
        let mut state = state(&[]);
        state.asked.push_back(CallKey::Id(1).into());
        state.clients_in_a_row = 3;
        let expected = [Job::Range(at(0)..=at(999)), Job::Call(CallKey::Id(1))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn a_complete_replica_sleeps_until_the_next_poll() {
        let mut state = state(&[window(0, 999)]);
        assert_eq!(decide(&state), Decision::Sleep(state.now + POLL));
        state.now += POLL;
        assert!(matches!(decide(&state), Decision::Send(Job::Head, _)));
    }

    #[test]
    fn what_is_being_read_is_not_read_again() {
        let mut state = state(&[]);
        state.under_way.push((1, Job::Range(at(300)..=at(600))));
        let expected = [Job::Range(at(601)..=at(999)), Job::Range(at(0)..=at(299))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn the_fill_asks_from_its_newest_end_and_for_no_lower_bound_at_the_beginning_of_time() {
        let state = state(&[]);
        let list = |job| match request(&view(&state), &job) {
            Some(Request::List(query)) => (query.from, query.to, query.skip, query.limit),
            other => panic!("{other:?}"),
        };
        let fill = |from| Job::Range(from..=at(9));
        assert_eq!(
            list(fill(Timestamp::MIN)),
            (None, Some(at(9)), 0, PAGE_LIMIT)
        );
        assert_eq!(list(fill(at(5))), (Some(at(5)), Some(at(9)), 0, PAGE_LIMIT));
        assert_eq!(list(Job::Head), (None, None, 0, PAGE_LIMIT));
    }
}
