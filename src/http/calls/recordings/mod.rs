//! `GET /api/v1/calls/{call_id}/recording/{recording_id}/play`: a recording, from the folder beside
//! the replica if it was played before, else from the upstream and into the folder.
//!
//! A recording belongs to its call: without the call there is none, and a stored one is served only
//! while the replica has the call.

mod cache;
mod download;
mod file_name;
mod response;
pub mod store;

use std::fs::File;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt, stream};

use crate::http::caching::cache_control::Directives;
use crate::http::caching::freshness::{CACHE_STATUS, Freshness, Origin};
use crate::http::calls::get;
use crate::http::error::ApiError;
use crate::http::middleware::auth::Caller;
use crate::http::params;
use crate::http::params::CallId;
use crate::http::params::validation_error::Invalid;
use crate::http::passed_answer;
use crate::http::proxy;
use crate::http::reading::worker::Worker;
use crate::model::{CallKey, age};
use crate::sync::{self, ProxyRequest, UpstreamState};

use cache::Cache;
use download::{Fetch, Outcome, blocking};
use file_name::{Key, StoredRecording};

/// Answers `GET` and `HEAD`.
pub async fn get(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    payload: Payload,
    call: &str,
    recording: &str,
) -> Result<HttpResponse, ApiError> {
    let (call, recording) = ids(call, recording)?;
    let call = match call {
        CallId::Possible(id) => id,
        CallId::Impossible(id) => {
            return Err(ApiError::NoSuchCall {
                name: format!("ID {id}"),
                freshness: None,
            });
        }
    };
    let directives = Directives::of(request.headers());
    if let Err(failure) = get::find(worker, directives, &CallKey::Id(call)).await {
        if let (ApiError::NoSuchCall { .. }, Some(cache)) = (&failure, &worker.shared().audio.cache)
        {
            let cache = Arc::clone(cache);
            let _ = web::block(move || cache.remove_call(call)).await;
        }
        return Err(failure);
    }
    match (recording, &worker.shared().audio.cache) {
        (CallId::Possible(recording), Some(cache)) => {
            let play = Play {
                worker,
                request,
                cache,
                key: Key { call, recording },
            };
            play.answer(caller, payload, directives).await
        }
        _ if directives.only_if_cached => Err(ApiError::OnlyIfCached),
        _ => pass_on(worker, caller, request, payload).await,
    }
}

/// Both ids, or the problems of either.
fn ids(call: &str, recording: &str) -> Result<(CallId, CallId), ApiError> {
    let read = |name, text: &str| {
        params::call_id(text).map_err(|problem| Invalid::path(name, problem, text))
    };
    match (read("call_id", call), read("recording_id", recording)) {
        (Ok(call), Ok(recording)) => Ok((call, recording)),
        (call, recording) => Err(ApiError::Invalid(
            call.err().into_iter().chain(recording.err()).collect(),
        )),
    }
}

/// One request for a recording of a stored call.
struct Play<'a> {
    worker: &'a Worker,
    request: &'a HttpRequest,
    cache: &'a Arc<Cache>,
    key: Key,
}

