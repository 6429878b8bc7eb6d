//! `PATCH /api/v1/calls/{call_id}/metadata`: the upstream merges the change, and the result is
//! stored before the response is sent, so that the client reads what it wrote. While the upstream
//! can't be asked, an edge with `writes.queue` puts the change into the outbox, and answers 202
//! with the call as it will look.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::http::caching::freshness::{EntityTag, Freshness, Origin};
use crate::http::caching::pending_header::PENDING;
use crate::http::calls::metadata_body;
use crate::http::error::ApiError;
use crate::http::middleware::auth::Caller;
use crate::http::params::call_key;
use crate::http::passed_answer::Answer;
use crate::http::proxy;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::{Call, CallKey, text_hash};
use crate::store::NewWrite;
use crate::sync::{NotQueued, Permit, UpstreamState};

/// The largest body that is accepted, in bytes.
pub const LARGEST_BODY: usize = 1 << 20;

/// How long a client may take to send its body.
const DEADLINE: Duration = Duration::from_secs(30);

/// Forwards the change, and stores the call that results; or puts it into the outbox if the
/// upstream can't be asked and `writes.queue` is on.
pub async fn patch(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    payload: Payload,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let key = call_key::id_key(id);
    let body = read(payload).await?;
    let call_id = match key {
        Ok(CallKey::Id(call_id)) => call_id,
        Ok(CallKey::Sid(_)) => return Err(ApiError::UnknownPath),
        Err(failure) => return Err(refusal(failure, &body)),
    };
    let change = Change {
        call_id,
        body: body.clone(),
    };
    // Changes of the call that wait already come first.
    let waits = worker.shared().handle.pending().write_ids(call_id).next();
    if waits.is_some() || (worker.shared().most_waiting_writes.is_some() && is_offline(worker)) {
        let no_line = ApiError::NotPassed { retry_after: 5 };
        return change.keep(worker, false, no_line).await;
    }
    match proxy::change(worker, caller, request, body).await {
        Ok((permit, answer)) => Ok(learn(worker, permit, answer).await),
        Err(failure @ ApiError::NotPassed { .. }) => change.keep(worker, false, failure).await,
        Err(failure @ ApiError::Unanswered) => change.keep(worker, true, failure).await,
        Err(failure) => Err(failure),
    }
}

/// A parameter of the path and the body may both be invalid.
fn refusal(failure: ApiError, body: &[u8]) -> ApiError {
    match (failure, metadata_body::metadata(body)) {
        (ApiError::Invalid(mut problems), Err(problem)) => {
            problems.push(problem);
            ApiError::Invalid(problems)
        }
        (_, Err(problem)) => ApiError::Invalid(vec![problem]),
        (failure, Ok(_)) => failure,
    }
}

/// True if the last request showed that the upstream can't be asked. An edge that has sent none yet
/// does not know.
fn is_offline(worker: &Worker) -> bool {
    let status = worker.status();
    status.state == UpstreamState::Offline && status.consecutive_errors > 0
}

/// A change that a client requests.
struct Change {
    call_id: i64,
    body: Bytes,
}

impl Change {
    /// Puts it into the outbox; fails with `failure` if there is none.
    async fn keep(
        self,
        worker: &Worker,
        may_have_arrived: bool,
        failure: ApiError,
    ) -> Result<HttpResponse, ApiError> {
        let limit = worker.shared().most_waiting_writes.ok_or(failure)?;
        let metadata = metadata_body::metadata(&self.body);
        let new = NewWrite {
            call_id: self.call_id,
            metadata: metadata.map_err(|problem| ApiError::Invalid(vec![problem]))?,
            accepted_at: worker.now(),
            may_have_arrived,
            limit,
        };
        let retry_after = 5;
        match worker.shared().handle.queue_write(new).await {
            Ok((write_id, body)) => {
                let tag = EntityTag::new(text_hash(&body));
                let mut response = respond::own_text(StatusCode::ACCEPTED, body);
                let headers = response.headers_mut();
                tag.write(headers);
                headers.insert(PENDING, HeaderValue::from(write_id));
                Ok(response)
            }
            // It may have arrived, and that is what the client has to know.
            Err(_) if may_have_arrived => Err(ApiError::Unanswered),
            Err(NotQueued::Full) => Err(ApiError::QueueFull { retry_after: 60 }),
            Err(NotQueued::NotStored) => Err(ApiError::Unavailable { retry_after }),
            Err(NotQueued::Unavailable) => Err(ApiError::NotKept { retry_after }),
        }
    }
}

/// Stores the call of the upstream's answer, and passes the answer back.
async fn learn(worker: &Worker, permit: Permit, answer: Answer) -> HttpResponse {
    let call = match answer.status {
        StatusCode::OK => std::str::from_utf8(&answer.body).ok(),
        _ => None,
    };
    let mut response = HttpResponse::build(answer.status);
    for (name, value) in answer.headers {
        if name == CONTENT_TYPE || answer.status != StatusCode::OK {
            response.append_header((name, value));
        }
    }
    let mut response = response.body(answer.body.clone());
    if let Some(call) = call.and_then(|text| Call::from_json(text).ok()) {
        let tag = EntityTag::new(call.body_hash());
        let stored = worker.shared().handle.written(permit, call).await;
        tag.write(response.headers_mut());
        let freshness = Freshness {
            origin: Origin::Request,
            age: 0,
            stored,
        };
        freshness.write(response.headers_mut());
    }
    response
}

/// The whole body. One that is too large is read to its end too: a client that is cut off while it
/// sends may never see the answer.
async fn read(mut payload: Payload) -> Result<Bytes, ApiError> {
    let reading = async {
        let mut body = BytesMut::new();
        let mut length = 0;
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|_| ApiError::BrokenBody)?;
            length += piece.len();
            if length <= LARGEST_BODY {
                body.extend_from_slice(&piece);
            }
        }
        match length {
            0..=LARGEST_BODY => Ok(body.freeze()),
            _ => Err(ApiError::BodyTooLarge { most: LARGEST_BODY }),
        }
    };
    let read = tokio::time::timeout(DEADLINE, reading).await;
    read.unwrap_or(Err(ApiError::BrokenBody))
}
