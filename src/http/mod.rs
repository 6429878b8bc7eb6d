//! The server side: the upstream's calls API answered from the replica, and the edge's own
//! endpoints.
//!
//! ```text
//!  request ─► target (path) ─► auth ─► method ─► calls ─► worker: Reader, Coverage ─► freshness
//!                                        │         └── miss, no-cache ─► sync::Handle
//!                                        ├─► changes ─► scans          any failure ─► error
//!                                        └─► status, health, webhooks (hints ─► sync::Handle)
//! ```
//! A worker thread owns a [`Reader`](crate::store::Reader) and answers from it without handing
//! work to another thread; only what reads many rows runs elsewhere. The upstream is reached
//! through the engine's handle alone.

mod auth;
mod calls;
mod changes;
mod directives;
mod error;
mod freshness;
mod health;
mod params;
mod scans;
mod status;
mod target;
mod webhooks;
mod worker;

use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Payload, ServiceRequest, ServiceResponse, fn_factory, fn_service};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::ServiceConfig;
use actix_web::{Error, HttpRequest, HttpResponse};
use futures_util::FutureExt;
use serde::Serialize;

use crate::sync::{Clock, Handle};

pub use auth::Auth;
use error::Failure;
pub use scans::Scans;
use target::Target;
pub use webhooks::Webhooks;
use worker::Worker;

/// What all workers of a server share.
pub struct Shared {
    /// The replica's file; it must exist when the server starts.
    pub store_path: PathBuf,
    pub handle: Handle,
    pub clock: Clock,
    pub auth: Auth,
    pub webhooks: Webhooks,
    /// Of the same file.
    pub scans: Scans,
    /// Of the upstream, as the status shows it.
    pub base_url: String,
    /// How far back the replica is to reach before it counts as ready; `None` is all the way.
    pub history: Option<Duration>,
    /// Requests to the upstream that the engine may send, as the status shows it.
    pub budget_per_minute: u32,
}

/// Answers every path of an `App`. Each worker opens a reader of its own; if it can't, the server
/// does not start.
pub fn routes(shared: Arc<Shared>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        // No resources: one look at the path, in `target`, decides as well, and exactly as the
        // upstream does.
        config.default_service(fn_factory(move || {
            ready(Worker::open(Arc::clone(&shared)).map(|worker| {
                let worker = Rc::new(worker);
                fn_service(move |request| serve(Rc::clone(&worker), request))
            }))
        }));
    }
}

async fn serve(worker: Rc<Worker>, request: ServiceRequest) -> Result<ServiceResponse, Error> {
    let (request, payload) = request.into_parts();
    // A panic unwinds past reads only: nothing is left half done.
    let answer = AssertUnwindSafe(answer(&worker, &request, payload)).catch_unwind();
    let response = match answer.await {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => failure.into_response(),
        Err(_) => Failure::Panicked.into_response(),
    };
    Ok(ServiceResponse::new(request, response))
}

async fn answer(
    worker: &Worker,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    let path = target::decode(request.uri().path());
    let target = Target::of(&path);
    let headers = request.headers();
    if let Target::Webhook(secret) = target
        && !worker.shared().webhooks.open_to(secret)
    {
        // Nobody learns whether there is a target, nor of what it would ask.
        return Err(Failure::UnknownPath);
    }
    if !target.is_public() && !worker.shared().auth.permits(headers) {
        return Err(Failure::Unauthorized);
    }
    check_method(target, request.method())?;
    match target {
        Target::CallById(id) => calls::get(worker, headers, &calls::id_key(id)?).await,
        Target::CallBySid(sid) => calls::get(worker, headers, &calls::sid_key(sid)?).await,
        Target::Status => status::get(worker),
        Target::Sync => Ok(status::sync(worker)),
        Target::ReleaseHolds => Ok(status::release_holds(worker)),
        // Boxed, so that what these two need while they wait is no part of every other request.
        Target::Changes => {
            let query = request.uri().query().unwrap_or_default();
            Box::pin(changes::get(worker, query)).await
        }
        Target::Webhook(_) => Ok(Box::pin(webhooks::receive(worker, payload)).await),
        Target::Health => Ok(health::alive()),
        Target::Readiness => Ok(health::ready(worker)),
        Target::NotServed => Err(Failure::NotServed),
        Target::Unknown => Err(Failure::UnknownPath),
    }
}

fn check_method(target: Target<'_>, method: &Method) -> Result<(), Failure> {
    match target.allow() {
        Some(allow) if !allow.split(", ").any(|allowed| method == allowed) => {
            Err(Failure::MethodNotAllowed { allow })
        }
        _ => Ok(()),
    }
}

fn json_response(status: StatusCode, body: String) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer about the edge itself: true now, not later.
fn own_response(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    own_text(status, json(body))
}

/// The same of a text that is JSON already.
fn own_text(status: StatusCode, body: String) -> HttpResponse {
    let mut response = json_response(status, body);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json(value: &impl Serialize) -> String {
    // Structs of plain values: nothing in them can fail to serialize.
    serde_json::to_string(value).unwrap_or_default()
}
