//! The framing of an answer: whether it has a body, how its end is marked, and whether another
//! request may follow (RFC 9110, sections 6.4.1, 8.6 and 9.3.2; RFC 9112, sections 6 and 9).

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody, None as NoBody};
use actix_web::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use crate::http::middleware::connection::{Body, Connection};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The body that a request's headers announce; one of no bytes is none.
pub fn body(headers: &HeaderMap) -> Option<Body> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Some(Body::Chunked);
    }
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    let length = length.trim().parse().ok().filter(|length| *length > 0);
    length.map(Body::Sized)
}

/// The last step of every answer. `connection` is the request's.
pub fn finish(
    connection: Option<&Rc<Connection>>,
    request: &HttpRequest,
    response: HttpResponse,
) -> HttpResponse {
    let is_bodiless = is_bodiless(response.status());
    let is_head = request.method() == Method::HEAD;
    let response = match is_bodiless || is_head {
        false => response,
        true => response.map_body(|head, body| match is_bodiless {
            true => BoxBody::new(NoBody::new()),
            false => {
                // Otherwise the framework would send the last chunk of a body without a length.
                head.no_chunking(true);
                unsent(body, head.headers())
            }
        }),
    };
    match connection {
        Some(connection) if !connection.frame() => hand_over(request, response, connection),
        _ => response,
    }
}

/// True if an answer with this status never has a body (RFC 9112, section 6.3).
fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// A body that reports the size of `body` and sends nothing.
fn unsent(body: impl MessageBody, headers: &HeaderMap) -> BoxBody {
    let told = || match self::body(headers) {
        Some(Body::Sized(length)) => Some(length),
        _ => None,
    };
    BoxBody::new(Unsent(match body.size() {
        BodySize::Stream => told().map_or(BodySize::Stream, BodySize::Sized),
        size => size,
    }))
}

/// Sets when the next request may be read, and announces to the client whether there may be one.
fn hand_over(
    request: &HttpRequest,
    mut response: HttpResponse,
    connection: &Rc<Connection>,
) -> HttpResponse {
    // A stranger's body is not read, and when strangers are many each has one request.
    let is_left =
        !connection.is_known() && (connection.is_crowded() || body(request.headers()).is_some());
    // Without chunks, a body of unknown length ends with its connection.
    let is_open_ended =
        response.body().size() == BodySize::Stream && request.version() < Version::HTTP_11;
    let is_last = is_asked_to_be_last(request, connection)
        || response.head().connection_type() == ConnectionType::Close
        || is_left
        || is_open_ended
        // The framework does not read the rest of it.
        || connection.reads_body()
        // Only a part of the request's body came (RFC 9110, section 15.5.9).
        || response.status() == StatusCode::REQUEST_TIMEOUT;
    let head = response.head_mut();
    if is_last {
        head.set_connection_type(ConnectionType::Close);
    } else {
        let told = HeaderValue::from_static(connection.keeps_alive().1);
        head.headers_mut().insert(KEEP_ALIVE, told);
    }
    if is_open_ended {
        head.no_chunking(true);
    }
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => {
            connection.answered(is_last);
            BoxBody::new(bytes)
        }
        Err(body) => BoxBody::new(Watched {
            body,
            connection: Rc::clone(connection),
            is_last,
        }),
    })
}

/// True if the client sends no further request on the connection (RFC 9112, section 9.3). What
/// follows a request for a WebSocket is not read as a request.
fn is_asked_to_be_last(request: &HttpRequest, connection: &Connection) -> bool {
    let headers = request.headers();
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name);
        let tokens = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
        tokens
            .into_iter()
            .any(|other| other.trim().eq_ignore_ascii_case(token))
    };
    match request.version() {
        Version::HTTP_11 => {
            request.head().connection_type() != ConnectionType::KeepAlive
                || (connection.may_name_itself() && has(CONNECTION, "close"))
                || (connection.may_upgrade() && has(UPGRADE, "websocket"))
        }
        _ => !has(CONNECTION, "keep-alive"),
    }
}

/// A body of this size that is not sent.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// A body sent in pieces, whose end is the answer's.
struct Watched {
    body: BoxBody,
    connection: Rc<Connection>,
    is_last: bool,
}

impl MessageBody for Watched {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.connection.answered(self.is_last);
    }
}
