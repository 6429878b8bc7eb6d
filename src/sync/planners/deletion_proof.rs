//! Deletion by proof: what a suspect must go through before it is removed.
//!
//! A round requests some suspects by id. If the upstream denies them by its own 404, a *canary*,
//! another stored call that is no suspect, must still be found, and the key's organization be the
//! same; both are requested after the denials. Only then are the denied calls removed. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Verified;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

/// How many suspects a round requests.
pub const AT_ONCE: usize = 20;

/// Up to this many suspects under a hold are each requested, of more a sample. Lists that leave out
/// a call that is not deleted may do so twice, and a sample can miss it.
pub const EACH: u64 = 200;

/// The wait after a round without a result.
const REST: Duration = Duration::from_secs(30);

/// The round is given up after this many missing canaries, which may be deleted calls too.
const MOST_CANARIES: usize = 5;

/// One round.
#[derive(Debug)]
struct Round {
    /// True if these suspects stand for all, which are too many to request each.
    sample: bool,
    unanswered: BTreeSet<i64>,
    denied: BTreeMap<i64, Verified>,
    /// True if the upstream returned one of them after all.
    disproved: bool,
    /// True if the request for one of them failed.
    failed: bool,
}

/// What a round proved.
#[derive(Debug, PartialEq, Eq)]
pub enum Proven {
    /// These calls are deleted.
    Gone(Vec<(i64, Verified)>),
    /// All suspects are deleted: every one of the sample was denied.
    AllGone,
}

#[derive(Debug, Default)]
pub struct DeletionProof {
    round: Option<Round>,
    /// The call that is requested as a canary.
    canary: Option<i64>,
    /// The request that found the latest canary.
    canary_found_at: Option<Verified>,
    missing: usize,
    /// No round and no canary starts before this.
    rest_until: Option<Instant>,
}

impl DeletionProof {
    pub fn is_idle(&self, now: Instant) -> bool {
        self.round.is_none() && self.is_rested(now)
    }

    /// Whether a canary may be requested.
    pub fn is_rested(&self, now: Instant) -> bool {
        self.rest_until.is_none_or(|until| until <= now)
    }

    pub fn end_rest(&mut self) {
        self.rest_until = None;
    }

    pub fn begin(&mut self, suspects: Vec<i64>, sample: bool) {
        self.round = (!suspects.is_empty()).then(|| Round {
            sample,
            unanswered: suspects.into_iter().collect(),
            denied: BTreeMap::new(),
            disproved: false,
            failed: false,
        });
    }

    /// The suspects that are not answered yet.
    pub fn unanswered(&self) -> impl Iterator<Item = i64> {
        self.round
            .iter()
            .flat_map(|round| round.unanswered.iter().copied())
    }

    /// Takes in that the upstream returned a call.
    pub fn found(&mut self, id: i64) {
        if let Some(round) = &mut self.round
            && (round.unanswered.remove(&id) || round.denied.remove(&id).is_some())
        {
            round.disproved = true;
        }
    }

    pub fn denied(&mut self, id: i64, request: Verified) {
        if let Some(round) = &mut self.round
            && round.unanswered.remove(&id)
        {
            round.denied.insert(id, request);
        }
    }

    pub fn failed(&mut self, id: i64) {
        if let Some(round) = &mut self.round {
            round.failed |= round.unanswered.remove(&id);
        }
    }

    /// The last denial, after which a canary has to be found; `None` while a suspect is unanswered.
    fn needs_canary(&self) -> Option<u64> {
        let round = self.round.as_ref()?;
        if !round.unanswered.is_empty() {
            return None;
        }
        round.denied.values().map(|request| request.seq).max()
    }

    /// Whether the round waits for a canary to be chosen.
    pub fn lacks_canary(&self) -> bool {
        self.canary.is_none()
            && self
                .needs_canary()
                .is_some_and(|after| !self.has_canary(after))
    }

    pub fn choose_canary(&mut self, id: i64) {
        self.canary = Some(id);
    }

    pub fn canary(&self) -> Option<i64> {
        self.canary
    }

    pub fn canary_next(&self, context: &Context<'_>) -> Step {
        let job = self.canary.map(Job::Canary);
        Step::send(job.and_then(|job| context.idle(job)))
    }

    fn has_canary(&self, after: u64) -> bool {
        self.canary_found_at
            .is_some_and(|canary_found_at| canary_found_at.seq > after)
    }

    pub fn canary_found(&mut self, request: Verified) {
        self.canary = None;
        self.missing = 0;
        self.canary_found_at = Some(request);
    }

    pub fn canary_missing(&mut self, now: Instant) {
        self.canary = None;
        self.missing += 1;
        if self.missing >= MOST_CANARIES {
            self.give_up(now);
        }
    }

    /// Ends the round without a result.
    pub fn give_up(&mut self, now: Instant) {
        self.round = None;
        self.canary = None;
        self.missing = 0;
        self.rest_until = Some(now + REST);
    }

