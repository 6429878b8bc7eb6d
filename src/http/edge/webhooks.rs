//! `/edge/webhooks/{secret}`: the receiver of the upstream's webhooks.
//!
//! They are unsigned, sent once, and prove nothing: a webhook is a hint where to look, and nothing
//! in it is stored or logged. A sender that knows the secret gets a 200 whatever the body is,
//! because the upstream counts anything else as not received; for any other, the path does not
//! exist.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;

use crate::http::params::call_key;
use crate::http::reading::worker::Worker;
use crate::http::respond;
use crate::model::CallKey;
use crate::sync::Hint;

/// A larger body is not parsed. A status update is far smaller; a report may have a long
/// transcript, but it names no call.
const LARGEST_BODY: usize = 64 << 10;

/// From the head to the last byte of the body.
const DEADLINE: Duration = Duration::from_secs(3);

/// The longest SID, in characters; the providers' have 34 to some 80.
const LONGEST_SID: usize = 256;

/// Answers `POST`, once the secret was checked.
pub async fn receive(worker: &Worker, payload: Payload) -> HttpResponse {
    #[derive(Serialize)]
    struct Received {
        status: &'static str,
    }
    let body = tokio::time::timeout(DEADLINE, read(payload)).await;
    let hint = body.ok().flatten().and_then(|body| named(&body));
    worker
        .shared()
        .handle
        .hint(hint.map_or(Hint::Some, Hint::Call));
    let status = "received";
    respond::own_response(StatusCode::OK, &Received { status })
}

/// The whole body; `None` if it breaks off or is too large. Such a body is read to its end too: a
/// client that is cut off while it sends may never see the answer.
async fn read(mut payload: Payload) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut fits = true;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.ok()?;
        fits &= body.len() + chunk.len() <= LARGEST_BODY;
        if fits {
            body.extend_from_slice(&chunk);
        }
    }
    fits.then_some(body)
}

/// The call that a webhook names, if it can be requested.
fn named(body: &[u8]) -> Option<CallKey> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let call = body.pointer("/message/call")?;
    // The documentation shows the SID under both names.
    ["id", "phoneCallProviderId"]
        .into_iter()
        .filter_map(|name| call.get(name)?.as_str())
        .filter(|sid| sid.chars().count() <= LONGEST_SID && !sid.contains('/'))
        .find_map(|sid| call_key::sid_key(sid).ok())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"message":{"type":"status-update","call":{"id":"CA1"}}}"#, "CA1")]
    #[case(r#"{"message":{"call":{"phoneCallProviderId":"CA1"}}}"#, "CA1")]
    #[case(r#"{"message":{"call":{"id":5,"phoneCallProviderId":"CA1"}}}"#, "CA1")]
    #[case(
        r#"{"message":{"call":{"id":"a/b","phoneCallProviderId":"CA1"}}}"#,
        "CA1"
    )]
    #[case(r#"{"message":{"call":{"id":"v3:\u00e9"}}}"#, "v3:é")]
    fn a_call_that_is_named_is_found(#[case] body: &str, #[case] sid: &str) {
        assert_eq!(
            named(body.as_bytes()),
            Some(CallKey::Sid(sid.to_owned())),
            "{body}"
        );
    }

    #[rstest]
    #[case(r#"{"message":{"type":"end-of-call-report","customer":{"number":"+1"}}}"#)]
    #[case(r#"{"message":{"call":{"id":""}}}"#)]
    #[case(r#"{"message":{"call":{"id":".."}}}"#)]
    #[case(r#"{"message":{"call":{"id":"a\u0000b"}}}"#)]
    #[case(r#"{"message":{"call":{"id":"a/b"}}}"#)]
    #[case(r#"{"message":{"call":"CA1"}}"#)]
    #[case(r#"{"call":{"id":"CA1"}}"#)]
    #[case(r#"{"message":{"call":{"id":"CA1"}"#)]
    #[case("[]")]
    #[case("")]
    fn anything_else_names_none(#[case] body: &str) {
        assert_eq!(named(body.as_bytes()), None, "{body}");
    }

    #[test]
    fn a_sid_is_believed_up_to_a_length() {
        let body = |length| {
            let sid = "é".repeat(length);
            format!(r#"{{"message":{{"call":{{"id":"{sid}"}}}}}}"#)
        };
        assert!(named(body(LONGEST_SID).as_bytes()).is_some());
        assert!(named(body(LONGEST_SID + 1).as_bytes()).is_none());
        assert!(named(&b"[".repeat(60_000)).is_none());
    }
}
