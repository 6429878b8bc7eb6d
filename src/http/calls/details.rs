//! What belongs to a call: transcripts, recordings, messages, metrics and webhook logs.
//!
//! The file holds each as the upstream's one text; what a request asks of it is chosen here, and what
//! is chosen stays as it was written. Of a call that goes on the upstream is asked first.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use url::form_urlencoded;

use crate::http::caching::cache_control::Directives;
use crate::http::caching::call_cache::CachedCall;
use crate::http::caching::freshness::{EntityTag, Freshness, Origin};
use crate::http::calls::get;
use crate::http::calls::get::RETRY_AFTER;
use crate::http::calls::transcript;
use crate::http::calls::transcript::Format;
use crate::http::error::ApiError;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::http::routing::path::Name;
use crate::model::{CallKey, Detail, text_hash};
use crate::store::StoredDetail;
use crate::sync::FetchOutcome;

/// What is told of a call that goes on is taken for current for so long, in seconds: clients that
/// watch it together are one to the upstream.
const CURRENT: u64 = 1;

/// An entry of the upstream's list, by field.
pub type Item<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Answers `GET` and `HEAD`.
pub async fn get(
    worker: &Worker,
    headers: &HeaderMap,
    name: Name<'_>,
    kind: Detail,
    query: &str,
) -> Result<HttpResponse, ApiError> {
    let (key, filter) = valid(get::key(name), Filter::of(kind, query))?;
    let (_, detail, freshness) = find(worker, headers, &key, kind).await?;
    let (body, hash) = match filter.applied_to(&detail.body) {
        Some(body) => {
            let hash = text_hash(&body);
            (body, hash)
        }
        None => (detail.body, detail.body_hash),
    };
    Ok(get::respond(headers, body, EntityTag::new(hash), freshness))
}

/// Answers the same for a transcript as a file.
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
    let (key, (filter, format)) = valid(get::key(Name::Id(id)), asked)?;
    let (call, detail, freshness) = find(worker, headers, &key, Detail::Transcripts).await?;
    let items = filter.items(&detail.body);
    let items: Vec<Item<'_>> = items.into_iter().map(|(_, item)| item).collect();
    let body = transcript::write(format, &call.body, &items);
    let tag = EntityTag::new(text_hash(&body));
    let mut response = get::respond(headers, body, tag, freshness);
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

/// Whatever of path and query can't be read is told at once, and before anything is looked for.
fn valid<T>(
    key: Result<CallKey, ApiError>,
    query: Result<T, Vec<String>>,
) -> Result<(CallKey, T), ApiError> {
    match (key, query) {
        (Ok(key), Ok(query)) => Ok((key, query)),
        (Err(ApiError::Invalid(problems)), Err(more)) => {
            let first = problems.iter().map(|problem| problem.text());
            Err(ApiError::Unprocessable(first.chain(more).collect()))
        }
        (Err(failure), Ok(_)) => Err(failure),
        (_, Err(problems)) => Err(ApiError::Unprocessable(problems)),
    }
}

/// From the replica, or from the upstream where it does not hold it or the request wants it fresher.
async fn find(
    worker: &Worker,
    headers: &HeaderMap,
    key: &CallKey,
    kind: Detail,
) -> Result<(Rc<CachedCall>, StoredDetail, Freshness), ApiError> {
    let directives = Directives::of(headers);
    let call = get::resolve(worker, directives.of_any_age(), key)
        .await?
        .call;
    let held = || worker.reader().detail(call.id, kind);
    let told = |detail: &StoredDetail, origin| Freshness {
        origin,
        age: worker.age(detail.seen_at),
        stored: true,
    };
    let asked = match held()? {
        Some(detail) => {
            let freshness = told(&detail, worker.origin());
            let current = detail.ended || directives.only_if_cached || freshness.age <= CURRENT;
            if current && directives.accept(freshness.age) {
                return Ok((call, detail, freshness));
            }
            Origin::Request
        }
        None => Origin::Miss,
    };
    if directives.only_if_cached {
        return Err(ApiError::OnlyIfCached);
    }
    let fetched = worker.shared().handle.fetch_detail(call.id, kind);
    let (origin, retry_after) = match get::in_time(fetched).await {
        FetchOutcome::Found => (asked, RETRY_AFTER),
        FetchOutcome::Unstored { text, at } => {
            let detail = StoredDetail {
                body_hash: text_hash(&text),
                body: text.to_string(),
                seen_at: at,
                ended: false,
            };
            let freshness = Freshness {
                stored: false,
                ..told(&detail, asked)
            };
            return Ok((call, detail, freshness));
        }
        FetchOutcome::Unavailable { retry_after } => (Origin::ReplicaOffline, retry_after),
        FetchOutcome::NotFound => return Err(get::absent(key, 0, asked)),
        FetchOutcome::NotFoundThen { age } => return Err(get::absent(key, age, asked)),
        FetchOutcome::NoSuchDetail => return Err(ApiError::UnknownPath),
    };
    match held()? {
        Some(detail) => {
            let freshness = told(&detail, origin);
            Ok((call, detail, freshness))
        }
        None => Err(ApiError::NotHeld {
            what: what(kind),
            retry_after,
        }),
    }
}

