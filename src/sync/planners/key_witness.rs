//! Whether a key that is new to the file may speak for it, where the upstream does not tell whose
//! key it is: some call that is held is asked for by its id, which any key but that of its own
//! organization is denied. Until one is found, nothing is read for the file and nothing told to who
//! comes with the key. Pure.

use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

/// After so many calls that are held and not found, the key is another organization's. One or two
/// may have been deleted.
const MOST: usize = 5;

#[derive(Debug, Default)]
pub struct KeyWitness {
    wanted: bool,
    /// The call that is asked for.
    witness: Option<i64>,
    missing: usize,
}

impl KeyWitness {
    /// The key is new, and nobody else says whose it is.
    pub fn begin(&mut self) {
        self.wanted = true;
    }

    pub fn lacks_witness(&self) -> bool {
        self.wanted && self.witness.is_none()
    }

    pub fn choose(&mut self, witness: i64) {
        self.witness = Some(witness);
    }

    /// Asks for the witness, and lets nothing else be sent while there is one.
    pub fn next(&self, context: &Context<'_>) -> Step {
        let Some(id) = self.witness else {
            return Step::Nothing;
        };
        Step::send_or_stop(context.idle(Job::KeyWitness(id)), context.next_poll())
    }

    /// It was found: the key is theirs.
    pub fn found(&mut self) {
        *self = KeyWitness::default();
    }

    /// The upstream has no such call for this key. Returns whether that makes the key another
    /// organization's. Other calls are asked for all the same, one at a time: it may be put right.
    pub fn missing(&mut self) -> bool {
        self.witness = None;
        self.missing += 1;
        self.missing >= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_deleted_calls_do_not_make_a_key_another_organizations() {
        let mut vouching = KeyWitness::default();
        assert!(!vouching.lacks_witness());
        vouching.begin();
        for id in 1..MOST {
            assert!(vouching.lacks_witness());
            vouching.choose(id as i64);
            assert!(!vouching.lacks_witness() && vouching.witness == Some(id as i64));
            assert!(!vouching.missing());
        }
        vouching.choose(99);
        vouching.found();
        assert!(!vouching.lacks_witness() && vouching.witness.is_none());
    }

    #[test]
    fn none_that_is_found_does_and_others_are_asked_for() {
        let mut vouching = KeyWitness::default();
        vouching.begin();
        for id in 1..3 * MOST {
            vouching.choose(id as i64);
            assert_eq!(vouching.missing(), id >= MOST);
            assert!(vouching.lacks_witness());
        }
    }
}
