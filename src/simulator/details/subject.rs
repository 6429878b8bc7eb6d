//! The call that details are invented for.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::model::Timestamp;
use crate::simulator::invent::NAMES;
use crate::simulator::life::is_open;
use crate::simulator::record::{Flavour, Record};

/// The kinds of details. Each has random numbers of its own, so that one can change without the
/// others.
#[derive(Clone, Copy)]
pub enum Kind {
    Transcripts,
    Recordings,
    Messages,
    Metrics,
    Webhooks,
    Audio,
}

/// A call in its world, for which details are invented.
pub struct Subject<'a> {
    pub record: &'a Record,
    pub flavour: Flavour,
    pub seed: u64,
    pub now: Timestamp,
}

impl Subject<'_> {
    pub fn draw(&self, kind: Kind) -> StdRng {
        // Odd factors, so that neighbouring ids and kinds are far apart.
        let id = self.record.id.cast_unsigned();
        let seed = self.seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        StdRng::seed_from_u64(seed.wrapping_add((kind as u64).wrapping_mul(0xd1b5_4a32_d192_ed03)))
    }

    pub fn is_ended(&self) -> bool {
        !is_open(&self.record.status)
    }

    /// When the first detail was created; `None` for a call without a date.
    pub fn begin(&self) -> Option<Timestamp> {
        self.record.started_at.or(self.record.ended_at)
    }

    /// When the call ended, if that is known.
    pub fn end(&self) -> Option<Timestamp> {
        self.record.ended_at.filter(|_| self.is_ended())
    }

    /// The last instant that a detail of the call itself can have.
    pub fn last(&self) -> Timestamp {
        self.end().unwrap_or(self.now).min(self.now)
    }

    /// The id of the call's detail at `index`. No two calls share one.
    pub fn id(&self, index: usize) -> i64 {
        // A call has hundreds of details at most.
        self.record
            .id
            .wrapping_mul(1000)
            .wrapping_add(index as i64 + 1)
    }
}

/// A name with everything that is hard to encode.
pub fn name(rng: &mut StdRng) -> &'static str {
    NAMES[rng.random_range(0..NAMES.len())]
}
