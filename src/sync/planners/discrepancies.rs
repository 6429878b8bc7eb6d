//! Ranges in which the upstream counts another number of calls than is stored: they are read again.

use std::ops::RangeInclusive;

use crate::model::Timestamp;
use crate::sync::knowledge::ranges::{Range, without};
use crate::sync::plan::context::Context;
use crate::sync::plan::step::Step;
use crate::sync::planners::count_bisection::Discrepancy;

#[derive(Debug, Default)]
pub struct Discrepancies {
    pub ranges: Vec<Discrepancy>,
    /// The range below a page, which is read to find out whether the page was cut.
    pub below_a_cut: Option<RangeInclusive<Timestamp>>,
}

impl Discrepancies {
    pub fn next(&self, context: &Context<'_>) -> Step {
        if context.date_form.is_none() {
            return Step::Nothing;
        }
        let mut ranges = self.ranges.iter();
        Step::send(ranges.find_map(|found| context.read(found.range.clone())))
    }

    /// Whether a range with a discrepancy overlaps this one.
    pub fn meet(&self, read: &Range) -> bool {
        let overlaps = |found: &Discrepancy| {
            found.range.start() <= read.end() && read.start() <= found.range.end()
        };
        self.ranges.iter().any(overlaps)
    }

    /// Resolves the discrepancies in a range that was read, and of whose calls `new` were new.
    pub fn resolve(&mut self, read: &Range, new: usize) {
        let new = i64::try_from(new).unwrap_or(i64::MAX);
        let before = std::mem::take(&mut self.ranges);
        self.ranges = before
            .into_iter()
            .flat_map(|found| {
                let apart = read.end() < found.range.start() || found.range.end() < read.start();
                let difference = found.difference - if apart { 0 } else { new };
                let rest = without(&found.range, read);
                rest.map(move |range| Discrepancy { range, difference })
            })
            .collect();
    }
}
