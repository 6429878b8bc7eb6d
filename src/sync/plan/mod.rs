//! Decides the next request. Pure: the concerns' state and the current instant in, one decision
//! out.
//!
//! [`BURKI`] and [`EDGE`], with the tables that they name, are the whole order of urgency, from the
//! top down. The first concern that
//! has a request to send wins, and a stop lets nothing below it be sent; otherwise the engine
//! sleeps until the earliest instant that any concern named. Nothing else is sent, but for what a
//! client sends through the proxy with a permit.

pub mod context;
pub mod job;
pub mod request;
pub mod step;

use tokio::time::Instant;

use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::request::{repeated, request};
use crate::sync::plan::step::Step;
use crate::sync::planners::Planners;
use crate::sync::planners::revalidation;
use crate::sync::planners::shares::Turn;
use crate::upstream::Request;

type Rung = fn(&Planners, &Context<'_>) -> Step;

/// The ladder where the upstream is a Burki, or is not known yet.
const BURKI: &[Rung] = &[
    pauses,
    |p, _| p.backfill.continuation(p.misses.is_empty()),
    storage,
    |p, c| p.identity.witness.next(c),
    |p, c| p.feed.probe(c),
    |p, c| p.identity.next(c),
    retries,
    head,
    outage,
    |p, c| p.identity.confirm(c),
    |p, c| p.date_format.next(c),
    |p, c| p.assistants.next(c),
    shares,
    |p, c| p.head.next(c),
    spare,
];

/// The ladder where the upstream is another edge: it has a feed, so there is no history to read.
const EDGE: &[Rung] = &[
    pauses,
    storage,
    |p, c| p.identity.witness.next(c),
    retries,
    |p, c| p.feed.next(c, &p.head, p.identity.is_due),
    outage,
    clients,
    |p, c| p.deletion_proof.canary_next(c),
    |p, c| p.vanished.next(c),
    |p, c| p.details.next(c, p.head.read_at),
];

/// What clients wait for, and hints, which share their turn.
const CLIENTS: &[Rung] = &[
    |p, _| p.proxied.next(),
    |p, c| p.outbox.next(c),
    |p, c| p.misses.next(c),
    |p, c| p.hints.next(c),
];

/// What no client waits for, in the order of the turn.
const fn in_turn(turn: Turn) -> &'static [Rung] {
    match turn {
        Turn::Urgent => &[urgent, backfill, revalidate],
        Turn::Backfill => &[backfill, urgent, revalidate],
        Turn::Revalidation => &[revalidate, urgent, backfill],
    }
}

/// What is known to have changed.
const URGENT: &[Rung] = &[
    |p, c| p.deletion_proof.canary_next(c),
    |p, c| p.open_calls.next(c),
    |p, c| p.vanished.next(c),
    |p, c| p.discrepancies.next(c),
    |p, c| p.count_check.next(c),
];

/// What was never read.
const BACKFILL: &[Rung] = &[
    |p, c| p.same_instant.next(c),
    |p, c| {
        p.backfill
            .next(c, p.count_check.may_be_asked(c.now.instant))
    },
];

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Send(Job, Request),
    /// The proxied client request that has waited longest goes ahead.
    Permit,
    /// Nothing to do before this, unless something happens.
    Sleep(Instant),
}

/// The most urgent request that is not in flight.
pub fn decide(planners: &Planners, context: &Context<'_>) -> Decision {
    let ladder = match planners.feed.is_edge() {
        true => EDGE,
        false => BURKI,
    };
    let poll = context.next_poll();
    match climb(ladder, planners, context) {
        Step::Send(job) => match request(planners, &job) {
            Some(request) => Decision::Send(job, request),
            None => Decision::Sleep(poll),
        },
        Step::Permit => Decision::Permit,
        // A pause applies to the plan: a proxied client may find out by itself that the upstream is
        // out.
        Step::Stop(_) if planners.proxied.is_waiting() => Decision::Permit,
        Step::Stop(until) | Step::At(until) => Decision::Sleep(until),
        Step::Nothing => Decision::Sleep(poll),
    }
}

/// The first rung that sends or stops, or else the earliest instant that any of them named.
fn climb(ladder: &[Rung], planners: &Planners, context: &Context<'_>) -> Step {
    let mut wakes: Option<Instant> = None;
    let earliest = |wakes: Option<Instant>, at| Some(wakes.map_or(at, |wakes| wakes.min(at)));
    for rung in ladder {
        match rung(planners, context) {
            Step::Nothing => {}
            Step::At(at) => wakes = earliest(wakes, at),
            Step::Stop(until) => return Step::Stop(wakes.map_or(until, |wakes| wakes.min(until))),
            step @ (Step::Send(_) | Step::Permit) => return step,
        }
    }
    wakes.map_or(Step::Nothing, Step::At)
}

