//! What the upstream denies while it answers the rest: single calls, kinds of details, counts,
//! history. Each is paused by itself, for as long as the upstream asks, and logged once. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{CallKey, Detail};
use crate::sync::plan::job::Job;

/// A denial that was not repeated for this long is forgotten.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// At most this many denials are remembered per part.
const MOST: usize = 1000;

/// A part of the calls API that can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiPart {
    Assistants,
    History,
    Counts,
    Calls,
    Details(Detail),
    Changes,
}

impl ApiPart {
    /// `None` for jobs that stand for the whole upstream.
    pub fn of(job: &Job) -> Option<ApiPart> {
        Some(match job {
            Job::Identify | Job::KeyWitness(_) | Job::Head | Job::Feed => return None,
            Job::Assistants(_) => ApiPart::Assistants,
            Job::Range(_) | Job::SameInstant(_) | Job::OpenCalls(_) | Job::DateFormat(..) => {
                ApiPart::History
            }
            Job::Total | Job::Count(_) => ApiPart::Counts,
            Job::Call(_) | Job::Canary(_) => ApiPart::Calls,
            Job::Detail(_, kind) => ApiPart::Details(*kind),
            Job::Review(_) | Job::Write(_) => ApiPart::Changes,
        })
    }

    /// The part's name in logs and status.
    pub fn name(self) -> &'static str {
        match self {
            ApiPart::Assistants => "assistants",
            ApiPart::History => "older pages of the list",
            ApiPart::Counts => "counts",
            ApiPart::Calls => "some calls by id",
            ApiPart::Details(kind) => kind.as_str(),
            ApiPart::Changes => "changes of metadata",
        }
    }
}

/// What of a part is denied: all of it, or one call's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PartKey {
    All,
    Id(i64),
    Sid(String),
}

impl PartKey {
    fn job(job: &Job) -> PartKey {
        match job {
            Job::Detail(id, _) | Job::Canary(id) | Job::Call(CallKey::Id(id)) => PartKey::Id(*id),
            Job::Call(CallKey::Sid(sid)) => PartKey::Sid(sid.clone()),
            _ => PartKey::All,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Denial {
    last: Instant,
    /// The end of a pause that the upstream asked for.
    rest_until: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct Denials {
    parts: BTreeMap<ApiPart, BTreeMap<PartKey, Denial>>,
}

impl Denials {
    /// Notes a denial, and the pause it asked for. Returns whether the part was not denied before.
    pub fn denied(&mut self, job: &Job, retry_after: Option<Duration>, now: Instant) -> bool {
        let Some(part) = ApiPart::of(job) else {
            return false;
        };
        let denials = self.parts.entry(part).or_default();
        denials.retain(|_, denial| {
            now.duration_since(denial.last) < REMEMBERED
                || denial.rest_until.is_some_and(|until| until > now)
        });
        let is_news = denials.is_empty();
        if denials.len() < MOST || denials.contains_key(&PartKey::job(job)) {
            let rest_until = retry_after.map(|wait| now + wait);
            let denial = Denial {
                last: now,
                rest_until,
            };
            denials.insert(PartKey::job(job), denial);
        }
        is_news
    }

    /// Notes an answer. Returns the part if nothing of it is denied any more.
    pub fn answered(&mut self, job: &Job) -> Option<ApiPart> {
        let part = ApiPart::of(job)?;
        let denials = self.parts.get_mut(&part)?;
        denials.remove(&PartKey::job(job))?;
        if !denials.is_empty() {
            return None;
        }
        self.parts.remove(&part);
        Some(part)
    }

    /// Until when the upstream asked not to be sent this request.
    pub fn rest_until(&self, job: &Job, now: Instant) -> Option<Instant> {
        let denial = self
            .parts
            .get(&ApiPart::of(job)?)?
            .get(&PartKey::job(job))?;
        denial.rest_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_part_is_denied_once_and_answered_once_however_many_of_its_calls_are() {
        let now = Instant::now();
        let mut denials = Denials::default();
        let recording = |id| Job::Detail(id, Detail::Recordings);
        assert!(denials.denied(&recording(1), None, now));
        assert!(!denials.denied(&recording(2), None, now));
        assert!(!denials.denied(&recording(1), None, now));
        assert!(denials.denied(&Job::Call(CallKey::Id(1)), None, now));
        assert_eq!(denials.answered(&recording(3)), None, "was never denied");
        assert_eq!(denials.answered(&recording(2)), None);
        let part = ApiPart::Details(Detail::Recordings);
        assert_eq!(denials.answered(&recording(1)), Some(part));
        assert!(denials.denied(&recording(1), None, now + 2 * REMEMBERED));
        assert!(denials.denied(&recording(2), None, now + 4 * REMEMBERED));
    }

    /// A part is logged as denied once, however far apart its denials are.
    #[test]
    fn what_is_to_rest_for_long_stays_denied_for_as_long() {
        let now = Instant::now();
        let point = |id| Job::Call(CallKey::Id(id));
        for (rest, is_news) in [(3 * REMEMBERED, false), (REMEMBERED, true)] {
            let mut denials = Denials::default();
            assert!(denials.denied(&point(1), Some(rest), now));
            assert_eq!(denials.denied(&point(2), None, now + REMEMBERED), is_news);
        }
    }

    #[test]
    fn no_more_than_so_many_are_remembered_and_those_are_kept_up_to_date() {
        let now = Instant::now();
        let mut denials = Denials::default();
        let point = |id| Job::Call(CallKey::Id(id));
        for id in 0..=MOST as i64 {
            denials.denied(&point(id), Some(MINUTE), now);
        }
        assert_eq!(denials.rest_until(&point(MOST as i64), now), None);
        denials.denied(&point(0), Some(2 * MINUTE), now);
        let rest = denials.rest_until(&point(0), now);
        assert_eq!(rest, Some(now + 2 * MINUTE));
    }

    #[test]
    fn each_part_has_a_name_of_its_own_in_the_log() {
        let jobs = [
            Job::Call(CallKey::Sid("CA1".to_owned())),
            Job::Total,
            Job::Detail(1, Detail::Recordings),
            Job::Write(1),
        ];
        let names: Vec<_> = jobs
            .iter()
            .filter_map(ApiPart::of)
            .map(ApiPart::name)
            .collect();
        assert!(names.iter().all(|name| name.len() > 4), "{names:?}");
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn a_call_that_is_asked_for_by_its_sid_is_one_of_its_own() {
        let now = Instant::now();
        let mut denials = Denials::default();
        let sid = |sid: &str| Job::Call(CallKey::Sid(sid.to_owned()));
        denials.denied(&sid("CA1"), Some(MINUTE), now);
        assert_eq!(denials.rest_until(&sid("CA1"), now), Some(now + MINUTE));
        assert_eq!(denials.rest_until(&sid("CA2"), now), None);
    }

    #[test]
    fn what_is_to_rest_rests_by_itself() {
        let now = Instant::now();
        let mut denials = Denials::default();
        let (one, other) = (Job::Call(CallKey::Id(1)), Job::Call(CallKey::Id(2)));
        denials.denied(&one, Some(MINUTE), now);
        assert_eq!(denials.rest_until(&one, now), Some(now + MINUTE));
        assert_eq!(denials.rest_until(&one, now + MINUTE), None);
        assert_eq!(denials.rest_until(&other, now), None);
        assert_eq!(denials.rest_until(&Job::Head, now), None);
    }
}
