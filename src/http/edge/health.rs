//! The endpoints for load balancers and orchestrators. They need no token, so they show nothing of
//! the data.

use std::error::Error;
use std::sync::atomic::Ordering;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::CallKey;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The process runs and answers. A failing sync is no reason to restart it: the replica is still
/// served.
pub fn alive() -> HttpResponse {
    answer(StatusCode::OK, "alive", None)
}

/// Whether the edge has what it needs to answer: the file, and in it all of the configured history,
/// or as much of it as the upstream can send.
pub fn ready(worker: &Worker) -> HttpResponse {
    let reason = match worker.reader().call(&CallKey::Id(0)) {
        Err(error) => {
            tracing::error!(
                error = &error as &dyn Error,
                "the replica could not be read"
            );
            Some("the replica's file can't be read; the log says why")
        }
        Ok(_) if worker.status().file_is_moved => Some(
            "the replica's file was removed, replaced or overwritten; put it back, or restart the \
             edge",
        ),
        Ok(_) if worker.shared().damage.load(Ordering::Relaxed) => {
            Some("the replica's file is damaged; put a copy in its place, and restart the edge")
        }
        Ok(_) if !worker.has_read_all() => {
            Some("not all calls within sync.history were read from the upstream yet")
        }
        Ok(_) => None,
    };
    match reason {
        Some(_) => answer(StatusCode::SERVICE_UNAVAILABLE, "not ready", reason),
        None => answer(StatusCode::OK, "ready", None),
    }
}

fn answer(code: StatusCode, status: &'static str, reason: Option<&'static str>) -> HttpResponse {
    respond::own_response(code, &Health { status, reason })
}