fn pauses(_: &Planners, c: &Context<'_>) -> Step {
    let until = c.is_paused(c.pauses.upstream);
    until.map_or(Step::Nothing, Step::Stop)
}

/// While nothing can be stored, clients are still answered.
fn storage(p: &Planners, c: &Context<'_>) -> Step {
    let Some(until) = c.is_paused(c.pauses.store) else {
        return Step::Nothing;
    };
    match p.misses.next(c) {
        Step::Send(job) if p.identity.is_known => Step::Send(job),
        _ => Step::Stop(until),
    }
}

fn retries(p: &Planners, c: &Context<'_>) -> Step {
    Step::send(repeated(p, c))
}

/// No head follows another while anything else is to be sent: where the budget allows little more
/// than the polls, every other request goes to the rest.
fn head(p: &Planners, c: &Context<'_>) -> Step {
    match p.shares.head_was_last && !c.pauses.is_out {
        true => Step::Nothing,
        false => p.head.next(c),
    }
}

/// One request at a time finds out whether an upstream that was out still is; and of an edge nothing
/// but the feed is read before its organization is known.
fn outage(p: &Planners, c: &Context<'_>) -> Step {
    let newest = match p.feed.is_edge() {
        true => Job::Feed,
        false => Job::Head,
    };
    match c.pauses.is_out || !p.identity.is_known {
        true => Step::Stop(p.head.due(c, &newest)),
        false => Step::Nothing,
    }
}

fn clients(p: &Planners, c: &Context<'_>) -> Step {
    climb(CLIENTS, p, c)
}

/// After three requests for clients comes one for history, however many clients wait.
fn shares(p: &Planners, c: &Context<'_>) -> Step {
    match p.shares.clients_go_first() {
        true => climb(&[clients, history], p, c),
        false => climb(&[history, clients], p, c),
    }
}

fn history(p: &Planners, c: &Context<'_>) -> Step {
    if let Some(until) = c.is_paused(c.pauses.history) {
        return Step::At(until);
    }
    if p.deletion_guard.is_list_doubted() {
        // Other pages of the list may be as wrong. One stored call that is found proves more.
        return p.deletion_proof.canary_next(c);
    }
    climb(in_turn(p.shares.turn()), p, c)
}

fn urgent(p: &Planners, c: &Context<'_>) -> Step {
    climb(URGENT, p, c)
}

fn backfill(p: &Planners, c: &Context<'_>) -> Step {
    climb(BACKFILL, p, c)
}

fn revalidate(p: &Planners, c: &Context<'_>) -> Step {
    let reread_before = p.deletion_guard.reread_before();
    revalidation::next(c, reread_before, p.page_size.limit())
}

