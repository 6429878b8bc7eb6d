//! The details of a call: transcripts, recordings, messages, metrics and webhook logs.
//!
//! The file has each as one text of the upstream. The part that a request asks for is selected
//! here, and keeps its spelling. For an open call, the upstream is asked first.

use std::rc::Rc;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::http::caching::cache_control::Directives;
use crate::http::caching::call_cache::CachedCall;
use crate::http::caching::freshness::{EntityTag, Freshness};
use crate::http::calls::detail_filter::{Filter, Item, last};
use crate::http::calls::get;
use crate::http::calls::read_through::{self, Known, Resource};
use crate::http::calls::transcript;
use crate::http::calls::transcript::Format;
use crate::http::error::ApiError;
use crate::http::params::call_key;
use crate::http::params::validation_error::Invalid;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::http::routing::path::Name;
use crate::model::{CallKey, Detail, Timestamp, text_hash};
use crate::store::StoredDetail;
use crate::sync::FetchOutcome;

/// How long the details of an open call count as current, in seconds, so that clients that watch it
/// share the requests to the upstream.
const CURRENT: u64 = 1;

/// Answers `GET` and `HEAD`.
pub async fn get(
    worker: &Worker,
    headers: &HeaderMap,
    name: Name<'_>,
    kind: Detail,
    query: &str,
) -> Result<HttpResponse, ApiError> {
    let (key, filter) = valid(call_key::key(name), Filter::of(kind, query))?;
    let (_, detail, freshness) = find(worker, headers, &key, kind).await?;
    let (body, hash) = match filter.applied_to(&detail.body) {
        Some(body) => {
            let hash = text_hash(&body);
            (body, hash)
        }
        None => (detail.body, detail.body_hash),
    };
    Ok(respond::validated(
        headers,
        body,
        EntityTag::new(hash),
        freshness,
    ))
}

/// Answers `GET` and `HEAD` for a transcript as a file.
pub async fn export(
    worker: &Worker,
    headers: &HeaderMap,
    id: &str,
    query: &str,
) -> Result<HttpResponse, ApiError> {
    let asked = Filter::of(Detail::Transcripts, query).and_then(|filter| {
        let format = Format::of(last(query, "format"))?;
        Ok((filter.without_interim(), format))
    });
    let (key, (filter, format)) = valid(call_key::key(Name::Id(id)), asked)?;
    let (call, detail, freshness) = find(worker, headers, &key, Detail::Transcripts).await?;
    let items = filter.items(&detail.body);
    let items: Vec<Item<'_>> = items.into_iter().map(|(_, item)| item).collect();
    let body = transcript::write(format, &call.body, &items);
    let tag = EntityTag::new(text_hash(&body));
    let mut response = respond::validated(headers, body, tag, freshness);
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        let file = format!("call_{}_transcript.{}", call.id, format.extension());
        if let Ok(value) = HeaderValue::try_from(format!("attachment; filename={file}")) {
            headers.insert(CONTENT_DISPOSITION, value);
        }
    }
    Ok(response)
}

/// Reports every problem of path and query at once, before anything is looked up.
fn valid<T>(
    key: Result<CallKey, ApiError>,
    query: Result<T, Invalid>,
) -> Result<(CallKey, T), ApiError> {
    match (key, query) {
        (Ok(key), Ok(query)) => Ok((key, query)),
        (Err(ApiError::Invalid(mut problems)), Err(problem)) => {
            problems.push(problem);
            Err(ApiError::Invalid(problems))
        }
        (Err(failure), Ok(_)) => Err(failure),
        (_, Err(problem)) => Err(ApiError::Invalid(vec![problem])),
    }
}

/// The call and its detail, as fresh as the request demands.
async fn find(
    worker: &Worker,
    headers: &HeaderMap,
    key: &CallKey,
    kind: Detail,
) -> Result<(Rc<CachedCall>, StoredDetail, Freshness), ApiError> {
    let directives = Directives::of(headers);
    let call = get::find(worker, directives.of_any_age(), key).await?;
    let detail = OneDetail {
        worker,
        key,
        call_id: call.id,
        kind,
    };
    let (detail, freshness) = read_through::resolve(worker, directives, &detail).await?;
    Ok((call, detail, freshness))
}

/// One kind of detail of one call.
struct OneDetail<'a> {
    worker: &'a Worker,
    key: &'a CallKey,
    call_id: i64,
    kind: Detail,
}

impl Resource for OneDetail<'_> {
    type Value = StoredDetail;

    fn call(&self) -> &CallKey {
        self.key
    }

    fn look_up(&self) -> Result<Known<StoredDetail>, ApiError> {
        let detail = self.worker.reader().detail(self.call_id, self.kind)?;
        Ok(detail.map_or(Known::Nothing, |detail| {
            let age = self.worker.age(detail.seen_at);
            Known::Stored(detail, age)
        }))
    }

    fn is_current(&self, detail: &StoredDetail, age: u64) -> bool {
        detail.ended || age <= CURRENT
    }

    async fn fetch(&self) -> FetchOutcome {
        let handle = &self.worker.shared().handle;
        handle.fetch_detail(self.call_id, self.kind).await
    }

    fn unstored(&self, text: &str, at: Timestamp) -> Result<StoredDetail, ApiError> {
        Ok(StoredDetail {
            body_hash: text_hash(text),
            body: text.to_owned(),
            seen_at: at,
            ended: false,
        })
    }

    fn unavailable(&self, retry_after: u64) -> ApiError {
        ApiError::NotStored {
            what: what(self.kind),
            retry_after,
        }
    }
}

/// The kind in words.
fn what(kind: Detail) -> &'static str {
    match kind {
        Detail::WebhookLogs => "webhook logs",
        other => other.as_str(),
    }
}