/// In words.
fn what(kind: Detail) -> &'static str {
    match kind {
        Detail::WebhookLogs => "webhook logs",
        other => other.as_str(),
    }
}

/// Of a parameter that is repeated the last, as the upstream does.
fn last<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value)
        .last()
}

/// Which entries of a list are asked for.
struct Filter {
    kind: Detail,
    /// What the field that the kind is filtered by is to be.
    value: Option<String>,
    /// Transcripts that are not final too.
    interim: bool,
}

impl Filter {
    /// The errors are entries of a 422.
    fn of(kind: Detail, query: &str) -> Result<Filter, Vec<String>> {
        let value = field(kind).and_then(|field| last(query, field));
        let interim = match (kind, last(query, "include_interim")) {
            (Detail::Transcripts, Some(text)) => boolean(&text).ok_or_else(|| {
                vec![refusal(
                    "bool_parsing",
                    "include_interim",
                    "Input should be a valid boolean, unable to interpret input",
                    &text,
                    None,
                )]
            })?,
            _ => false,
        };
        Ok(Filter {
            kind,
            value: value.map(Cow::into_owned).filter(|value| !value.is_empty()),
            interim,
        })
    }

    /// An export has no interim ones, and knows no word for them.
    fn without_interim(self) -> Filter {
        Filter {
            interim: false,
            ..self
        }
    }

    /// The list of the entries asked for; `None`: it is the whole text.
    fn applied_to(&self, body: &str) -> Option<String> {
        let finals_alone = self.kind == Detail::Transcripts && !self.interim;
        if self.value.is_none() && !finals_alone {
            return None;
        }
        let texts: Vec<&str> = self.items(body).into_iter().map(|(text, _)| text).collect();
        Some(format!("[{}]", texts.join(",")))
    }

    /// The entries asked for, in the upstream's order, each with its text.
    fn items<'a>(&self, body: &'a str) -> Vec<(&'a str, Item<'a>)> {
        // What is held was a list of objects when it came.
        let texts: Vec<&RawValue> = serde_json::from_str(body).unwrap_or_default();
        let items = texts.into_iter().filter_map(|text| {
            let item: Item<'_> = serde_json::from_str(text.get()).ok()?;
            Some((text.get(), item))
        });
        items.filter(|(_, item)| self.admits(item)).collect()
    }

    fn admits(&self, item: &Item<'_>) -> bool {
        let is = |field: &str, wanted: &str| text(item, field).is_some_and(|text| text == wanted);
        let interim = item
            .get("is_final")
            .is_some_and(|value| matches!(value.get(), "false" | "null"));
        let value = match (field(self.kind), &self.value) {
            (Some(field), Some(value)) => is(field, value),
            _ => true,
        };
        value && (self.interim || !interim)
    }
}

/// A field that is text.
pub fn text(item: &Item<'_>, field: &str) -> Option<String> {
    serde_json::from_str(item.get(field)?.get()).ok()
}

/// By which field, and by a parameter of which name, a kind is filtered.
fn field(kind: Detail) -> Option<&'static str> {
    match kind {
        Detail::Transcripts => Some("speaker"),
        Detail::Recordings => Some("recording_type"),
        Detail::Messages => Some("role"),
        Detail::WebhookLogs => Some("webhook_type"),
        Detail::Metrics => None,
    }
}

/// As pydantic reads one from a text.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
        "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// An entry of the upstream's 422 about a parameter of the query.
pub fn refusal(
    kind: &str,
    name: &str,
    message: &str,
    input: &str,
    pattern: Option<&str>,
) -> String {
    let ctx = match pattern {
        Some(pattern) => format!(r#","ctx":{{"pattern":{}}}"#, respond::json(&pattern)),
        None => String::new(),
    };
    format!(
        r#"{{"type":"{kind}","loc":["query","{name}"],"msg":{},"input":{}{ctx}}}"#,
        respond::json(&message),
        respond::json(&input),
    )
}
