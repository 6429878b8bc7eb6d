//! Cross-origin requests (the Fetch standard's CORS protocol): which pages may read, and what.

use std::cell::RefCell;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_cors::{Cors, CorsMiddleware};
use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_RANGES, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE, RETRY_AFTER,
};
use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture};

use crate::http::caching::freshness::CACHE_STATUS;
use crate::http::middleware::connection::Connection;
use crate::http::middleware::framing;
use crate::http::middleware::request_id;
use crate::http::middleware::request_id::{RequestId, X_REQUEST_ID};
use crate::http::shared::Shared;

/// How long a browser may cache a preflight, in seconds; some allow no more.
const MAX_AGE: usize = 2 * 3600;

/// The trace that a page is part of (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Lets pages of the [`Gate`](crate::http::middleware::gate::Gate)'s origins read; `*` is every
/// origin. Without origins it does nothing.
///
/// No cookies are involved: a token is in the `Authorization` header or nowhere, so a page can do
/// no more than the holder of a token.
pub struct CrossOrigin(pub Arc<Shared>);

/// A service, and its CORS middleware.
pub struct Guarded<S> {
    service: Rc<S>,
    shared: Arc<Shared>,
    /// For the current origins; built again for others.
    cors: RefCell<Option<Built<S>>>,
}

struct Built<S> {
    origins: Arc<Vec<String>>,
    cors: Rc<CorsMiddleware<Rc<S>>>,
}

/// The result of a service that answers everything.
type Answered = Result<ServiceResponse, Error>;

impl<S> Transform<S, ServiceRequest> for CrossOrigin
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error> + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = Guarded<S>;
    type InitError = ();
    type Future = Ready<Result<Guarded<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Guarded {
            service: Rc::new(service),
            shared: Arc::clone(&self.0),
            cors: RefCell::default(),
        }))
    }
}

impl<S> Guarded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error> + 'static,
{
    fn cors(&self, origins: &Arc<Vec<String>>) -> Option<Rc<CorsMiddleware<Rc<S>>>> {
        let mut built = self.cors.borrow_mut();
        if let Some(built) = &*built
            && Arc::ptr_eq(&built.origins, origins)
        {
            return Some(Rc::clone(&built.cors));
        }
        let cors = cors(origins).new_transform(Rc::clone(&self.service));
        let cors = Rc::new(cors.now_or_never()?.ok()?);
        *built = Some(Built {
            origins: Arc::clone(origins),
            cors: Rc::clone(&cors),
        });
        Some(cors)
    }
}

impl<S> Service<ServiceRequest> for Guarded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error> + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = Either<S::Future, LocalBoxFuture<'static, Answered>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let origins = self.shared.gate.origins();
        match origins.and_then(|origins| self.cors(&origins)) {
            None => Either::Left(self.service.call(request)),
            Some(cors) => {
                let id = RequestId::sent(request.headers());
                let answer = cors.call(request);
                Either::Right(Box::pin(async move {
                    let answered = answer.await?.map_into_boxed_body();
                    let (request, mut response) = answered.into_parts();
                    request_id::stamp(response.headers_mut(), id);
                    // No worker has seen a preflight.
                    let connection = Connection::of(&request);
                    let response = framing::finish(connection, &request, response);
                    Ok(ServiceResponse::new(request, response))
                }))
            }
        }
    }
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
        ])
        .allowed_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            CACHE_CONTROL,
            IF_NONE_MATCH,
            IF_RANGE,
            RANGE,
            TRACEPARENT,
            X_REQUEST_ID,
        ])
        .expose_headers([
            ACCEPT_RANGES,
            CONTENT_RANGE,
            ETAG,
            AGE,
            CACHE_STATUS,
            HeaderName::from_static("burki-edge-coverage"),
            HeaderName::from_static("burki-edge-pending"),
            RETRY_AFTER,
            X_REQUEST_ID,
            CONTENT_DISPOSITION,
        ])
        .max_age(MAX_AGE);
    match origins.iter().any(|origin| origin == "*") {
        true => cors.allow_any_origin().send_wildcard(),
        false => origins
            .iter()
            .fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
