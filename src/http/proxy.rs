//! What the edge does not answer itself: passed on to the upstream with the caller's own key, and
//! its answer passed back as it comes.
//!
//! What a caller may do there is the upstream's to say, so the edge's key is used for nothing but
//! what `auth.tokens` lets the holder of a token do: to change a call's metadata.

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
use crate::sync::{Chunks, Incoming, Key, NotPassed, Outgoing, Permit};

/// The methods that are passed on, among others of the upstream's own.
const PASSED_ON: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Pieces of a client's body that wait to be sent.
const PIECES: usize = 8;

/// A client that sends nothing of its body for this long is let go: it keeps one of the few
/// requests that may be under way at once.
const NEXT_PIECE: Duration = Duration::from_secs(15);

/// The same for a client that never ends.
const WHOLE_BODY: Duration = Duration::from_secs(300);

/// Passes a request on, its body and the answer's piece by piece.
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
    // Nobody asked for another protocol (RFC 9110, section 15.2.2).
    if incoming.status < 200 {
        return Err(ApiError::Unanswered);
    }
    let mut response = HttpResponse::build(status(&incoming));
    for header in headers(&incoming) {
        response.append_header(header);
    }
    // Behind those of caches before it (RFC 9211, section 2).
    response.append_header((CACHE_STATUS, "burki-edge; fwd=bypass"));
    // What it would be is told (RFC 9110, section 8.6); of what is sent, its end tells.
    if let Some(length) = incoming.length.filter(|_| request.method() == Method::HEAD) {
        response.insert_header((CONTENT_LENGTH, length));
    }
    // Under way until the last piece is.
    let body = stream::unfold((incoming.body, permit), |(mut body, permit)| async {
        let piece = body.next().await?;
        Some((piece, (body, permit)))
    });
    // Not `streaming`, which gives a type to what has none.
    Ok(response.body(BodyStream::new(body)))
}

/// What of a client's request is between it and the edge where the edge reads the answer itself.
const CLIENTS_OWN: [HeaderName; 5] = [
    ACCEPT_ENCODING,
    CACHE_CONTROL,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    RANGE,
];

/// Passes a change of metadata on, with the edge's key where the caller has a token that lets him
/// change some, and reads the whole answer.
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

/// Passes a request on with this body, and reads the whole answer.
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
        // The upstream knows none.
        outgoing.method = Method::GET.as_str().to_owned();
    }
    let (permit, incoming) = pass(worker, outgoing).await?;
    Ok((permit, read(incoming).await?))
}

/// The request as the client sent it.
fn outgoing(request: &HttpRequest, key: Key, body: Chunks) -> Outgoing {
    let headers = request.headers().iter();
    Outgoing {
        method: request.method().as_str().to_owned(),
        path_and_query: path_and_query(request.uri()),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        key,
        body,
    }
}

async fn pass(worker: &Worker, outgoing: Outgoing) -> Result<(Permit, Incoming), ApiError> {
    // Neither is for a server that stands in for another (RFC 9110, sections 9.3.6 and 9.3.8).
    if matches!(outgoing.method.as_str(), "CONNECT" | "TRACE") {
        return Err(ApiError::MethodNotAllowed { allow: PASSED_ON });
    }
    // `*` is of the server as a whole (RFC 9112, section 3.2.4), and no path of the upstream's.
    if !outgoing.path_and_query.starts_with('/') {
        return Err(ApiError::NoPath);
    }
    let passed = worker.shared().handle.pass(outgoing).await;
    passed.map_err(|NotPassed { retry_after, sent }| match sent {
        true => ApiError::Unanswered,
        false => ApiError::NotPassed { retry_after },
    })
}

/// As the client wrote it, but for slashes at the end of the calls API's paths, which make no
/// difference here and may make a redirect there: the list alone has one.
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

/// The client's body, from the worker's thread to whichever sends it. Marks it where it broke off
/// or came too slowly, which breaks off the request to the upstream too.
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
