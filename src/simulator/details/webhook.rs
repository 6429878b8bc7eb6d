//! Webhook logs: the upstream's own webhook requests, and how they were answered.

use std::time::Duration;

use rand::RngExt;

use super::subject::{Kind, Subject, name};
use crate::model::Timestamp;
use crate::simulator::json::string;
use crate::simulator::object::Object;
use crate::simulator::record::Flavour;

pub(super) struct WebhookLog {
    pub(super) kind: &'static str,
    id: i64,
    assistant_id: i64,
    /// The text of a JSON object.
    payload: Option<String>,
    /// Status, body and response time in milliseconds; `None` if no answer came.
    answer: Option<(i64, String, i64)>,
    at: Timestamp,
    retries: i64,
    /// The text of a JSON object.
    meta: Option<String>,
}

impl WebhookLog {
    pub(super) fn text(&self, call_id: i64, flavour: Flavour) -> String {
        let status = self.answer.as_ref().map(|(status, ..)| *status);
        let body = self.answer.as_ref().map(|(_, body, _)| body.as_str());
        let succeeded = status.is_some_and(|status| (200..=202).contains(&status));
        let error = match status {
            None => Some("Request timeout".to_owned()),
            Some(status) if !succeeded => Some(format!("HTTP {status}")),
            Some(_) => None,
        };
        Object::new(flavour)
            .text(
                "webhook_url",
                Some("https://hooks.example.com/burki?a=1&b=ü"),
            )
            .text("webhook_type", Some(self.kind))
            .raw("request_payload", self.payload.as_deref())
            .integer("response_status_code", status)
            .text("response_body", body)
            .integer("response_time_ms", self.answer.as_ref().map(|(.., ms)| *ms))
            .date("attempted_at", Some(self.at))
            .flag("success", succeeded)
            .text("error_message", error.as_deref())
            .integer("retry_count", Some(self.retries))
            .raw("webhook_metadata", self.meta.as_deref())
            .integer("id", Some(self.id))
            .integer("call_id", Some(call_id))
            .integer("assistant_id", Some(self.assistant_id))
            .end()
    }
}

/// Invents one log for the beginning and two for the end; none if the assistant has no webhook.
pub(super) fn invent(call: &Subject<'_>) -> Vec<WebhookLog> {
    let mut rng = call.draw(Kind::Webhooks);
    if rng.random_ratio(1, 3) {
        return Vec::new();
    }
    let begin = call.begin().map(|at| ("status-update", "in-progress", at));
    let end = call.end().map(|at| ("status-update", "completed", at));
    let report = call.end().map(|at| {
        let at = at + Duration::from_secs(2);
        ("end-of-call-report", "completed", at)
    });
    let events = [begin, end, report].into_iter().flatten().enumerate();
    let logs = events.map(|(index, (kind, status, at))| {
        let sid = string(&call.record.call_sid);
        let who = string(&call.record.customer_phone_number);
        let summary = string(name(&mut rng));
        let payload = match kind {
            "status-update" => format!(
                r#"{{"message":{{"type":"{kind}","status":"{status}","call":{{"id":{sid},"phoneCallProviderId":{sid},"customer":{{"number":{who}}}}},"messages":[]}}}}"#
            ),
            _ => format!(
                r#"{{"message":{{"type":"{kind}","customer":{{"number":{who}}},"summary":{summary}}}}}"#
            ),
        };
        let time = rng.random_range(3..4000);
        let answer = match rng.random_range(0..8) {
            0 => None,
            1 => Some((500, "<h1>Oops</h1>\r\n".to_owned(), time)),
            2 => Some((202, String::new(), time)),
            _ => Some((200, r#"{"ok": true}"#.to_owned(), time)),
        };
        WebhookLog {
            kind,
            id: call.id(index),
            assistant_id: call.record.assistant_id,
            payload: (!rng.random_ratio(1, 10)).then_some(payload),
            answer,
            at,
            retries: rng.random_range(0..3) / 2,
            meta: rng.random_ratio(1, 4).then(|| r#"{"z":1,"a":1.10}"#.to_owned()),
        }
    });
    logs.filter(|log| log.at <= call.now).collect()
}
