//! How the upstream reads dates, which is found by requesting calls whose start is known. Pure.
//!
//! A bound may be taken for UTC in one spelling and for local time in the other. And what a server
//! writes to the millisecond it may store, and compare, to the microsecond: then `from` = `to` =
//! the instant that was read finds nothing. Both would lose calls silently, so no range is
//! requested before known calls were found by their start.

use crate::model::{Timestamp, Unit};
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::upstream::{DateForm, Spelling};

/// How many starts have to be found before the known form is kept although the newest page has a
/// coarser unit: one instant in a thousand is a whole millisecond by chance.
const PROOFS: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Probe {
    /// The starts to find, in order.
    starts: Vec<Timestamp>,
    found: usize,
    form: DateForm,
    /// The forms to try after that.
    others: Vec<DateForm>,
    unit: Unit,
}

/// What is known of how dates are read.
#[derive(Clone, Debug)]
pub struct DateFormat {
    known: Option<DateForm>,
    probe: Option<Probe>,
    /// The form in which ranges were last requested.
    former: Option<DateForm>,
    /// The finest unit of any text since the known form was proven.
    finest: Unit,
    /// The coarsest unit in which all starts of the newest page are whole.
    newest: Unit,
}

/// What an answer to a probe means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// Another start or form is to be tried.
    GoesOn,
    /// A form is known, and ranges were not requested in another one before.
    Known,
    /// A form is known that reads bounds otherwise: what was read before may be incomplete.
    Changed,
    /// No form finds the calls.
    Nothing,
}

impl DateFormat {
    /// `finest` is the finest unit of the stored texts: the newest page may have none of those, and
    /// bounds that are widened by a coarser unit leave them out.
    pub fn of_texts(finest: Unit) -> DateFormat {
        DateFormat {
            known: None,
            probe: None,
            former: None,
            finest,
            newest: Unit::SECOND,
        }
    }

    /// The form in which to request ranges.
    pub fn form(&self) -> Option<DateForm> {
        self.known
    }

    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// The start and form to try next, if there is a probe.
    pub fn probe(&self) -> Option<(Timestamp, DateForm)> {
        let probe = self.probe.as_ref()?;
        Some((*probe.starts.get(probe.found)?, probe.form))
    }

    pub fn next(&self, context: &Context<'_>) -> Step {
        let probe = self.probe();
        let job = probe.map(|(instant, form)| Job::DateFormat(instant, form));
        Step::send(job.and_then(|job| context.idle(job)))
    }

    /// Takes in the starts of the newest page, newest first. A probe starts where no form is known,
    /// and where these starts are of a coarser unit than those before.
    pub fn head_read(&mut self, starts: &[Timestamp]) {
        let Some(unit) = starts.iter().map(|start| start.unit()).min() else {
            return;
        };
        let coarser = unit > std::mem::replace(&mut self.newest, unit);
        if self.probe.is_some() || (self.known.is_some() && !coarser) {
            return;
        }
        // A start of a coarser unit may be found in a wrong form by chance.
        let telling = starts.iter().rev().find(|start| start.unit() == unit);
        let others = starts.iter().rev().filter(|start| Some(*start) != telling);
        let finer = self.finest < unit;
        let proofs = match self.known.is_some() || finer {
            true => PROOFS,
            false => 1,
        };
        let mut starts: Vec<_> = telling.into_iter().chain(others).copied().collect();
        starts.dedup();
        starts.truncate(proofs);
        let spelled =
            |unit| [Spelling::Zoned, Spelling::Naive].map(|spelling| DateForm { spelling, unit });
        let mut others = Vec::from(spelled(unit));
        // The page may be whole in its unit by chance: the finest known unit is tried first.
        if finer && self.known.is_none() {
            others.extend(spelled(self.finest));
        }
        let form = self.known.take().or_else(|| others.pop());
        self.probe = form.map(|form| Probe {
            starts,
            found: 0,
            form,
            others,
            unit,
        });
    }

