//! When a window of coverage is revalidated: the older its calls, the more rarely, but never later
//! than `sync.reconcile_interval` after the last time.

use std::time::Duration;

use crate::model::{NEVER, Timestamp, Window};
use crate::sync::knowledge::ranges::{INSTANT, Range};
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::sync::settings::Settings;

/// A window is revalidated after this part of its calls' age.
const PART_OF_AGE: u32 = 20;

/// The shortest and the longest interval of revalidation.
#[derive(Clone, Copy, Debug)]
pub struct RevalidationPolicy {
    pub poll_interval: Duration,
    pub reconcile_interval: Duration,
}

impl RevalidationPolicy {
    pub fn of(settings: &Settings) -> RevalidationPolicy {
        RevalidationPolicy {
            poll_interval: settings.poll_interval,
            reconcile_interval: settings.reconcile_interval,
        }
    }

    /// How long a call that started `age` ago may go unverified.
    pub fn interval(&self, age: Duration) -> Duration {
        (age / PART_OF_AGE).clamp(self.poll_interval, self.reconcile_interval)
    }

    /// How late a window's revalidation is, as a multiple of its interval; below 1 it is early.
    pub fn lateness(&self, window: &Window, now: Timestamp) -> f64 {
        let interval = self.interval(now.since(window.to));
        now.since(window.verified.at).as_secs_f64() / interval.as_secs_f64()
    }

    /// How long another edge's changes take to arrive here: a poll, and one that failed.
    pub fn relay(&self) -> Duration {
        2 * self.poll_interval + Duration::from_secs(60)
    }

    /// How long a change may stay unseen while the upstream answers and everything was read once:
    /// the longest interval, two polls for the plan to notice its end and for a deletion to be
    /// proven, and the time for every window's requests within the budget, at half of its pace
    /// since the head goes first.
    pub fn bound(&self, windows: usize, requests_per_minute: u32) -> Duration {
        const PROOF: usize = 60;
        let requests = u32::try_from(2 * windows + PROOF).unwrap_or(u32::MAX);
        let spent = Duration::from_secs(120).saturating_mul(requests) / requests_per_minute.max(1);
        self.reconcile_interval + 2 * self.poll_interval + spent
    }
}

/// A window that is this late may be revalidated along with one that is due.
const SOON: f64 = 0.5;

/// Neighbouring windows are read as one up to this share of a page, so that the next revalidation
/// is one request too, with room to grow.
const JOINED: (usize, usize) = (9, 10);

/// The window that is due, the latest first, or unreadable rows that are to be tried again. Windows
/// that were verified before `reread_before` are due whatever their age.
pub fn next(context: &Context<'_>, reread_before: Option<Timestamp>, page_limit: usize) -> Step {
    if context.date_form.is_none() {
        return Step::Nothing;
    }
    let now = context.now.wall - context.list_age;
    let due = Due {
        context,
        policy: RevalidationPolicy::of(context.settings),
        now,
        // A window that is read before then would have to be read once more.
        reread_before: reread_before.filter(|at| *at <= now),
        page_limit,
    };
    let range = || due.latest().map(Job::Range);
    Step::send(unreadable(context).or_else(range))
}

/// A hole that is to be tried again; calls without a start are read as a group instead.
fn unreadable(context: &Context<'_>) -> Option<Job> {
    let now = context.now.instant;
    let mut holes = context.unreadable.holes().iter();
    let hole = holes.find(|hole| hole.next_try <= now && *hole.range.end() != NEVER)?;
    context.idle(Job::Range(hole.range.clone()))
}

/// What decides which window is due.
struct Due<'a> {
    context: &'a Context<'a>,
    policy: RevalidationPolicy,
    now: Timestamp,
    reread_before: Option<Timestamp>,
    page_limit: usize,
}

impl Due<'_> {
    fn latest(&self) -> Option<Range> {
        let windows = self.context.coverage.windows();
        let mut late: Vec<(f64, usize)> = (windows.iter().enumerate())
            .filter(|(_, window)| self.is_revalidated(window))
            .map(|(place, window)| (self.lateness(window), place))
            .filter(|(late, _)| *late >= 1.0)
            .collect();
        late.sort_by(|a, b| b.0.total_cmp(&a.0));
        late.into_iter().find_map(|(_, place)| {
            let own = windows[place].from..=windows[place].to;
            match self.context.is_free(&own) {
                true => Some(self.joined(windows, place)),
                false => self.context.free(own).into_iter().next(),
            }
        })
    }

    /// As a multiple of the window's interval.
    fn lateness(&self, window: &Window) -> f64 {
        let reread = self
            .reread_before
            .is_some_and(|before| window.verified.at < before);
        let late = self.policy.lateness(window, self.now);
        if reread { late.max(1.0) } else { late }
    }

    fn is_revalidated(&self, window: &Window) -> bool {
        !window.open_ended && window.from != NEVER && window.to >= self.context.since
    }

    /// A window with as many of its neighbours as fit one page. A neighbour that was just
    /// revalidated is left out: if the page is cut after all, what is due lies below the cut.
    fn joined(&self, windows: &[Window], place: usize) -> Range {
        let most = self.page_limit * JOINED.0 / JOINED.1;
        let (mut first, mut last) = (place, place);
        let mut rows = windows[place].rows;
        let joins = |rows: usize, window: &Window| {
            rows + window.rows <= most
                && self.is_revalidated(window)
                && self.lateness(window) >= SOON
                && self.context.is_free(&(window.from..=window.to))
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Verified;

    const PACE: RevalidationPolicy = RevalidationPolicy {
        poll_interval: Duration::from_secs(10),
        reconcile_interval: Duration::from_secs(86_400),
    };

    const DAY: u64 = 86_400;

    #[test]
    fn the_older_the_rarer_between_a_poll_and_the_reconcile_interval() {
        for (age, interval) in [
            (0, 10),
            (200, 10),
            (3600, 180),
            (DAY, DAY / 20),
            (20 * DAY, DAY),
            (1000 * DAY, DAY),
        ] {
            let interval = Duration::from_secs(interval);
            assert_eq!(PACE.interval(Duration::from_secs(age)), interval, "{age}");
        }
    }

    #[test]
    fn a_window_is_late_once_its_interval_is_over() {
        let now = Timestamp::from_micros(0);
        let window = |age: u64, unverified: u64| Window {
            from: Timestamp::MIN,
            to: now - Duration::from_secs(age),
            verified: Verified {
                at: now - Duration::from_secs(unverified),
                seq: 1,
            },
            rows: 1,
            open_ended: false,
        };
        assert!(PACE.lateness(&window(3600, 179), now) < 1.0);
        assert!(PACE.lateness(&window(3600, 180), now) >= 1.0);
        assert!(PACE.lateness(&window(1000 * DAY, DAY - 1), now) < 1.0);
        assert!(PACE.lateness(&window(1000 * DAY, DAY), now) >= 1.0);
    }

    /// The cost that the README states: N/1000 requests a day, and the recent tail.
    #[test]
    fn a_million_calls_at_rest_cost_what_the_formula_says() {
        // 2,000 calls a day: a window holds half a day of them.
        let half_day = DAY / 2;
        let per_day: f64 = (1..1000_u64)
            .map(|place| PACE.interval(Duration::from_secs(place * half_day)))
            .map(|interval| DAY as f64 / interval.as_secs_f64())
            .sum();
        assert!(per_day < 1200.0, "{per_day}");
        let polls = DAY as f64 / 10.0;
        assert!(polls + per_day < 12_000.0);
    }
}
