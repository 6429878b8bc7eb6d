//! The upstream request of each job.

use crate::model::{CallKey, Timestamp};
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::planners::Planners;
use crate::sync::planners::feed::UpstreamKind;
use crate::sync::planners::same_instant::group::SameInstantGroup;
use crate::sync::planners::unreadable::Narrowed;
use crate::upstream::{ListQuery, Request};

/// The request of a job; `None` where its concern was given up meanwhile.
pub fn request(planners: &Planners, job: &Job) -> Option<Request> {
    let page_limit = planners.page_size.limit();
    let list = |from, to, status, limit| {
        Request::List(ListQuery {
            from,
            to,
            status,
            skip: 0,
            limit,
        })
    };
    Some(match job {
        Job::Identify => Request::Identity(planners.identity.identity_endpoint),
        Job::Head => Request::List(planners.head.page.query()),
        Job::DateFormat(instant, _) => {
            let limit = planners.head.page.limit();
            list(Some(*instant), Some(*instant), None, limit)
        }
        Job::Assistants(skip) => Request::Assistants { skip: *skip },
        Job::Call(key) => Request::Call(key.clone()),
        Job::Detail(id, kind) => Request::Detail(*id, *kind),
        Job::KeyWitness(id) | Job::Canary(id) => Request::Call(CallKey::Id(*id)),
        Job::Total => Request::Count {
            from: None,
            to: None,
        },
        Job::Count(range) => Request::Count {
            from: Some(*range.start()),
            to: Some(*range.end()),
        },
        Job::OpenCalls(group) => {
            let status = Some(group.status.clone());
            list(Some(group.oldest), Some(group.newest), status, page_limit)
        }
        Job::Range(range) => {
            let from = Some(*range.start()).filter(|start| *start > Timestamp::MIN);
            let Narrowed { limit, skip } = planners.unreadable.narrowed(range);
            Request::List(ListQuery {
                from,
                to: Some(*range.end()),
                status: None,
                skip,
                limit,
            })
        }
        Job::Feed => match &planners.feed {
            UpstreamKind::Edge(cursor) => cursor.request(),
            UpstreamKind::Unknown { .. } => Request::Changes {
                after: planners.feed.resumes_after(),
                limit: page_limit,
            },
            UpstreamKind::Burki => return None,
        },
        Job::Review(_) | Job::Write(_) => planners.outbox.request(job)?,
        Job::SameInstant(instant) => {
            let group = planners.same_instant.groups.get(instant);
            group.map(SameInstantGroup::request)?
        }
    })
}

/// The first repetition that still has something to request.
pub fn repeated(planners: &Planners, context: &Context<'_>) -> Option<Job> {
    let mut jobs = context.in_flight.again().iter();
    jobs.find(|job| request(planners, job).is_some()).cloned()
}