/// Background details come last, and only while history is neither paused nor held.
fn spare(p: &Planners, c: &Context<'_>) -> Step {
    let is_held_up = c.is_paused(c.pauses.history).is_some() || p.deletion_guard.is_list_doubted();
    match is_held_up {
        true => Step::Nothing,
        false => p.details.next(c, p.head.read_at),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::model::{CallKey, Detail, KeyHash, Timestamp, Verified, Window};
    use crate::store::{DueDetails, OpenCalls, RowCounts};
    use crate::sync::clock::Now;
    use crate::sync::handle::messages::{FetchOutcome, Miss};
    use crate::sync::in_flight::{InFlight, StartTime};
    use crate::sync::knowledge::coverage::{Coverage, HeadRead};
    use crate::sync::knowledge::ranges::Range;
    use crate::sync::plan::context::Pauses;
    use crate::sync::planners::count_bisection::Discrepancy;
    use crate::sync::planners::feed::{FeedCursor, UpstreamKind};
    use crate::sync::planners::head::HINTED_AFTER;
    use crate::sync::planners::same_instant::group::SameInstantGroup;
    use crate::sync::settings::Settings;
    use crate::upstream::{DateForm, PAGE_LIMIT};

    const POLL: Duration = Duration::from_secs(10);

    /// A state to decide on: live, complete from 0 on, nothing in flight, the head just read.
    struct State {
        now: Instant,
        settings: Settings,
        coverage: Coverage,
        pauses: Pauses,
        in_flight: InFlight,
        plan: Planners,
        date_form: Option<DateForm>,
        /// The replies that clients wait for.
        replies: Vec<oneshot::Receiver<FetchOutcome>>,
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
        let settings = Settings {
            poll_interval: POLL,
            reconcile_interval: Duration::from_secs(3600),
            history: None,
            page_limit: PAGE_LIMIT,
            max_concurrency: 100,
            max_requests_per_minute: 60_000,
            details: BTreeSet::from([Detail::Recordings]),
            seed: 1,
        };
        let now = Instant::now() + Duration::from_secs(1000);
        let mut plan = Planners::new(&settings, KeyHash::of(""), now);
        plan.feed = UpstreamKind::Burki;
        plan.identity.is_known = true;
        plan.head.read_at = Some(now);
        plan.backfill.total = Some(5000);
        plan.details.take_batch(Vec::new(), None, at(0));
        State {
            now,
            in_flight: InFlight::new(&settings, 0),
            settings,
            coverage,
            pauses: Pauses::default(),
            plan,
            date_form: Some(DateForm::NAIVE),
            replies: Vec::new(),
        }
    }

    impl State {
        fn decide(&self) -> Decision {
            let wall = at(2000);
            let context = Context {
                now: Now {
                    instant: self.now,
                    wall,
                },
                settings: &self.settings,
                since: at(0),
                pauses: self.pauses,
                in_flight: &self.in_flight,
                list_age: Duration::ZERO,
                coverage: &self.coverage,
                unreadable: &self.plan.unreadable,
                same_instant: &self.plan.same_instant.groups,
                date_form: self.date_form,
            };
            decide(&self.plan, &context)
        }

        fn begin(&mut self, job: &Job) {
            let start = StartTime {
                now: self.now,
                wall: at(2000),
                put_back: Duration::ZERO,
            };
            assert!(self.in_flight.begin(job, start).is_ok());
        }

        fn ask(&mut self, miss: Miss) {
            let (reply, answer) = oneshot::channel();
            self.plan.misses.wait(miss, reply, FetchOutcome::NotFound);
            self.replies.push(answer);
        }

        fn differs(&mut self, range: Range) {
            let difference = 1;
            let found = Discrepancy { range, difference };
            self.plan.discrepancies.ranges.push(found);
        }

        /// Has everything read again that was verified before then.
        fn reread_before(&mut self, micros: i64) {
            let row_counts = RowCounts {
                calls: 1000,
                suspects: 900,
                tombstones: 0,
            };
            self.plan.deletion_guard.judge(row_counts, at(micros));
        }

        fn has_a_detail_due(&mut self) {
            let due = DueDetails {
                call_id: 5,
                started_at: None,
                again: false,
                answered: BTreeSet::new(),
                failures: 0,
            };
            self.plan.details.take_batch(vec![due], None, at(0));
        }

        /// As if this many requests for clients, and for history, had been sent.
        fn spent(&mut self, clients: usize, history: usize) {
            self.plan.shares = Default::default();
            (0..history).for_each(|_| self.plan.shares.history_was_sent());
            (0..clients).for_each(|_| self.plan.shares.client_was_sent());
        }
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
        state.plan.head.read_at = None;
        state.in_flight.repeat(Job::SameInstant(at(400)));
        state.in_flight.repeat(Job::Call(CallKey::Id(3)));
        assert_eq!(order(state)[..2], [Job::Call(CallKey::Id(3)), Job::Head]);
    }

    /// Everything the plan would send, in order, if nothing were ever answered.
    fn order(mut state: State) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Decision::Send(job, _) = state.decide() {
            state.begin(&job);
            jobs.push(job);
        }
        jobs
    }

    #[test]
    fn the_most_urgent_comes_first_and_nothing_comes_twice() {
        let mut state = state(&[window(500, 699)]);
        state.plan.head.read_at = None;
        state.plan.backfill.total = None;
        state.in_flight.repeat(Job::Call(CallKey::Id(3)));
        state.ask(Miss::Call(CallKey::Id(1)));
        state.ask(Miss::Detail(2, Detail::Messages));
        state.plan.vanished.push(CallKey::Id(9));
        state.plan.open_calls.groups.push(group("ongoing"));
        state.plan.same_instant.read_apart(at(400), PAGE_LIMIT);
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
        (state.plan.head.read_at, state.plan.shares.head_was_last) = (None, true);
        let expected = [Job::Range(at(700)..=at(999)), Job::Head];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn what_belongs_to_calls_comes_last_and_out_of_what_is_spare() {
        let mut state = state(&[window(0, 699)]);
        state.has_a_detail_due();
        let expected = [
            Job::Range(at(700)..=at(999)),
            Job::Detail(5, Detail::Recordings),
        ];
        assert_eq!(order(state), expected);

        let mut state = self::state(&[window(0, 999)]);
        state.has_a_detail_due();
        // Another detail failed, so details rest.
        state
            .plan
            .details
            .failed(7, Detail::Recordings, state.now, at(0));
        let Decision::Sleep(soon) = state.decide() else {
            panic!("it rests");
        };
        assert!(state.now < soon && soon < state.now + Duration::from_secs(2));
        state.now = soon;
        state.pauses.history = Some(soon + POLL);
        assert!(matches!(state.decide(), Decision::Sleep(_)));
        state.pauses.history = None;
        state.pauses.is_out = true;
        assert!(matches!(state.decide(), Decision::Sleep(_)));
        state.pauses.is_out = false;
        let decision = state.decide();
        assert!(matches!(decision, Decision::Send(Job::Detail(..), _)));
    }

    #[test]
    fn what_is_known_to_have_changed_comes_before_what_was_never_read() {
        let mut state = state(&[window(0, 699)]);
        state.plan.deletion_proof.choose_canary(8);
        state.plan.open_calls.groups.push(group("ongoing"));
        state.plan.vanished.push(CallKey::Id(9));
        state.differs(at(100)..=at(199));
        state.plan.count_check.begin(at(0)..=at(400), PAGE_LIMIT);
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
        state.plan.open_calls.groups.push(group("ongoing"));
        state.reread_before(1);
        let job = |turn| {
            state.spent(0, turn);
            match state.decide() {
                Decision::Send(job, _) => job,
                Decision::Permit | Decision::Sleep(_) => panic!("nothing to do"),
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
        state.plan.open_calls.groups.push(group("ongoing"));
        state.differs(at(100)..=at(199));
        state.plan.count_check.begin(at(0)..=at(400), PAGE_LIMIT);
        state.ask(Miss::Call(CallKey::Id(1)));
        state.date_form = None;
        state.plan.date_format.head_read(&[at(1000)]);
        let (start, form) = state.plan.date_format.probe().unwrap();
        let probe = Job::DateFormat(start, form);
        assert_eq!(order(state), [probe, Job::Call(CallKey::Id(1))]);
    }

    #[test]
    fn a_window_that_is_due_takes_its_neighbours_along() {
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
        state.reread_before(51);
        // The window that was just revalidated is not read along.
        let expected = [Job::Range(at(0)..=at(299)), Job::Range(at(300)..=at(399))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn a_window_that_is_busy_does_not_keep_the_others_from_their_turn() {
        let mut state = state(&[window(0, 99), window(100, 100), window(101, 999)]);
        state.reread_before(1);
        let mut group = SameInstantGroup::new(at(100), PAGE_LIMIT);
        let counted = Verified { at: at(1), seq: 2 };
        group.absorb(counted, &crate::upstream::Answer::Count(2000), state.now);
        state.plan.same_instant.groups.insert(at(100), group);
        state.begin(&Job::SameInstant(at(100)));
        let expected = [Job::Range(at(0)..=at(99)), Job::Range(at(101)..=at(999))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn an_upstream_that_is_out_is_asked_one_thing_at_a_time() {
        let mut state = state(&[]);
        state.pauses.is_out = true;
        state.plan.head.read_at = None;
        state.ask(Miss::Call(CallKey::Id(1)));
        assert_eq!(order(state), [Job::Head]);
    }

    #[test]
    fn hints_bring_the_head_forward_but_not_more_than_once_a_second() {
        let mut state = state(&[window(0, 999)]);
        state.plan.head.is_hinted = true;
        assert_eq!(state.decide(), Decision::Sleep(state.now + HINTED_AFTER));
        state.now += HINTED_AFTER;
        assert!(matches!(state.decide(), Decision::Send(Job::Head, _)));
    }

    #[test]
    fn nothing_is_read_before_it_is_known_whose_key_it_is() {
        let mut state = state(&[]);
        state.plan.identity.is_known = false;
        state.ask(Miss::Call(CallKey::Id(1)));
        assert_eq!(order(state), [Job::Identify]);
    }

    #[test]
    fn a_pause_holds_back_everything_and_a_pause_of_scans_only_history() {
        let mut state = state(&[]);
        let until = state.now + Duration::from_secs(3);
        state.plan.head.read_at = None;
        state.ask(Miss::Call(CallKey::Id(1)));
        state.pauses.upstream = Some(until);
        assert_eq!(state.decide(), Decision::Sleep(until));
        state.pauses.upstream = Some(state.now);
        state.pauses.history = Some(until);
        state.plan.open_calls.groups.push(group("ongoing"));
        assert_eq!(order(state), [Job::Head, Job::Call(CallKey::Id(1))]);
    }

    #[test]
    fn after_three_requests_for_clients_history_has_its_turn() {
        let mut state = state(&[]);
        state.ask(Miss::Call(CallKey::Id(1)));
        state.spent(3, 0);
        let expected = [Job::Range(at(0)..=at(999)), Job::Call(CallKey::Id(1))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn a_complete_replica_sleeps_until_the_next_poll() {
        let mut state = state(&[window(0, 999)]);
        assert_eq!(state.decide(), Decision::Sleep(state.now + POLL));
        state.now += POLL;
        assert!(matches!(state.decide(), Decision::Send(Job::Head, _)));
    }

    #[test]
    fn what_is_being_read_is_not_read_again() {
        let mut state = state(&[]);
        state.begin(&Job::Range(at(300)..=at(600)));
        let expected = [Job::Range(at(601)..=at(999)), Job::Range(at(0)..=at(299))];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn the_fill_asks_from_its_newest_end_without_a_lower_bound() {
        let state = state(&[]);
        let list = |job| match request(&state.plan, &job) {
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

    #[test]
    fn a_proxied_request_takes_a_clients_turn_and_any_pause() {
        let mut state = state(&[]);
        let (reply, _answer) = oneshot::channel();
        assert!(state.plan.proxied.wait(reply).is_ok());
        state.ask(Miss::Call(CallKey::Id(1)));
        assert_eq!(state.decide(), Decision::Permit);
        state.spent(3, 0);
        assert!(matches!(state.decide(), Decision::Send(Job::Range(_), _)));
        state.plan.head.read_at = None;
        assert!(matches!(state.decide(), Decision::Send(Job::Head, _)));
        state.pauses.upstream = Some(state.now + POLL);
        assert_eq!(state.decide(), Decision::Permit);
    }

    #[test]
    fn below_a_page_that_is_written_it_goes_on_unless_a_client_waits() {
        let mut state = state(&[window(0, 999)]);
        state.plan.head.read_at = None;
        state.plan.backfill.continuation = Some(at(3)..=at(4));
        let below = Job::Range(at(3)..=at(4));
        assert!(matches!(state.decide(), Decision::Send(job, _) if job == below));
        state.ask(Miss::Call(CallKey::Id(1)));
        assert!(matches!(state.decide(), Decision::Send(Job::Head, _)));
    }

    #[test]
    fn while_nothing_can_be_stored_only_clients_are_answered() {
        let mut state = state(&[]);
        let until = state.now + POLL;
        state.pauses.store = Some(until);
        state.plan.head.read_at = None;
        assert_eq!(state.decide(), Decision::Sleep(until));
        state.ask(Miss::Call(CallKey::Id(1)));
        assert_eq!(order(state), [Job::Call(CallKey::Id(1))]);
    }

    #[test]
    fn of_an_edge_the_feed_is_read_and_no_history() {
        let mut state = state(&[]);
        state.plan.feed = UpstreamKind::Edge(FeedCursor::new("ab".to_owned(), 7, 100, true, at(0)));
        state.plan.head.read_at = None;
        state.plan.open_calls.groups.push(group("ongoing"));
        state.plan.vanished.push(CallKey::Id(9));
        state.plan.deletion_proof.choose_canary(8);
        state.ask(Miss::Call(CallKey::Id(1)));
        state.has_a_detail_due();
        let expected = [
            Job::Feed,
            Job::Call(CallKey::Id(1)),
            Job::Canary(8),
            Job::Call(CallKey::Id(9)),
            Job::Detail(5, Detail::Recordings),
        ];
        assert_eq!(order(state), expected);
    }

    #[test]
    fn whether_the_upstream_is_an_edge_is_asked_before_whose_key_it_is() {
        let mut state = state(&[]);
        state.plan.feed = UpstreamKind::resume(None);
        state.plan.identity.is_known = false;
        assert!(matches!(state.decide(), Decision::Send(Job::Feed, _)));
        state.begin(&Job::Feed);
        assert_eq!(state.decide(), Decision::Sleep(state.now + POLL));
    }
}
