//! Whether a key that is new to the file belongs to the file's organization, where the upstream
//! does not name the key's: a stored call is requested by id, which the key of any other
//! organization is denied. Until one is found, nothing is read for the file, and clients with the
//! key are not answered. Pure.

use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;

/// After this many missing calls the key is another organization's: one or two may be deleted.
const MOST: usize = 5;

#[derive(Debug, Default)]
pub struct KeyWitness {
    wanted: bool,
    /// The call that is requested.
    witness: Option<i64>,
    missing: usize,
}

impl KeyWitness {
    /// Starts the search: the key is new, and the upstream does not name its organization.
    pub fn begin(&mut self) {
        self.wanted = true;
    }

    pub fn lacks_witness(&self) -> bool {
        self.wanted && self.witness.is_none()
    }

    pub fn choose(&mut self, witness: i64) {
        self.witness = Some(witness);
    }

    /// Requests the witness, and lets nothing else be sent while there is one.
    pub fn next(&self, context: &Context<'_>) -> Step {
        let Some(id) = self.witness else {
            return Step::Nothing;
        };
        Step::send_or_stop(context.idle(Job::KeyWitness(id)), context.next_poll())
    }

    /// Notes that the witness was found: the key is the file's organization's.
    pub fn found(&mut self) {
        *self = KeyWitness::default();
    }

    /// Notes that the upstream has no such call for this key. Returns whether the key is now taken
    /// for another organization's. Other calls are still requested, in case the key is corrected.
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
