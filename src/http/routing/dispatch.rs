//! Calls the checks of every request in their order, and then the endpoint's handler.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use actix_web::http::{ConnectionType, Method};
use actix_web::{Error, HttpRequest, HttpResponse};
use futures_util::FutureExt;

use crate::http::calls::collection;
use crate::http::calls::collection::CollectionRequest;
use crate::http::calls::details;
use crate::http::calls::export;
use crate::http::calls::get;
use crate::http::calls::metadata;
use crate::http::calls::question::Resource;
use crate::http::calls::recordings;
use crate::http::edge::change_feed;
use crate::http::edge::health;
use crate::http::edge::openapi;
use crate::http::edge::outbox;
use crate::http::edge::status;
use crate::http::edge::webhooks;
use crate::http::error::{ApiError, RETRY_SOON};
use crate::http::middleware::auth::Caller;
use crate::http::middleware::connection::Connection;
use crate::http::middleware::framing;
use crate::http::middleware::request_limits;
use crate::http::params::call_key;
use crate::http::proxy;
use crate::http::reading::worker::Worker;
use crate::http::routing::path;
use crate::http::routing::path::Endpoint;
use crate::model::Scopes;

/// The `Retry-After` of a connection without a place, in seconds.
const RETRY_FULL_AFTER: u64 = 1;

pub async fn serve(worker: Rc<Worker>, request: ServiceRequest) -> Result<ServiceResponse, Error> {
    let (request, payload) = request.into_parts();
    let id = worker.request_ids().of(request.headers());
    let connection = Connection::of(&request);
    // A panic interrupts only reads, so nothing is left half done.
    let answer = AssertUnwindSafe(answer(&worker, connection, &request, payload)).catch_unwind();
    let answered = answer.await.unwrap_or(Err(ApiError::Panicked));
    let mut response = answered.unwrap_or_else(|failure| {
        failure.log(&id);
        if matches!(&failure, ApiError::Store(error) if error.is_damage()) {
            worker.shared().damage.store(true, Ordering::Relaxed);
        }
        let is_full = matches!(failure, ApiError::Full { .. });
        let mut response = failure.into_response();
        if is_full {
            let head = response.head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
        response
    });
    id.write(response.headers_mut());
    let response = framing::finish(connection, &request, response);
    Ok(ServiceResponse::new(request, response))
}

async fn answer(
    worker: &Worker,
    connection: Option<&Rc<Connection>>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let names_connection = request_limits::check(request)?;
    let path = path::decode(request.uri().path());
    let target = Endpoint::of(&path);
    let headers = request.headers();
    if let Endpoint::Webhook(secret) = target
        && !worker.shared().webhooks.open_to(secret)
    {
        // A wrong secret must not show whether webhooks are on, nor which method they take.
        return Err(ApiError::UnknownPath);
    }
    let caller = match target.is_public() {
        true => Caller::Edge(Scopes::NONE),
        false => {
            let gate = &worker.shared().gate;
            match gate.caller(request, || worker.now()) {
                Some(caller) => caller,
                None => return Err(Box::pin(gate.refuse(request)).await),
            }
        }
    };
    let is_strangers = target.is_public() && !matches!(target, Endpoint::Webhook(_));
    if let Some(connection) = connection.filter(|_| !is_strangers) {
        if !connection.known() && !target.reports_state() {
            return Err(ApiError::Full {
                retry_after: RETRY_FULL_AFTER,
            });
        }
        connection.set_names_itself(names_connection);
        if !matches!(payload, Payload::None)
            && let Some(body) = framing::body(headers)
        {
            connection.allow_body(body);
        }
    }
    // The operator must see the edge's state even if the key is a wrong one.
    let strange = caller == Caller::Upstream && !worker.shared().handle.lets_key_in();
    if strange && !target.reports_state() {
        return Err(ApiError::StrangeKey {
            retry_after: RETRY_SOON,
        });
    }
    if let (&Method::OPTIONS, Some(allow)) = (request.method(), target.allow()) {
        return Ok(options(allow));
    }
    check_method(target, request.method())?;
    if let Some(scope) = target.scope().filter(|scope| !caller.may(*scope)) {
        return Err(ApiError::OutOfScope { scope });
    }
    match target {
        Endpoint::Call(name) => get::get(worker, headers, &call_key::key(name)?).await,
        Endpoint::Status => status::get(worker),
        Endpoint::Sync => Ok(status::sync(worker)),
        Endpoint::ReleaseHolds => Ok(status::release_holds(worker)),
        // Boxed, so that the futures of all other requests don't include theirs.
        Endpoint::Changes => {
            let query = request.uri().query().unwrap_or_default();
            Box::pin(change_feed::get(worker, query)).await
        }
        Endpoint::Details(..) if request.method() == Method::PATCH => {
            Box::pin(proxy::stream(worker, caller, request, payload)).await
        }
        Endpoint::Details(name, kind) => {
            let query = request.uri().query().unwrap_or_default();
            Box::pin(details::get(worker, headers, name, kind, query)).await
        }
        Endpoint::TranscriptsExport(id) => {
            let query = request.uri().query().unwrap_or_default();
            Box::pin(details::export(worker, headers, id, query)).await
        }
        Endpoint::Audio { call, recording } => {
            Box::pin(recordings::get(
                worker, caller, request, payload, call, recording,
            ))
            .await
        }
        Endpoint::Webhook(_) => Ok(Box::pin(webhooks::receive(worker, payload)).await),
        Endpoint::Health => Ok(health::alive()),
        Endpoint::OpenApi => Ok(openapi::get()),
        Endpoint::Docs => Ok(openapi::get_page()),
        Endpoint::Readiness => Ok(health::ready(worker)),
        Endpoint::Calls => many(worker, caller, request, Resource::List).await,
        Endpoint::Count => many(worker, caller, request, Resource::Count).await,
        Endpoint::Stats => many(worker, caller, request, Resource::Stats).await,
        Endpoint::Analytics => many(worker, caller, request, Resource::Analytics).await,
        Endpoint::Export => Box::pin(export::get(worker, caller, request, payload)).await,
        Endpoint::Metadata(id) => {
            Box::pin(metadata::patch(worker, caller, request, payload, id)).await
        }
        Endpoint::Writes => outbox::list(worker),
        Endpoint::Write(id) => Box::pin(outbox::forget(worker, id)).await,
        Endpoint::Elsewhere => Box::pin(proxy::stream(worker, caller, request, payload)).await,
        Endpoint::Unknown => Err(ApiError::UnknownPath),
    }
}

/// Boxed, so that what it needs while it waits is no part of every other request.
async fn many(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    resource: Resource,
) -> Result<HttpResponse, ApiError> {
    let asked = CollectionRequest {
        caller,
        resource,
        request,
    };
    Box::pin(collection::get(worker, &asked)).await
}

/// The answer to `OPTIONS`.
fn options(allow: &'static str) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ALLOW, format!("{allow}, OPTIONS")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

fn check_method(target: Endpoint<'_>, method: &Method) -> Result<(), ApiError> {
    match target.allow() {
        Some(allow) if !allow.split(", ").any(|allowed| method == allowed) => {
            Err(ApiError::MethodNotAllowed { allow })
        }
        _ => Ok(()),
    }
}
