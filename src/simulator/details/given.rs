//! The part of a call's details that is stored.

use super::recording::Recording;
use super::transcript::Transcript;

/// The stored part of a call's details, which is not invented.
#[derive(Clone, Debug, Default)]
pub struct StoredDetails {
    pub transcripts: Option<Vec<Transcript>>,
    pub recordings: Option<Vec<Recording>>,
    /// How often the metrics were recalculated.
    pub recalculations: u64,
}
