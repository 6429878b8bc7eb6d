//! Lists and aggregates that the replica can't answer completely, or not as fresh as the client
//! wants: they are requested from the upstream with the caller's own key, answered in the hosted
//! shape, and stored.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::caching::freshness::{Freshness, Origin};
use crate::http::calls::list;
use crate::http::calls::list::Page;
use crate::http::calls::question::{Resource, Shortfall};
use crate::http::middleware::auth::Caller;
use crate::http::proxy;
use crate::http::reading::worker::Worker;
use crate::model::{Call, text_hash};

/// How long a client waits for the upstream before it gets the replica's answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A list as a hosted upstream sends it.
#[derive(Deserialize)]
struct Hosted<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    total: Option<u64>,
}

/// The upstream's answer, and the hash for its tag, which is the replica's if the content is the
/// same.
pub struct Fresh {
    pub body: Bytes,
    pub hash: i64,
    pub freshness: Freshness,
}

/// The upstream's answer; `None` if there is none, or none that fits. Then the replica's is served,
/// and its headers say what it lacks.
pub async fn ask(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    resource: Resource,
    lack: Shortfall,
) -> Option<Fresh> {
    if caller != Caller::Upstream {
        return None;
    }
    let asked = proxy::whole(worker, caller, request, Bytes::new());
    let asked = tokio::time::timeout(DEADLINE, asked).await;
    let (permit, answer) = asked.ok()?.ok()?;
    if answer.status != StatusCode::OK {
        return None;
    }
    let age = answer.age();
    let text = String::from_utf8(answer.body).ok()?;
    let (text, hash, calls) = match resource {
        Resource::List => {
            let query = request.uri().query().unwrap_or_default();
            if !text.trim_start().starts_with('{') && !list::is_understood(query) {
                return None;
            }
            hosted(text, &Page::of(query))?
        }
        Resource::Count | Resource::Stats | Resource::Analytics => {
            let hash = text_hash(&text);
            (text, hash, Vec::new())
        }
    };
    let any = !calls.is_empty();
    // The calls of an older copy are not stored: the request's number would make them look newer.
    let stored = any && age == 0 && worker.shared().handle.learn(permit, calls).await;
    let freshness = Freshness {
        origin: match lack {
            Shortfall::Partial => Origin::Miss,
            Shortfall::Old => Origin::Request,
        },
        age,
        stored,
    };
    Some(Fresh {
        body: text.into(),
        hash,
        freshness,
    })
}

/// A page in the hosted shape, its hash, and its calls. A self-hosted server reports no total,
/// which is known only if the page is the last one. Records that can't be read are passed on but
/// not stored.
fn hosted(text: String, page: &Page) -> Option<(String, i64, Vec<Call>)> {
    let is_hosted = text.trim_start().starts_with('{');
    let (items, total): (Vec<&RawValue>, _) = match is_hosted {
        true => {
            let Hosted { items, total } = serde_json::from_str(&text).ok()?;
            (items, total)
        }
        false => {
            let items: Vec<&RawValue> = serde_json::from_str(&text).ok()?;
            let is_last = items.len() < page.limit && (!items.is_empty() || page.skip == 0);
            let total = is_last.then_some(page.skip + items.len() as u64)?;
            (items, Some(total))
        }
    };
    let texts: Vec<&str> = items.iter().map(|item| item.get()).collect();
    let calls = texts
        .iter()
        .filter_map(|item| Call::from_json(item).ok())
        .collect();
    let (own, hash) = match total {
        Some(total) => {
            let hashes = texts.iter().map(|text| text_hash(text));
            (page.body(&texts, total), page.hash(hashes, total))
        }
        None => (String::new(), 0),
    };
    match is_hosted && own != text {
        // As the upstream wrote it: another spelling needs another tag.
        true => {
            let hash = text_hash(&text);
            Some((text, hash, calls))
        }
        false => Some((own, hash, calls)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"id":1,"call_sid":"a","status":"x","n":1.10}"#;

    #[test]
    fn a_hosted_page_is_passed_on_as_it_is() {
        let text = format!(r#"{{"items":[{ONE}, {{"odd":1}}],"total":9,"skip":0,"limit":2}}"#);
        let (passed, hash, calls) = hosted(text.clone(), &Page::of("limit=2")).unwrap();
        assert_eq!(hash, text_hash(&text), "the replica writes no space there");
        assert_eq!((passed, calls.len()), (text, 1));
    }

    #[test]
    fn a_bare_list_is_given_its_total_where_that_is_known() {
        let list = |text: &str, query| hosted(text.to_owned(), &Page::of(query));
        let (text, ..) = list(&format!("[{ONE}]"), "limit=2&skip=3").unwrap();
        assert_eq!(
            text,
            format!(r#"{{"items":[{ONE}],"total":4,"skip":3,"limit":2}}"#)
        );
        assert!(list(&format!("[{ONE}]"), "limit=1").is_none(), "may go on");
        assert!(list("[]", "skip=3").is_none(), "may end before");
        assert!(list("[]", "").is_some());
        assert!(list("{}", "").is_none());
        assert!(list("<html>", "").is_none());
    }
}
