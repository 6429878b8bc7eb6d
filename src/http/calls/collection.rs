//! Answers computed from many calls: cached or read, as old as their oldest part, in the coding
//! that the client prefers.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use crate::http::caching::cache_control::Directives;
use crate::http::caching::content_coding;
use crate::http::caching::content_coding::{Coding, WORTH_IT};
use crate::http::caching::freshness::{EntityTag, Freshness};
use crate::http::caching::response_cache::CachedResponse;
use crate::http::calls::aggregates;
use crate::http::calls::list;
use crate::http::calls::question::{CollectionQuery, Resource, Shortfall};
use crate::http::calls::refetch;
use crate::http::error::ApiError;
use crate::http::middleware::auth::Caller;
use crate::http::reading::completeness;
use crate::http::reading::completeness::{AnswerScope, COVERAGE};
use crate::http::reading::scans::ScanPermit;
use crate::http::reading::unread_bytes::Full;
use crate::http::reading::worker::Worker;
use crate::sync::Phase;

/// The `Retry-After` if clients read earlier answers too slowly, in seconds.
const RETRY_UNREAD_AFTER: u64 = 5;

/// A request about many calls.
pub struct CollectionRequest<'r> {
    pub caller: Caller,
    pub resource: Resource,
    pub request: &'r HttpRequest,
}

impl Resource {
    fn understand(self, worker: &Worker, query: &str) -> Result<CollectionQuery, ApiError> {
        match self {
            Resource::List => {
                let pending = Arc::clone(&worker.shared().handle.pending());
                list::understand(query, pending)
            }
            Resource::Count => aggregates::count(query),
            Resource::Stats => Ok(aggregates::stats()),
            Resource::Analytics => aggregates::analytics(query, worker.now()),
        }
    }

    /// The key under which its answers are cached; `None` if they change by themselves.
    fn key(self, query: &str) -> Option<String> {
        let name = match self {
            Resource::List => "list",
            Resource::Count => "count",
            // It has no parameters.
            Resource::Stats => return Some("stats".to_owned()),
            // Its period ends now.
            Resource::Analytics => return None,
        };
        Some(format!("{name}?{query}"))
    }
}

/// Answers `GET` and `HEAD`.
pub async fn get(worker: &Worker, asked: &CollectionRequest<'_>) -> Result<HttpResponse, ApiError> {
    let query = asked.request.uri().query().unwrap_or_default();
    // Loaded before the rows: no reported age may be younger than its data.
    let coverage = Arc::clone(&worker.shared().handle.coverage());
    let version = worker.reader().data_version()?;
    let key = asked.resource.key(query);
    let kept = key.as_ref().and_then(|key| worker.kept().get(version, key));
    let (answer, turn) = match kept {
        Some(answer) => (answer, None),
        None => {
            let question = asked.resource.understand(worker, query)?;
            let turn = worker.shared().scans.turn().await?;
            let answer = Rc::new(turn.run(question).await?);
            if let Some(key) = key.clone() {
                worker.kept().keep(version, key, &answer);
            }
            (answer, Some(turn))
        }
    };
    let age = answer.extent.age(&coverage, worker.now());
    let directives = Directives::of(asked.request.headers());
    let lack = match directives.accept(age) {
        false => Some(Shortfall::Old),
        true if !answer.extent.is_complete(&coverage) => Some(Shortfall::Partial),
        true => None,
    };
    // No permit is occupied during a request to the upstream, which may take long.
    let turn = turn.filter(|_| lack.is_none());
    if let Some(lack) = lack
        && !directives.only_if_cached
        && worker.is_online()
        && may_help(worker, asked.resource, query, &answer.extent)
        && let Some(fresh) =
            refetch::ask(worker, asked.caller, asked.request, asked.resource, lack).await
    {
        let told = Truth {
            coverage: completeness::whole(),
            freshness: fresh.freshness,
        };
        let extent = answer.extent.clone();
        let answer = Rc::new(CachedResponse::new(fresh.body, fresh.hash, extent));
        return respond(worker, asked.request.headers(), None, &answer, told, None).await;
    }
    if directives.only_if_cached && lack == Some(Shortfall::Old) {
        return Err(ApiError::OnlyIfCached);
    }
    worker.has_read_anything(&coverage)?;
    let told = Truth {
        coverage: completeness::header(&answer.extent, &coverage),
        freshness: Freshness {
            origin: worker.origin(),
            age,
            stored: true,
        },
    };
    let (headers, key) = (asked.request.headers(), key.as_deref());
    respond(worker, headers, key, &answer, told, turn).await
}

/// What the headers say about an answer.
struct Truth {
    coverage: HeaderValue,
    freshness: Freshness,
}

/// True if the upstream's answer could replace this one: a self-hosted server's list lacks some
/// filters, and reports no total of a full page.
fn may_help(worker: &Worker, resource: Resource, query: &str, extent: &AnswerScope) -> bool {
    let is_list = resource == Resource::List;
    let may_be_hosted = {
        let status = worker.status();
        status.is_hosted || status.phase == Phase::Starting
    };
    !is_list || may_be_hosted || list::is_understood(query) && !extent.is_cut()
}

/// The answer, or a 304 if the client has it already.
async fn respond(
    worker: &Worker,
    headers: &HeaderMap,
    key: Option<&str>,
    answer: &Rc<CachedResponse>,
    told: Truth,
    turn: Option<ScanPermit>,
) -> Result<HttpResponse, ApiError> {
    let wanted = Coding::wanted_of(headers, answer.body.len());
    // The client may have it in another coding, which is the same once it is decoded.
    let known = [wanted, Coding::Identity, Coding::Gzip, Coding::Zstd]
        .into_iter()
        .find(|coding| tag(answer, *coding).is_known_to(headers));
    let mut response = match known {
        Some(_) => HttpResponse::new(StatusCode::NOT_MODIFIED),
        None => {
            let body = coded(worker, key, answer, wanted, turn).await?;
            let unread = worker.shared().scans.unread();
            match unread.count(body) {
                Ok(Ok(body)) => json(body, wanted),
                Ok(Err(counted)) => json(counted, wanted),
                Err(Full) => {
                    return Err(ApiError::Busy {
                        retry_after: RETRY_UNREAD_AFTER,
                    });
                }
            }
        }
    };
    let headers = response.headers_mut();
    tag(answer, known.unwrap_or(wanted)).write(headers);
    if answer.body.len() >= WORTH_IT || wanted != Coding::Identity {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    headers.insert(COVERAGE, told.coverage);
    told.freshness.write(headers);
    Ok(response)
}

fn tag(answer: &CachedResponse, coding: Coding) -> EntityTag {
    EntityTag::coded(answer.hash, coding.suffix())
}

fn json(body: impl MessageBody + 'static, coding: Coding) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, body).map_into_boxed_body();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(name) = coding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// The body in a coding. It is compressed once, under the permit with which it was read, or under
/// another if it was cached: compressing costs as much as reading.
async fn coded(
    worker: &Worker,
    key: Option<&str>,
    answer: &Rc<CachedResponse>,
    coding: Coding,
    turn: Option<ScanPermit>,
) -> Result<Bytes, ApiError> {
    if let Some(body) = answer.coded(coding) {
        return Ok(body);
    }
    let plain = answer.body.clone();
    let turn = match turn {
        Some(turn) => turn,
        None => worker.shared().scans.turn().await?,
    };
    let body = turn
        .make(move || content_coding::encode(coding, &plain))
        .await?;
    let key = key.unwrap_or_default();
    worker.kept().add(key, answer, coding, body.clone());
    Ok(body)
}