    /// Whether a start is finer than the unit that bounds are widened by. Dates are then read
    /// otherwise, and nothing may be concluded from what a range left out.
    pub fn is_refuted_by(&self, mut starts: impl Iterator<Item = Timestamp>) -> bool {
        let known = self.known.map(|form| form.unit);
        known.is_some_and(|unit| starts.any(|start| start.unit() < unit))
    }

    /// Takes in starts of any calls that were read. Returns whether they refute the known form.
    pub fn observe(&mut self, starts: impl Iterator<Item = Timestamp> + Clone) -> bool {
        let refuted = self.is_refuted_by(starts.clone());
        if refuted {
            self.known = None;
        }
        let finest = starts.map(Timestamp::unit).min();
        self.finest = finest.map_or(self.finest, |finest| finest.min(self.finest));
        refuted
    }

    /// Drops a probe that got no answer; the next head starts another.
    pub fn put_off(&mut self) {
        self.probe = None;
    }

    /// Takes in the answer to a probe, which found its call or did not.
    pub fn probed(&mut self, asked: (Timestamp, DateForm), found: bool) -> Probed {
        if self.probe() != Some(asked) {
            return Probed::GoesOn;
        }
        let Some(mut probe) = self.probe.take() else {
            return Probed::GoesOn;
        };
        if !found {
            // Where no form is left, the calls may be deleted: the next head offers others.
            let Some(form) = probe.others.pop() else {
                return Probed::Nothing;
            };
            (probe.form, probe.found) = (form, 0);
            self.probe = Some(probe);
            return Probed::GoesOn;
        }
        probe.found += 1;
        if probe.found < probe.starts.len() {
            self.probe = Some(probe);
            return Probed::GoesOn;
        }
        self.known = Some(probe.form);
        if probe.form.unit == probe.unit {
            self.finest = probe.unit;
        }
        match self.former.replace(probe.form) {
            Some(former) if former != probe.form => Probed::Changed,
            _ => Probed::Known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: i64 = 1000;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn nothing_held() -> DateFormat {
        DateFormat::of_texts(Unit::SECOND)
    }

    /// Probes until nothing is left to probe; `reads` says whether a start is found in a form.
    fn settle(
        dates: &mut DateFormat,
        reads: impl Fn(Timestamp, DateForm) -> bool,
    ) -> (usize, Probed) {
        let mut probes = 0;
        let mut last = Probed::GoesOn;
        while let Some(probe) = dates.probe() {
            last = dates.probed(probe, reads(probe.0, probe.1));
            probes += 1;
        }
        (probes, last)
    }

    fn exact(_: Timestamp, form: DateForm) -> bool {
        form.unit == Unit::MICROSECOND
    }

    fn to_the_millisecond(_: Timestamp, form: DateForm) -> bool {
        form.unit >= at(MILLI).unit()
    }

    #[test]
    fn a_start_to_the_microsecond_is_proof_by_itself() {
        let mut dates = nothing_held();
        dates.head_read(&[at(3_000_000), at(2_000_001), at(1_000_000)]);
        assert_eq!(dates.probe().unwrap().0, at(2_000_001));
        assert!(!dates.is_known());
        assert_eq!(settle(&mut dates, exact), (1, Probed::Known));
        assert!(dates.is_known());
        dates.head_read(&[at(3_000_007), at(2_000_001)]);
        assert_eq!(dates.probe(), None, "nothing more to be told");
    }

    #[test]
    fn bounds_are_widened_by_the_unit_of_the_texts() {
        let mut dates = nothing_held();
        dates.head_read(&[at(9 * MILLI), at(8 * MILLI)]);
        assert_eq!(settle(&mut dates, to_the_millisecond), (1, Probed::Known));
        let form = dates.form().unwrap();
        let bounds = form.bounds(Some(at(8 * MILLI + 1)), Some(at(9 * MILLI)));
        assert_eq!(bounds, (Some(at(9 * MILLI)), Some(at(10 * MILLI - 1))));
    }

    #[test]
    fn a_text_that_is_finer_than_was_thought_is_heeded_from_then_on() {
        let mut dates = nothing_held();
        dates.head_read(&[at(5_000_000)]);
        assert_eq!(settle(&mut dates, to_the_millisecond), (1, Probed::Known));
        assert_eq!(dates.form().unwrap().unit, Unit::SECOND);
        assert!(!dates.observe([at(4_000_000)].into_iter()));
        assert!(dates.observe([at(4_000_000), at(3_000_000 + MILLI)].into_iter()));
        assert!(!dates.is_known());
        // The newest page still has whole seconds alone.
        dates.head_read(&[at(5_000_000)]);
        assert_eq!(settle(&mut dates, to_the_millisecond), (1, Probed::Changed));
        assert_eq!(dates.form().unwrap().unit, at(MILLI).unit());
    }

    #[test]
    fn a_newest_page_that_is_coarser_by_chance_changes_nothing() {
        let mut dates = nothing_held();
        dates.head_read(&[at(1), at(0)]);
        settle(&mut dates, exact);
        let whole = [at(3 * MILLI), at(2 * MILLI), at(MILLI), at(0)];
        dates.head_read(&whole);
        assert_eq!(settle(&mut dates, exact), (3, Probed::Known));
        dates.head_read(&whole);
        assert_eq!(dates.probe(), None);
    }

    #[test]
    fn a_server_that_comes_to_write_a_coarser_unit_is_asked_otherwise() {
        let mut dates = nothing_held();
        dates.head_read(&[at(1), at(0)]);
        settle(&mut dates, exact);
        dates.head_read(&[at(3 * MILLI), at(2 * MILLI), at(MILLI)]);
        // The first start is a whole millisecond by chance.
        let reads = |start, form| start == at(MILLI) || to_the_millisecond(start, form);
        assert_eq!(settle(&mut dates, reads).1, Probed::Changed);
        assert_eq!(dates.form().unwrap().unit, at(MILLI).unit());
        assert!(!dates.observe([at(5 * MILLI)].into_iter()));
    }

    #[test]
    fn a_coarser_newest_page_is_probed_in_the_stored_unit_first() {
        let page = [at(5_000_000), at(4_000_000)];
        let mut dates = DateFormat::of_texts(Unit::MICROSECOND);
        dates.head_read(&page);
        assert_eq!(settle(&mut dates, exact), (2, Probed::Known));
        assert_eq!(dates.form().unwrap().unit, Unit::MICROSECOND);
        // A text is stored from when the server still wrote it to the microsecond.
        let mut dates = DateFormat::of_texts(Unit::MICROSECOND);
        dates.head_read(&page);
        let (_, probed) = settle(&mut dates, |_, form| form.unit == Unit::SECOND);
        assert_eq!(probed, Probed::Known);
        assert_eq!(dates.form().unwrap().unit, Unit::SECOND);
        assert!(!dates.observe(page.into_iter()));
    }

    /// A coarser unit that was proven is the first guess where the next proof broke off.
    #[test]
    fn a_proven_unit_is_tried_first_after_a_probe_that_got_no_answer() {
        let mut dates = DateFormat::of_texts(Unit::MICROSECOND);
        dates.head_read(&[at(2 * MILLI), at(MILLI)]);
        let (_, probed) = settle(&mut dates, |_, form| form.unit == at(MILLI).unit());
        assert_eq!(probed, Probed::Known);
        dates.head_read(&[at(5_000_000), at(4_000_000)]);
        assert_eq!(
            dates.probe().unwrap().1.unit,
            at(MILLI).unit(),
            "it is known"
        );
        dates.put_off();
        assert_eq!(dates.probe(), None);
        dates.head_read(&[at(5_000_000), at(4_000_000)]);
        assert_eq!(dates.probe().unwrap().1.unit, at(MILLI).unit());
    }

    #[test]
    fn where_no_date_form_finds_the_calls_none_is_known() {
        let mut dates = nothing_held();
        for _ in 0..3 {
            dates.head_read(&[at(2 * MILLI), at(MILLI)]);
            assert_eq!(settle(&mut dates, |_, _| false), (2, Probed::Nothing));
            assert!(!dates.is_known());
        }
    }
}
