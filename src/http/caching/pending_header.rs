//! The header of a call with changes that the upstream does not have yet.

use actix_web::http::header::{HeaderName, HeaderValue};

use crate::sync::PendingWrites;

/// The ids of the changes that the text shows and the upstream does not have yet.
pub const PENDING: HeaderName = HeaderName::from_static("burki-edge-pending");

/// The value of [`PENDING`]; `None` if no change of the call waits.
pub fn pending_ids(pending: &PendingWrites, call_id: i64) -> Option<HeaderValue> {
    let ids: Vec<String> = (pending.write_ids(call_id))
        .map(|id| id.to_string())
        .collect();
    let value = HeaderValue::try_from(ids.join(", ")).ok();
    value.filter(|_| !ids.is_empty())
}
