//! What the upstream tells of a call beside its record: one text a kind.

use rusqlite::Transaction;

use crate::model::{Detail, Timestamp, Verified, text_hash};

/// A detail as the replica holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDetail {
    /// The upstream's JSON text; transcripts with interim ones.
    pub body: String,
    /// First 64 bits of the body's SHA-256.
    pub body_hash: i64,
    /// It was the upstream's then.
    pub seen_at: Timestamp,
    /// The call has ended, and had when it was asked for: what comes after is late, not new.
    pub ended: bool,
}

/// What one answer says of one kind.
#[derive(Debug)]
pub struct DetailObservation {
    pub request: Verified,
    /// The highest number given to any request.
    pub newest_seq: u64,
    pub call_id: i64,
    pub kind: Detail,
    /// `None`: the upstream tells nothing of the kind.
    pub body: Option<Box<str>>,
}

/// Returns how many texts more are held. One of a call that is not held is not kept: it would
/// outlive the call.
pub fn write(
    transaction: &Transaction<'_>,
    learned: &DetailObservation,
    body: &str,
) -> rusqlite::Result<u64> {
    let (id, kind, request) = (learned.call_id, learned.kind.as_str(), learned.request);
    let held = transaction
        .prepare_cached("SELECT 1 FROM details WHERE call_id = ?1 AND kind = ?2")?
        .exists((id, kind))?;
    let written = transaction
        .prepare_cached(
            // The call was known to have ended before this was asked for, not meanwhile.
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
    Ok(u64::from(written > 0 && !held))
}
