//! What requests are for.

use std::ops::RangeInclusive;

use crate::model::{CallKey, Detail, NEVER, Timestamp};
use crate::store::OpenCalls;
use crate::sync::handle::messages::Miss;
use crate::upstream::DateForm;

type Range = RangeInclusive<Timestamp>;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// The key's organization.
    Identify,
    /// The newest page of the list.
    Head,
    /// The feed, where the upstream is another edge; the first one also shows whether it is.
    Feed,
    /// A probe of how dates in this form are read, by an instant at which a call is known to start.
    DateFormat(Timestamp, DateForm),
    /// A stored call by id, which only its own organization's key can read.
    KeyWitness(i64),
    /// A page of the list of assistants, after this many of them.
    Assistants(usize),
    /// One call: a client waits for it, a hint named it, or it left a list.
    Call(CallKey),
    /// A detail of a call: a client waits for it, or it is to be stored.
    Detail(i64, Detail),
    /// A stored call that the upstream should still have.
    Canary(i64),
    /// How many calls there are, where the list does not report it.
    Total,
    /// How many calls a range has.
    Count(Range),
    /// The open calls of one status below the head.
    OpenCalls(OpenCalls),
    /// A range, from its newest end.
    Range(Range),
    /// The next step of reading a same-instant group.
    SameInstant(Timestamp),
    /// The call of a waiting change, which is read before the change is sent.
    Review(u64),
    /// A waiting change.
    Write(u64),
}

impl Job {
    /// Whether it reads calls or their details, so that it can be sent again without harm.
    pub fn is_read(&self) -> bool {
        match self {
            Job::Identify | Job::KeyWitness(_) | Job::Assistants(_) | Job::Feed => false,
            Job::Review(_) | Job::Write(_) => false,
            Job::Head | Job::DateFormat(..) | Job::Call(_) | Job::Detail(..) | Job::Canary(_) => {
                true
            }
            Job::Total
            | Job::Count(_)
            | Job::OpenCalls(_)
            | Job::Range(_)
            | Job::SameInstant(_) => true,
        }
    }

    /// Whether the answer depends on how the upstream reads dates.
    pub fn depends_on_dates(&self) -> bool {
        match self {
            Job::Range(_) | Job::Count(_) | Job::OpenCalls(_) => true,
            Job::SameInstant(instant) => *instant != NEVER,
            _ => false,
        }
    }

    /// The job that fetches what a client waits for.
    pub fn for_client(miss: &Miss) -> Job {
        match miss {
            Miss::Call(key) => Job::Call(key.clone()),
            Miss::Detail(id, kind) => Job::Detail(*id, *kind),
        }
    }

    /// What clients may wait for, if this job fetches that.
    pub fn miss(&self) -> Option<Miss> {
        match self {
            Job::Call(key) => Some(Miss::Call(key.clone())),
            Job::Detail(id, kind) => Some(Miss::Detail(*id, *kind)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_says_whether_it_reads_and_depends_on_dates() {
        let range = Timestamp::MIN..=Timestamp::MAX;
        let group = OpenCalls {
            status: "ongoing".to_owned(),
            oldest: Timestamp::MIN,
            newest: Timestamp::MAX,
        };
        for (job, is_read, is_dated) in [
            (Job::Identify, false, false),
            (Job::Assistants(0), false, false),
            (Job::Feed, false, false),
            (Job::Review(1), false, false),
            (Job::Write(1), false, false),
            (Job::Head, true, false),
            (Job::Call(CallKey::Id(1)), true, false),
            (Job::Detail(1, Detail::Messages), true, false),
            (Job::Canary(1), true, false),
            (Job::Total, true, false),
            (Job::SameInstant(NEVER), true, false),
            (Job::SameInstant(Timestamp::MIN), true, true),
            (Job::Count(range.clone()), true, true),
            (Job::OpenCalls(group), true, true),
            (Job::Range(range), true, true),
        ] {
            let told = (job.is_read(), job.depends_on_dates());
            assert_eq!(told, (is_read, is_dated), "{job:?}");
        }
    }
}