    /// The request number after which the organization has to be confirmed for the round to end.
    pub fn needs_identity(&self) -> Option<u64> {
        self.needs_canary()
    }

    /// What is proven, once a canary was found and the organization confirmed by requests after the
    /// last denial. `identified` is the number of the request that confirmed it, `None` where the
    /// upstream names none. `vouched`: the operator's release replaces the canary.
    pub fn conclude(
        &mut self,
        identified: Option<u64>,
        vouched: bool,
        now: Instant,
    ) -> Option<Proven> {
        let round = self.round.as_ref()?;
        if !round.unanswered.is_empty() {
            return None;
        }
        let spoiled = round.sample && (round.disproved || round.failed);
        let Some(after) = self.needs_canary().filter(|_| !spoiled) else {
            // A suspect that was returned is none any more, which needs no rest.
            let rests = round.failed || round.sample;
            self.round = None;
            self.rest_until = rests.then(|| now + REST);
            return None;
        };
        let identified = identified.is_none_or(|seq| seq > after);
        if !identified || !(vouched || self.has_canary(after)) {
            return None;
        }
        let round = self.round.take()?;
        Some(match round.sample {
            true => Proven::AllGone,
            false => Proven::Gone(round.denied.into_iter().collect()),
        })
    }

    /// Whether a sample was disproved: not everything that is missing is deleted.
    pub fn is_disproved(&self) -> bool {
        self.round
            .as_ref()
            .is_some_and(|round| round.sample && round.disproved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn request(seq: u64) -> Verified {
        Verified {
            at: Timestamp::from_micros(0),
            seq,
        }
    }

    fn gone(ids: &[(i64, u64)]) -> Option<Proven> {
        let ids = ids.iter().map(|(id, seq)| (*id, request(*seq)));
        Some(Proven::Gone(ids.collect()))
    }

    #[test]
    fn a_denial_counts_only_with_a_canary_and_an_identity_that_came_after_it() {
        let now = Instant::now();
        let mut proof = DeletionProof::default();
        proof.canary_found(request(1));
        proof.begin(vec![7, 8], false);
        proof.denied(7, request(2));
        assert!(!proof.lacks_canary(), "8 is not answered");
        proof.denied(8, request(3));
        assert!(proof.lacks_canary());
        proof.choose_canary(99);
        assert_eq!(proof.conclude(None, false, now), None);
        proof.canary_found(request(4));
        assert_eq!(
            proof.conclude(Some(3), false, now),
            None,
            "identified too early"
        );
        assert_eq!(proof.conclude(Some(5), false, now), gone(&[(7, 2), (8, 3)]));
        assert!(proof.is_idle(now));
    }

    #[test]
    fn what_answers_or_fails_is_not_removed() {
        let now = Instant::now();
        let mut proof = DeletionProof::default();
        proof.begin(vec![1, 2, 3], false);
        proof.denied(1, request(1));
        proof.found(2);
        proof.failed(3);
        proof.canary_found(request(2));
        assert_eq!(proof.conclude(None, false, now), gone(&[(1, 1)]));
    }

    #[test]
    fn a_denial_that_is_taken_back_is_none() {
        let now = Instant::now();
        let mut proof = DeletionProof::default();
        proof.begin(vec![1], false);
        proof.denied(1, request(1));
        proof.found(1);
        proof.canary_found(request(2));
        assert_eq!(proof.conclude(None, false, now), None);
        assert!(proof.is_idle(now));
    }

    #[test]
    fn a_sample_stands_for_all_only_if_every_one_is_denied() {
        let now = Instant::now();
        for spoil in [DeletionProof::found, DeletionProof::failed] {
            let mut proof = DeletionProof::default();
            proof.begin(vec![1, 2], true);
            proof.denied(1, request(1));
            spoil(&mut proof, 2);
            proof.canary_found(request(2));
            assert_eq!(proof.conclude(None, true, now), None);
            assert!(!proof.is_idle(now) && proof.is_idle(now + REST));
        }
        let mut proof = DeletionProof::default();
        proof.begin(vec![1, 2], true);
        proof.denied(1, request(1));
        proof.denied(2, request(2));
        assert_eq!(proof.conclude(None, false, now), None);
        assert_eq!(proof.conclude(None, true, now), Some(Proven::AllGone));
    }

    #[test]
    fn where_no_canary_sings_the_round_is_given_up_for_a_while() {
        let now = Instant::now();
        let mut proof = DeletionProof::default();
        proof.begin(vec![1], false);
        proof.denied(1, request(1));
        for canary in 0..MOST_CANARIES as i64 {
            assert!(proof.lacks_canary());
            proof.choose_canary(canary);
            proof.canary_missing(now);
        }
        assert!(!proof.is_idle(now) && proof.is_idle(now + REST));
        assert_eq!(proof.conclude(None, false, now), None);
    }
}
