//! One page of a range: never read before, due again, or known to differ.

use std::ops::RangeInclusive;

use tokio::time::Instant;

use crate::model::{Timestamp, Verified, Window};
use crate::store::{Complete, Observation, Trust};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::INSTANT;
use crate::sync::engine::apply::bad_answer;
use crate::sync::plan::request;
use crate::sync::plan::{self, Job};
use crate::sync::planners::count_bisection::Discrepancy;
use crate::sync::planners::page_extent::Reach;
use crate::sync::planners::same_instant::SameInstantGroup;
use crate::sync::settings::ApplyError;
use crate::upstream::{CallSource, ListQuery, Page};

/// A page that leaves out more held calls than this is not believed at once: reading it again costs
/// one request, proving each of them gone one each.
const DOUBTED_ABOVE: usize = 10;

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn learn_range(
        &mut self,
        range: &RangeInclusive<Timestamp>,
        query: &ListQuery,
        request: Verified,
        page: Page,
    ) -> Result<(), ApplyError> {
        let (start, end) = (*range.start(), *range.end());
        let now = self.now();
        self.troubles.answered(range);
        if query.skip > 0 {
            let tier = self.hole_rest(end);
            let below = page.calls.first().and_then(|call| call.started_at);
            self.troubles
                .stepped_over(range, query.skip, below, now.instant + tier);
            return self.learn_loose(request, page).await;
        }
        let rows = page.calls.len();
        let narrow = query.limit < self.page_size.limit();
        let below = match self.page_size.reach(query, &page) {
            Reach::Whole => None,
            Reach::Above(oldest) if oldest < end => {
                if !narrow {
                    // The next page is asked for while this one is written.
                    self.read_on(start..=oldest);
                }
                Some(oldest)
            }
            Reach::Above(_) if narrow && start < end => {
                self.troubles.read_instant(end);
                return self.learn_loose(request, page).await;
            }
            // No bound can part calls that start at the same instant.
            Reach::Above(_) => {
                self.read_as_crowd(end, now.instant);
                return self.learn_loose(request, page).await;
            }
            Reach::Nowhere => return Err(bad_answer("an empty page of a range that is not empty")),
        };
        let from = below.map_or(start, |below| below + INSTANT);
        let within = page
            .calls
            .iter()
            .filter(|call| call.started_at >= Some(from));
        let window = Window {
            from,
            to: end,
            verified: request,
            rows: within.count(),
            open_ended: false,
        };
        let complete = Complete {
            started: Some(from..=end),
            without_start: false,
            listed: page.calls.iter().map(|call| call.id).collect(),
            belief: match self.troubles.is_doubted(range) {
                true => Trust::Whole,
                false => Trust::UpTo(DOUBTED_ABOVE),
            },
        };
        let has_total = page.total.is_some();
        let oldest = page.calls.last().and_then(|call| call.started_at);
        let mut coverage = (*self.coverage).clone();
        coverage.insert(window);
        let learned = Observation {
            calls: page.calls,
            complete: Some(complete),
            ..self.learned(request)
        };
        let Some(merged) = self.commit(learned, Some(coverage)).await else {
            return Ok(());
        };
        self.note_explained(&(from..=end), merged.new);
        if merged.unbelieved > 0 {
            self.troubles
                .doubt(range, self.settings.poll_interval, now.instant);
            return Ok(());
        }
        self.troubles.read(range, below, now.instant);
        let more = self
            .wanted
            .iter()
            .any(|found| found.range == *range && found.difference > 0);
        let below_a_cut = self.below_a_cut.take_if(|below| below == range).is_some();
        self.forget_wanted(from..=end, merged.new);
        if below_a_cut && merged.new > 0 {
            // It was cut, and so were others before.
            let coverage = self.forget_history();
            self.know(coverage);
        } else if more
            && merged.new == 0
            && below.is_none()
            && !has_total
            && !narrow
            && !below_a_cut
            && let Some(oldest) = oldest
        {
            // The upstream counts more than it lists: it may have cut the page. What it has below
            // its end tells.
            self.page_size.was_cut_at(rows);
            self.below_a_cut = Some(start..=oldest);
            self.wanted.push(Discrepancy {
                range: start..=oldest,
                difference: 0,
            });
        }
        self.judge();
        Ok(())
    }

    /// The calls that start at this instant are read page by page, until they agree with a count.
    pub(in crate::sync) fn read_as_crowd(&mut self, instant: Timestamp, now: Instant) {
        let page_limit = self.page_size.limit();
        self.crowds
            .entry(instant)
            .or_insert_with(|| SameInstantGroup::new(instant, page_limit));
        self.troubles.read(&(instant..=instant), None, now);
    }

    /// Calls of a page that is not known to be complete.
    pub(in crate::sync) async fn learn_loose(
        &mut self,
        request: Verified,
        page: Page,
    ) -> Result<(), ApplyError> {
        let learned = Observation {
            calls: page.calls,
            ..self.learned(request)
        };
        self.commit(learned, None).await;
        Ok(())
    }

    /// What was read is not looked for any more, nor are the calls that were new there.
    pub(in crate::sync) fn forget_wanted(&mut self, read: RangeInclusive<Timestamp>, new: usize) {
        let new = i64::try_from(new).unwrap_or(i64::MAX);
        let wanted = std::mem::take(&mut self.wanted);
        self.wanted = wanted
            .into_iter()
            .flat_map(|found| {
                let apart = read.end() < found.range.start() || found.range.end() < read.start();
                let difference = found.difference - if apart { 0 } else { new };
                plan::without(&found.range, &read)
                    .map(move |range| Discrepancy { range, difference })
            })
            .collect();
    }

    fn read_on(&mut self, range: RangeInclusive<Timestamp>) {
        if !self.clients.asked().is_empty() || self.is_paused() {
            return;
        }
        let job = Job::Range(range);
        let now = Instant::now();
        let view = self.view(now);
        if let Some(request) = request::request(&view, &job) {
            // Without room for it now, the plan finds the gap by itself.
            let _ = self.send(job, request, now);
        }
    }
}