impl Play<'_> {
    async fn answer(
        self,
        caller: Caller,
        payload: Payload,
        directives: Directives,
    ) -> Result<HttpResponse, ApiError> {
        let kept = self.kept().await;
        let offline = self.worker.status().state != UpstreamState::Online;
        let asked = match kept {
            // A token of the edge's own can't be used at the upstream.
            Some((kept, file))
                if directives.accept(self.age(&kept)) || offline || caller != Caller::Upstream =>
            {
                if directives.only_if_cached && !directives.accept(self.age(&kept)) {
                    return Err(ApiError::OnlyIfCached);
                }
                return Ok(self.respond(&kept, file, self.worker.origin(), false));
            }
            _ if directives.only_if_cached => return Err(ApiError::OnlyIfCached),
            Some(_) => Origin::Request,
            None => Origin::Miss,
        };
        if caller != Caller::Upstream {
            return Err(ApiError::NotYours);
        }
        let shared = self.worker.shared();
        let fetch = Fetch {
            cache: Arc::clone(self.cache),
            handle: shared.handle.clone(),
            clock: Arc::clone(&shared.clock),
            key: self.key,
        };
        let outcome = shared.audio.downloads.fetch(fetch, self.outgoing()).await;
        let failed = match outcome {
            Outcome::StoredRecording => match self.kept().await {
                Some((kept, file)) => return Ok(self.respond(&kept, file, asked, true)),
                // It was evicted already.
                None => return pass_on(self.worker, caller, self.request, payload).await,
            },
            Outcome::NotKept => {
                return pass_on(self.worker, caller, self.request, payload).await;
            }
            Outcome::Said(said) if is_trouble(said.status) => Ok(said),
            Outcome::Said(said) => {
                if is_denial(&said) {
                    let (cache, key) = (Arc::clone(self.cache), self.key);
                    let _ = web::block(move || cache.remove(key)).await;
                }
                return Ok(repeat(&said, asked));
            }
            Outcome::Unavailable { retry_after } => {
                Err(ApiError::RecordingUnavailable { retry_after })
            }
        };
        // A stored recording is better than a failure.
        match (self.kept().await, failed) {
            (Some((kept, file)), _) => Ok(self.respond(&kept, file, Origin::ReplicaOffline, false)),
            (None, Ok(said)) => Ok(repeat(&said, asked)),
            (None, Err(failure)) => Err(failure),
        }
    }

    async fn kept(&self) -> Option<(StoredRecording, File)> {
        let (cache, key, now) = (Arc::clone(self.cache), self.key, self.worker.now());
        blocking(move || Ok(cache.play(key, now))).await.ok()?
    }

    fn age(&self, kept: &StoredRecording) -> u64 {
        age(self.worker.now(), kept.fetched)
    }

    fn respond(
        &self,
        kept: &StoredRecording,
        file: File,
        origin: Origin,
        stored: bool,
    ) -> HttpResponse {
        let freshness = Freshness {
            origin,
            age: self.age(kept),
            stored,
        };
        response::answer(self.request, kept, file, freshness)
    }

    /// Requests the whole recording, with numbers in the path. The client's other headers concern
    /// only the edge.
    fn outgoing(&self) -> ProxyRequest {
        let Key { call, recording } = self.key;
        let headers = self.request.headers();
        let passed = [AUTHORIZATION, USER_AGENT].into_iter().filter_map(|name| {
            let value = headers.get(&name)?;
            Some((name.as_str().to_owned(), value.as_bytes().to_vec()))
        });
        ProxyRequest {
            method: "GET".to_owned(),
            path_and_query: format!("/api/v1/calls/{call}/recording/{recording}/play"),
            headers: passed.collect(),
            key: sync::Key::Callers,
            body: stream::empty().boxed(),
        }
    }
}

/// Forwards the request without storing the answer.
async fn pass_on(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let passed = proxy::stream(worker, caller, request, payload).await;
    let mut response = passed.map_err(|failure| match failure {
        ApiError::NotPassed { retry_after } => ApiError::RecordingUnavailable { retry_after },
        other => other,
    })?;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, response::NO_SNIFFING);
    Ok(response)
}

/// True if the status says nothing about the recording.
fn is_trouble(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// True if the upstream denies the recording. A proxy's own 404 page does not count.
fn is_denial(said: &passed_answer::Answer) -> bool {
    let mut headers = said.headers.iter();
    said.status == StatusCode::NOT_FOUND
        && headers.any(|(name, value)| {
            name == CONTENT_TYPE && value.as_bytes().starts_with(b"application/json")
        })
}

/// The upstream's answer, for each request that waited for it.
fn repeat(said: &passed_answer::Answer, asked: Origin) -> HttpResponse {
    let mut response = HttpResponse::build(said.status);
    for (name, value) in &said.headers {
        response.append_header((name.clone(), value.clone()));
    }
    response.insert_header((
        CACHE_STATUS,
        match asked {
            Origin::Request => "burki-edge; fwd=request",
            _ => "burki-edge; fwd=miss",
        },
    ));
    response.body(said.body.clone())
}
