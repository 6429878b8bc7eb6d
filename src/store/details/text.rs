//! The texts of details: one for each kind of a call.

use rusqlite::Transaction;

use crate::model::{Detail, Timestamp, Verified, text_hash};

/// A stored detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDetail {
    /// The upstream's JSON text; transcripts include interim ones.
    pub body: String,
    /// First 64 bits of the body's SHA-256.
    pub body_hash: i64,
    /// When this was known to be the upstream's text.
    pub seen_at: Timestamp,
    /// True if the call had ended before the request, and still has: no change is expected.
    pub ended: bool,
}

/// One answer about one kind of a call's details.
#[derive(Debug)]
pub struct DetailObservation {
    pub request: Verified,
    /// The highest number of any request so far.
    pub newest_seq: u64,
    pub call_id: i64,
    pub kind: Detail,
    /// `None` if the upstream has nothing of this kind.
    pub body: Option<Box<str>>,
}

/// Stores the text and returns the number of texts added. That of a call that is not stored is left
/// out: it would outlive the call.
pub fn write(
    transaction: &Transaction<'_>,
    learned: &DetailObservation,
    body: &str,
) -> rusqlite::Result<u64> {
    let (id, kind, request) = (learned.call_id, learned.kind.as_str(), learned.request);
    let stored_call = transaction
        .prepare_cached("SELECT 1 FROM details WHERE call_id = ?1 AND kind = ?2")?
        .exists((id, kind))?;
    let written = transaction
        .prepare_cached(
            // `open = 0` has to be older than the request: the call must not have ended meanwhile.
            "INSERT INTO details (call_id, kind, seen_at, request_seq, ended, body_hash, body)
             SELECT id, ?2, ?3, ?4, open = 0 AND request_seq < ?4, ?5, ?6 FROM calls WHERE id = ?1
             ON CONFLICT (call_id, kind) DO UPDATE SET seen_at = ?3, request_seq = ?4,
                 ended = excluded.ended, body_hash = ?5, body = ?6
             WHERE request_seq <= ?4",
        )?
        .execute((
            id,
            kind,
            request.at.as_micros(),
            request.seq,
            text_hash(body),
            body,
        ))?;
    Ok(u64::from(written > 0 && !stored_call))
}
