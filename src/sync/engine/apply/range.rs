//! One page of a range: of a gap, of a window that is revalidated, or of a discrepancy.

use std::ops::RangeInclusive;

use tokio::time::Instant;

use crate::model::{Timestamp, Verified, Window};
use crate::store::{Complete, Observation, Trust};
use crate::sync::engine::Engine;
use crate::sync::engine::apply::INSTANT;
use crate::sync::engine::apply::bad_answer;
use crate::sync::planners::count_bisection::Discrepancy;
use crate::sync::planners::page_extent::Reach;
use crate::sync::settings::ApplyError;
use crate::upstream::{CallSource, ListQuery, Page};

/// A page that leaves out more stored calls than this is read again before it is believed: that
/// costs one request, proving each deletion costs one each.
const DOUBTED_ABOVE: usize = 10;

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn apply_range(
        &mut self,
        range: &RangeInclusive<Timestamp>,
        query: &ListQuery,
        stamp: Verified,
        page: Page,
    ) -> Result<(), ApplyError> {
        let (start, end) = (*range.start(), *range.end());
        let now = self.now();
        self.planners.unreadable.answered(range);
        if query.skip > 0 {
            let tier = self.hole_rest(end);
            let below = page.calls.first().and_then(|call| call.started_at);
            self.planners
                .unreadable
                .stepped_over(range, query.skip, below, now.instant + tier);
            return self.apply_incomplete(stamp, page).await;
        }
        let rows = page.calls.len();
        let narrow = query.limit < self.planners.page_size.limit();
        let below = match self.planners.page_size.reach(query, &page) {
            Reach::Whole => None,
            Reach::Above(oldest) if oldest < end => {
                if !narrow {
                    // The next page is requested while this one is written.
                    self.continue_below(start..=oldest);
                }
                Some(oldest)
            }
            Reach::Above(_) if narrow && start < end => {
                self.planners.unreadable.read_instant(end);
                return self.apply_incomplete(stamp, page).await;
            }
            // No date bound separates calls that start at one instant.
            Reach::Above(_) => {
                self.read_apart(end, now.instant);
                return self.apply_incomplete(stamp, page).await;
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
            verified: stamp,
            rows: within.count(),
            open_ended: false,
        };
        let complete = Complete {
            started: Some(from..=end),
            without_start: false,
            listed: page.calls.iter().map(|call| call.id).collect(),
            belief: match self.planners.unreadable.is_doubted(range) {
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
            ..self.learned(stamp)
        };
        let Some(merged) = self.commit(learned, Some(coverage)).await else {
            return Ok(());
        };
        self.planners.note_explained(&(from..=end), merged.new);
        if merged.unbelieved > 0 {
            self.planners
                .unreadable
                .doubt(range, self.settings.poll_interval, now.instant);
            return Ok(());
        }
        self.planners.unreadable.read(range, below, now.instant);
        let more = self
            .planners
            .discrepancies
            .ranges
            .iter()
            .any(|found| found.range == *range && found.difference > 0);
        let below_a_cut = self
            .planners
            .discrepancies
            .below_a_cut
            .take_if(|below| below == range)
            .is_some();
        self.planners
            .discrepancies
            .resolve(&(from..=end), merged.new);
        if below_a_cut && merged.new > 0 {
            // The page was cut, and so may others have been.
            let coverage = self.forget_history();
            self.publish_coverage(coverage);
        } else if more
            && merged.new == 0
            && below.is_none()
            && !has_total
            && !narrow
            && !below_a_cut
            && let Some(oldest) = oldest
        {
            // The upstream counts more than it lists, so it may have cut the page. Reading below
            // the page shows whether it did.
            self.planners.page_size.was_cut_at(rows);
            self.planners.discrepancies.below_a_cut = Some(start..=oldest);
            self.planners.discrepancies.ranges.push(Discrepancy {
                range: start..=oldest,
                difference: 0,
            });
        }
        self.judge();
        Ok(())
    }

    /// Reads the calls that start at this instant as a same-instant group.
    pub(in crate::sync) fn read_apart(&mut self, instant: Timestamp, now: Instant) {
        let page_limit = self.planners.page_size.limit();
        self.planners.same_instant.read_apart(instant, page_limit);
        self.planners
            .unreadable
            .read(&(instant..=instant), None, now);
    }

    /// Stores the calls of a page that is not known to be complete.
    pub(in crate::sync) async fn apply_incomplete(
        &mut self,
        stamp: Verified,
        page: Page,
    ) -> Result<(), ApplyError> {
        let learned = Observation {
            calls: page.calls,
            ..self.learned(stamp)
        };
        self.commit(learned, None).await;
        Ok(())
    }
}
