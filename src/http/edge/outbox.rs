//! `/edge/writes`: the changes of metadata that wait for the upstream, to be listed or dropped.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::error::ApiError;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::Timestamp;
use crate::store::{Conflict, Write};
use crate::sync::Dropped;

#[derive(Serialize)]
struct Writes<'a> {
    items: Vec<Item<'a>>,
    pending: usize,
    failed: usize,
    /// The last conflicts, oldest first.
    conflicts: Vec<Met<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    write_id: u64,
    call_id: i64,
    metadata: &'a RawValue,
    accepted_at: Timestamp,
    state: State,
    /// The reason of a failure.
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Pending,
    /// It may have arrived.
    Sent,
    Failed,
}

/// Keys that a change overwrote after another client had changed them. Values are not reported.
#[derive(Serialize)]
struct Met<'a> {
    write_id: u64,
    call_id: i64,
    keys: &'a [String],
    at: Timestamp,
}

impl<'a> Item<'a> {
    fn of(write: &'a Write) -> Option<Item<'a>> {
        Some(Item {
            write_id: write.write_id,
            call_id: write.call_id,
            metadata: serde_json::from_str(&write.metadata).ok()?,
            accepted_at: write.accepted_at,
            state: match (&write.failed, write.sent_at) {
                (Some(_), _) => State::Failed,
                (None, Some(_)) => State::Sent,
                (None, None) => State::Pending,
            },
            reason: write.failed.as_deref(),
        })
    }
}

impl<'a> Met<'a> {
    fn of(conflict: &'a Conflict) -> Met<'a> {
        Met {
            write_id: conflict.write_id,
            call_id: conflict.call_id,
            keys: &conflict.keys,
            at: conflict.found_at,
        }
    }
}

/// Answers `GET /edge/writes`.
pub fn list(worker: &Worker) -> Result<HttpResponse, ApiError> {
    let writes = worker.reader().writes()?;
    let conflicts = worker.reader().conflicts()?;
    let failed = writes.iter().filter(|write| write.failed.is_some()).count();
    let report = Writes {
        pending: writes.len() - failed,
        failed,
        items: writes.iter().filter_map(Item::of).collect(),
        conflicts: conflicts.iter().map(Met::of).collect(),
    };
    Ok(respond::own_response(StatusCode::OK, &report))
}

/// Answers `DELETE /edge/writes/{write_id}`, for callers who could have made the change.
pub async fn forget(worker: &Worker, id: &str) -> Result<HttpResponse, ApiError> {
    let id = id.parse().map_err(|_| ApiError::NoSuchWrite)?;
    match worker.shared().handle.drop_write(id).await {
        Dropped::Done => {
            let mut response = HttpResponse::new(StatusCode::NO_CONTENT);
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        Dropped::Unknown => Err(ApiError::NoSuchWrite),
        Dropped::BeingSent => Err(ApiError::BeingSent),
        Dropped::Unavailable => Err(ApiError::NotKept { retry_after: 5 }),
    }
}
