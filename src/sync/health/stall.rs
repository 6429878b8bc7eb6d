//! Stalls: work that fails the same way again and again while everything else succeeds. It makes no
//! progress, and no outage explains it.
//!
//! Ranges are not counted here, since `planners::unreadable` narrows them down and reports them.
//! Nor are single calls, each of which is another request. Pure.

use std::collections::BTreeMap;

use crate::model::Timestamp;
use crate::sync::plan::job::Job;
use crate::upstream::ErrorKind;

/// This many failures in a row are a stall.
const MOST: u32 = 10;

/// A head that fails is read in shorter pages, and at last below the calls without a start. That
/// takes this many failures, and a new engine would have to start over.
const MOST_HEADS: u32 = 30;

/// What is requested again and again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    Identity,
    Head,
    DateFormat,
    Canary,
    Total,
    Count,
    OpenCalls(String),
    SameInstant(Timestamp),
}

impl Task {
    pub fn of(job: &Job) -> Option<Task> {
        Some(match job {
            Job::Identify | Job::KeyWitness(_) => Task::Identity,
            Job::Head | Job::Feed => Task::Head,
            Job::DateFormat(..) => Task::DateFormat,
            Job::Canary(_) => Task::Canary,
            Job::Total => Task::Total,
            Job::Count(_) => Task::Count,
            Job::OpenCalls(group) => Task::OpenCalls(group.status.clone()),
            Job::SameInstant(instant) => Task::SameInstant(*instant),
            Job::Call(_) | Job::Detail(..) | Job::Range(_) | Job::Assistants(_) => return None,
            Job::Review(_) | Job::Write(_) => return None,
        })
    }

    /// What makes no progress, in words without payload.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Identity => "whose key it is can't be confirmed",
            Task::Head => "the newest calls can't be read",
            Task::DateFormat => "how dates are read can't be found out",
            Task::Canary => "no call can be found that vouches for a deletion",
            Task::Total | Task::Count => "calls can't be counted",
            Task::OpenCalls(_) => "the calls of one open status can't be listed",
            Task::SameInstant(_) => "the calls of one instant can't be read",
        }
    }

    fn most(&self) -> u32 {
        match self {
            Task::Head => MOST_HEADS,
            _ => MOST,
        }
    }
}

/// A task that makes no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    pub task: Task,
    pub error: ErrorKind,
    pub failures: u32,
}

#[derive(Debug)]
struct Run {
    error: ErrorKind,
    failures: u32,
    /// True if something else succeeded since the last failure.
    others_go_well: bool,
}

#[derive(Debug, Default)]
pub struct StallDetector {
    runs: BTreeMap<Task, Run>,
}

impl StallDetector {
    /// Notes that an answer to this task was applied.
    pub fn succeeded(&mut self, task: Option<&Task>) {
        if let Some(task) = task {
            self.runs.remove(task);
        }
        for run in self.runs.values_mut() {
            run.others_go_well = true;
        }
    }

    /// Counts a failure if something else succeeded since the one before: otherwise it is an
    /// outage.
    pub fn failed(&mut self, task: Task, error: ErrorKind) -> Option<Stall> {
        let most = task.most();
        let run = self.runs.entry(task.clone()).or_insert(Run {
            error,
            failures: 0,
            others_go_well: true,
        });
        if run.error != error {
            (run.error, run.failures) = (error, 0);
        }
        run.failures += u32::from(run.others_go_well);
        run.others_go_well = false;
        (run.failures >= most).then_some(Stall {
            task,
            error,
            failures: run.failures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_of_one_kind_while_others_go_well_are_a_stall() {
        let mut stuck = StallDetector::default();
        let failed = |stuck: &mut StallDetector, error| {
            stuck.succeeded(Some(&Task::Head));
            stuck.failed(Task::Count, error)
        };
        for _ in 1..MOST {
            assert_eq!(failed(&mut stuck, ErrorKind::ServerError), None);
        }
        let stall = failed(&mut stuck, ErrorKind::ServerError).unwrap();
        assert_eq!((stall.task, stall.failures), (Task::Count, MOST));
        assert_eq!(failed(&mut stuck, ErrorKind::Timeout), None, "another way");
        stuck.succeeded(Some(&Task::Count));
        assert_eq!(failed(&mut stuck, ErrorKind::Timeout), None);
    }

    #[test]
    fn where_everything_fails_nothing_is_stuck() {
        let mut stuck = StallDetector::default();
        for _ in 0..1000 {
            for task in [Task::Head, Task::Count, Task::OpenCalls("ongoing".into())] {
                assert_eq!(stuck.failed(task, ErrorKind::Unreachable), None);
            }
        }
    }

    #[test]
    fn two_lists_are_two_tasks() {
        let mut stuck = StallDetector::default();
        let follow = |status: &str| Task::OpenCalls(status.to_owned());
        let mut stalled = None;
        for _ in 0..MOST {
            stuck.succeeded(Some(&follow("ringing")));
            stalled = stuck.failed(follow("ongoing"), ErrorKind::BadAnswer);
        }
        assert!(stalled.is_some());
    }
}
