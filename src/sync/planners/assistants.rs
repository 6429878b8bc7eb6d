//! The names of assistants, listed now and then from an upstream whose calls lack them. Pure.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Call;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::upstream::ASSISTANTS_LIMIT;

/// The time between two listings: a name seldom changes.
const INTERVAL: Duration = Duration::from_secs(3600);

/// The time between two listings where a call has an unknown assistant.
const SOON: Duration = Duration::from_secs(60);

/// The wait after a failure.
const REST: Duration = Duration::from_secs(300);

/// The wait where the server has no such list.
const NEVER_SOON: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug, Default)]
pub struct Assistants {
    /// Assistants that were listed or looked for already.
    known: HashSet<i64>,
    /// True if some call lacks its assistant's name.
    is_wanted: bool,
    /// How many the current pass has listed.
    skip: usize,
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Assistants {
    /// How many assistants come before the next page, if one is due.
    pub fn due(&self, now: Instant) -> Option<usize> {
        let is_due = self.is_wanted && self.due.is_none_or(|due| due <= now);
        is_due.then_some(self.skip)
    }

    pub fn next(&self, context: &Context<'_>) -> Step {
        let job = self.due(context.now.instant).map(Job::Assistants);
        Step::send(job.and_then(|job| context.idle(job)))
    }

    /// Takes in calls that were read: an unknown assistant brings the next listing forward.
    pub fn calls_read(&mut self, calls: &[Call]) {
        for call in calls.iter().filter(|call| !call.has_name_field) {
            let Some(id) = call.assistant_id else {
                continue;
            };
            self.is_wanted = true;
            if self.known.insert(id) {
                let soon = self.last.map(|last| last + SOON);
                self.due = self.due.zip(soon).map(|(due, soon)| due.min(soon));
            }
        }
    }

    /// Takes in a page; `None`: the server has no such list.
    pub fn listed(&mut self, page: Option<&[(i64, String)]>, now: Instant) {
        self.last = Some(now);
        let is_full = page.is_some_and(|page| page.len() >= ASSISTANTS_LIMIT);
        self.known
            .extend(page.into_iter().flatten().map(|(id, _)| *id));
        (self.skip, self.due) = match (page, is_full) {
            (Some(page), true) => (self.skip + page.len(), Some(now)),
            (Some(_), false) => (0, Some(now + INTERVAL)),
            (None, _) => (0, Some(now + NEVER_SOON)),
        };
    }

    pub fn failed(&mut self, now: Instant) {
        (self.skip, self.due) = (0, Some(now + REST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(assistant: i64, more: &str) -> Call {
        let text = format!(
            r#"{{"id":1,"call_sid":"CA1","status":"failed","assistant_id":{assistant}{more}}}"#
        );
        Call::from_json(&text).unwrap()
    }

    #[test]
    fn where_calls_name_their_assistants_those_are_not_asked_for() {
        let (mut assistants, now) = (Assistants::default(), Instant::now());
        assistants.calls_read(&[call(1, r#","assistant_name":null"#)]);
        assert_eq!(assistants.due(now), None);
        assistants.calls_read(&[call(1, "")]);
        assert_eq!(assistants.due(now), Some(0));
    }

    #[test]
    fn what_fails_or_is_not_there_is_asked_for_later_from_the_start() {
        let (mut assistants, now) = (Assistants::default(), Instant::now());
        assistants.calls_read(&[call(1, "")]);
        let page: Vec<_> = (0..100).map(|id| (id, String::new())).collect();
        assistants.listed(Some(&page), now);
        assistants.failed(now);
        assert_eq!(assistants.due(now + REST / 2), None);
        assert_eq!(assistants.due(now + REST), Some(0));
        assistants.listed(None, now);
        assert_eq!(assistants.due(now + NEVER_SOON / 2), None);
        assert_eq!(assistants.due(now + NEVER_SOON), Some(0));
    }

    #[test]
    fn a_full_page_is_gone_on_with_and_a_new_assistant_is_looked_for_soon() {
        let (mut assistants, now) = (Assistants::default(), Instant::now());
        assistants.calls_read(&[call(1, "")]);
        let page: Vec<_> = (0..100).map(|id| (id, String::new())).collect();
        assistants.listed(Some(&page), now);
        assert_eq!(assistants.due(now), Some(100));
        assistants.listed(Some(&[]), now);
        assert_eq!(assistants.due(now + SOON), None);
        assistants.calls_read(&[call(7, "")]);
        assert_eq!(assistants.due(now + SOON), None, "it is known");
        assistants.calls_read(&[call(700, "")]);
        assert_eq!(assistants.due(now + SOON / 2), None, "that soon");
        assert_eq!(assistants.due(now + SOON), Some(0));
        assistants.listed(Some(&[]), now + SOON);
        assistants.calls_read(&[call(700, "")]);
        assert_eq!(assistants.due(now + 2 * SOON), None, "it has no name");
        assert_eq!(assistants.due(now + SOON + INTERVAL), Some(0));
    }
}
