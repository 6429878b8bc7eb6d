//! The proxy: what the edge does not answer itself is forwarded to the upstream with the caller's
//! own key, and the answer is passed back as it comes.
//!
//! The upstream decides what a caller may do there. The edge's key is used only for what
//! `auth.tokens` allows the holder of a token: changes of a call's metadata.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::body::BodyStream;
use actix_web::dev::Payload;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    RANGE,
};
use actix_web::http::{Method, Uri};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::http::caching::freshness::CACHE_STATUS;
use crate::http::error::{ApiError, RETRY_SOON};
use crate::http::middleware::auth::Caller;
use crate::http::passed_answer::{Answer, headers, read, status};
use crate::http::reading::worker::Worker;
use crate::http::routing::path;
use crate::sync::{Chunks, Key, NotPassed, Permit, ProxyRequest, ProxyResponse};

/// The methods that are forwarded, beside extensions of the upstream's own.
const PASSED_ON: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The most pieces of a client's body that wait to be sent.
const PIECES: usize = 8;

/// How long a client may send nothing of its body: until it is cut off, it takes up one of the few
/// requests that may be in flight.
const NEXT_PIECE: Duration = Duration::from_secs(15);

/// The same for a whole body, because a client may never stop sending.
const WHOLE_BODY: Duration = Duration::from_secs(300);

/// Forwards a request, and streams its body and the answer's.
pub async fn stream(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    if caller != Caller::Upstream {
        return Err(ApiError::NotYours);
    }
    let broken = Arc::new(AtomicBool::new(false));
    let body = pieces(payload, Arc::clone(&broken));
    let passed = pass(worker, outgoing(request, Key::Callers, body)).await;
    let (permit, incoming) = passed.map_err(|failure| match broken.load(Ordering::Relaxed) {
        true => ApiError::BrokenBody,
        false => failure,
    })?;
    // The edge asked for no other protocol (RFC 9110, section 15.2.2).
    if incoming.status < 200 {
        return Err(ApiError::Unanswered);
    }
    let mut response = HttpResponse::build(status(&incoming));
    for header in headers(&incoming) {
        response.append_header(header);
    }
    // Appended after those of earlier caches (RFC 9211, section 2).
    response.append_header((CACHE_STATUS, "burki-edge; fwd=bypass"));
    // The length that the body would have (RFC 9110, section 8.6). A body that is sent shows its
    // own.
    if let Some(length) = incoming.length.filter(|_| request.method() == Method::HEAD) {
        response.insert_header((CONTENT_LENGTH, length));
    }
    // The permit lasts until the last piece is sent.
    let body = stream::unfold((incoming.body, permit), |(mut body, permit)| async {
        let piece = body.next().await?;
        Some((piece, (body, permit)))
    });
    // Not `streaming`, which would add a content type to an answer without one.
    Ok(response.body(BodyStream::new(body)))
}

/// Request headers that concern only the client and the edge where the edge reads the answer
/// itself.
const CLIENTS_OWN: [HeaderName; 5] = [
    ACCEPT_ENCODING,
    CACHE_CONTROL,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    RANGE,
];

/// Forwards a change of metadata and reads the whole answer. The edge's key is used for a caller
/// whose token allows such changes.
pub async fn change(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    body: Bytes,
) -> Result<(Permit, Answer), ApiError> {
    let key = match caller {
        Caller::Upstream => Key::Callers,
        Caller::Edge(_) if !worker.shared().handle.lets_key_in() => {
            return Err(ApiError::StrangeKey {
                retry_after: RETRY_SOON,
            });
        }
        Caller::Edge(_) => Key::Own,
    };
    ask(worker, key, request, body).await
}

/// Forwards a request with this body, and reads the whole answer.
pub async fn whole(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    body: Bytes,
) -> Result<(Permit, Answer), ApiError> {
    if caller != Caller::Upstream {
        return Err(ApiError::NotYours);
    }
    ask(worker, Key::Callers, request, body).await
}

async fn ask(
    worker: &Worker,
    key: Key,
    request: &HttpRequest,
    body: Bytes,
) -> Result<(Permit, Answer), ApiError> {
    let once = stream::once(std::future::ready(Ok(body))).boxed();
    let mut outgoing = outgoing(request, key, once);
    let own = |name: &String| CLIENTS_OWN.iter().any(|own| own == name.as_str());
    outgoing.headers.retain(|(name, _)| !own(name));
    if request.method() == Method::HEAD {
        // The upstream has no `HEAD`.
        outgoing.method = Method::GET.as_str().to_owned();
    }
    let (permit, incoming) = pass(worker, outgoing).await?;
    Ok((permit, read(incoming).await?))
}

/// The request as the client sent it.
fn outgoing(request: &HttpRequest, key: Key, body: Chunks) -> ProxyRequest {
    let headers = request.headers().iter();
    ProxyRequest {
        method: request.method().as_str().to_owned(),
        path_and_query: path_and_query(request.uri()),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        key,
        body,
    }
}

async fn pass(
    worker: &Worker,
    outgoing: ProxyRequest,
) -> Result<(Permit, ProxyResponse), ApiError> {
    // A gateway forwards neither (RFC 9110, sections 9.3.6 and 9.3.8).
    if matches!(outgoing.method.as_str(), "CONNECT" | "TRACE") {
        return Err(ApiError::MethodNotAllowed { allow: PASSED_ON });
    }
    // `*` is the server as a whole (RFC 9112, section 3.2.4), and no path of the upstream's.
    if !outgoing.path_and_query.starts_with('/') {
        return Err(ApiError::NoPath);
    }
    let passed = worker.shared().handle.pass(outgoing).await;
    passed.map_err(|NotPassed { retry_after, sent }| match sent {
        true => ApiError::Unanswered,
        false => ApiError::NotPassed { retry_after },
    })
}

/// As the client wrote it, without trailing slashes on paths of the calls API. They make no
/// difference here, but may cause a redirect there, where only the list's path has one.
fn path_and_query(uri: &Uri) -> String {
    let path = path::encode(uri.path());
    let trimmed = path.trim_end_matches('/');
    let path = match trimmed {
        "/api/v1/calls" => "/api/v1/calls/",
        _ if trimmed.starts_with("/api/v1/calls/") => trimmed,
        _ => &path,
    };
    match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// The client's body, sent from the worker's thread to the proxy's. If it breaks off or comes too
/// slowly, `broken` is set and the request to the upstream is broken off too.
fn pieces(mut payload: Payload, broken: Arc<AtomicBool>) -> Chunks {
    let (sender, receiver) = mpsc::channel(PIECES);
    actix_web::rt::spawn(async move {
        let end = Instant::now() + WHOLE_BODY;
        loop {
            let next = end.min(Instant::now() + NEXT_PIECE);
            let piece = match timeout_at(next, payload.next()).await {
                Ok(None) => break,
                Ok(Some(piece)) => piece.map_err(std::io::Error::other),
                Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
            };
            let ends = piece.is_err();
            broken.fetch_or(ends, Ordering::Relaxed);
            if sender.send(piece).await.is_err() || ends {
                break;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    })
    .boxed()
}
