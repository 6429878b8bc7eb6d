//! How a job is asked.

use crate::model::{CallKey, Timestamp};
use crate::sync::plan::{Context, Job};
use crate::sync::planners::feed;
use crate::sync::planners::same_instant::SameInstantGroup;
use crate::sync::planners::unreadable::Narrowed;
use crate::upstream::{ListQuery, Request};

/// `None` for a crowd, or another edge, that is not there.
pub fn request(view: &Context<'_>, job: &Job) -> Option<Request> {
    let list = |from, to, status, limit| {
        Some(Request::List(ListQuery {
            from,
            to,
            status,
            skip: 0,
            limit,
        }))
    };
    match job {
        Job::Identify => Some(Request::Identity(view.teller)),
        Job::Head => {
            let from = view.newest.is_ranged().then_some(Timestamp::MIN);
            Some(Request::List(ListQuery {
                from,
                to: None,
                status: None,
                skip: view.newest.skip(),
                limit: view.newest.limit(),
            }))
        }
        Job::DateFormat(instant, _) => {
            list(Some(*instant), Some(*instant), None, view.newest.limit())
        }
        Job::Assistants(skip) => Some(Request::Assistants { skip: *skip }),
        Job::Call(key) => Some(Request::Call(key.clone())),
        Job::Detail(id, kind) => Some(Request::Detail(*id, *kind)),
        Job::KeyWitness(id) | Job::Canary(id) => Some(Request::Call(CallKey::Id(*id))),
        Job::Total => Some(Request::Count {
            from: None,
            to: None,
        }),
        Job::Count(range) => Some(Request::Count {
            from: Some(*range.start()),
            to: Some(*range.end()),
        }),
        Job::OpenCalls(group) => list(
            Some(group.oldest),
            Some(group.newest),
            Some(group.status.clone()),
            view.page_limit,
        ),
        Job::Range(range) => {
            let from = Some(*range.start()).filter(|start| *start > Timestamp::MIN);
            let Narrowed { limit, skip } = view.troubles.narrowed(range);
            Some(Request::List(ListQuery {
                from,
                to: Some(*range.end()),
                status: None,
                skip,
                limit,
            }))
        }
        Job::Feed => feed::changes(view),
        Job::Review(_) | Job::Write(_) => view.replay.request(job),
        Job::SameInstant(instant) => view.crowds.get(instant).map(SameInstantGroup::request),
    }
}

/// The first request to be repeated that still has something to ask: what it was for may have been
/// given up meanwhile, and nothing waits for it then.
pub fn repeated(view: &Context<'_>) -> Option<Job> {
    let mut jobs = view.again.iter();
    jobs.find(|job| request(view, job).is_some()).cloned()
}
