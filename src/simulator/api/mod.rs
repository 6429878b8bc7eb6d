//! The vendor's HTTP interface as a function: a request and the world in, an answer out.

mod action;
mod aggregate;
mod date;
mod details;
mod error;
mod exchange;
mod export;
mod list;
mod metadata;
mod params;
mod route;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::Object;
use super::world::World;
use error::Invalid;
pub(super) use error::{server_error, unauthorized};
pub use exchange::{ApiRequest, ApiResponse};
use params::{Integer, Query, Reader};
use route::{Detail, Found, Route};

impl World {
    /// Answers one request. Only actions change anything; a list draws the order of its ties again
    /// each time.
    pub fn answer(&mut self, request: &ApiRequest) -> ApiResponse {
        let mut response = self.dispatch(request);
        if request.method == "HEAD" {
            response.body.clear();
        }
        response
    }

    /// Dispatches in the upstream's own order: routing, then method, then key, then parameters.
    fn dispatch(&mut self, request: &ApiRequest) -> ApiResponse {
        let path = route::decode(&request.path);
        let route = match route::find(self.flavour(), &path) {
            Found::Route(route) => route,
            Found::Redirect(path) => return route::redirect(&path, request),
            Found::Nothing => return error::not_found(),
        };
        if !route.methods().contains(&&*request.method) {
            return error::method_not_allowed(route.methods()[0]);
        }
        if !self.lets_in(request.authorization.as_deref()) {
            return error::unauthorized();
        }
        let query = || Query::parse(&request.query);
        match route {
            Route::List => self.list(&query()),
            Route::Count => self.count(&query()),
            Route::ById(id) => self.by_id(id),
            Route::BySid(sid) => match self.get_by_sid(sid).map(|record| record.id) {
                Some(id) => self.one(id),
                None => error::no_such_call("SID", sid),
            },
            Route::Metadata(id) => self.patch_metadata(id, &request.body),
            Route::Me => self.me(),
            Route::Organization => self.organization(),
            Route::Assistants => self.list_assistants(&query()),
            Route::Stats => self.stats(),
            Route::Analytics => self.analytics(&query()),
            Route::Export => self.export(&query()),
            Route::Below(key, detail) => {
                let answer = match (detail, &*request.method) {
                    (Detail::Transcripts, _) => self.list_transcripts(key, &query()),
                    (Detail::TranscriptExport, _) => self.export_transcripts(key, &query()),
                    (Detail::Recordings, _) => self.list_recordings(key, &query()),
                    (Detail::Play(recording), _) => self.play(key, recording, &query()),
                    (Detail::Messages, _) => self.list_messages(key, &query()),
                    (Detail::WebhookLogs, _) => self.list_webhook_logs(key, &query()),
                    (Detail::Metrics, "PATCH") => self.patch_metrics(key),
                    (Detail::Metrics, _) => self.metrics(key),
                };
                answer.unwrap_or_else(|refusal| refusal)
            }
            Route::Terminate(sid) => self.terminate(sid).unwrap_or_else(|refusal| refusal),
            Route::Initiate => {
                let answer = self.initiate(&request.body);
                answer.unwrap_or_else(|refusal| refusal)
            }
        }
    }

    /// True if the key is right. The scheme may be in any case, the key must match exactly.
    fn lets_in(&self, authorization: Option<&str>) -> bool {
        authorization
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, key)| {
                scheme.eq_ignore_ascii_case("bearer") && key.trim() == self.api_key()
            })
    }

    fn by_id(&self, text: &str) -> ApiResponse {
        match Integer::parse(text) {
            Some(id) if self.get(id.value).is_some() => self.one(id.value),
            Some(id) => error::no_such_call("ID", &id.digits),
            None => {
                error::unprocessable(self.flavour(), &[Invalid::integer("path", "call_id", text)])
            }
        }
    }

    /// The whole record. The caller knows that it exists.
    fn one(&self, id: i64) -> ApiResponse {
        let mut response = ApiResponse::json(200, self.text(id).unwrap_or_default());
        response.records.push(id);
        response
    }

    /// The assistants' names by ascending id (self-hosted only).
    fn list_assistants(&self, query: &Query) -> ApiResponse {
        let mut reader = Reader::new(query, &self.config);
        let skip = reader.bounded("skip", 0, 0, i64::MAX);
        let limit = reader.bounded("limit", 100, 1, 1000);
        if !reader.errors.is_empty() {
            return error::unprocessable(self.flavour(), &reader.errors);
        }
        // Names come from the records, although a self-hosted server does not show them there; the
        // newest counts.
        let invented = self.life.inventor.names();
        let mut named: BTreeMap<i64, _> = invented.collect();
        for record in self.records() {
            if let Some(name) = &record.assistant_name {
                named.insert(record.assistant_id, Arc::clone(name));
            }
        }
        named.retain(|id, _| self.knows_assistant(*id));
        let listed: Vec<String> = named
            .into_iter()
            .skip(skip)
            .take(limit)
            .map(|(id, name)| {
                let id = Object::new(self.flavour()).integer("id", Some(id));
                id.text("name", Some(&name)).end()
            })
            .collect();
        ApiResponse::json(200, format!("[{}]", listed.join(",")))
    }

    /// The organization of the key (self-hosted only).
    fn organization(&self) -> ApiResponse {
        let organization = self.organization_id();
        ApiResponse::json(
            200,
            format!(
                r#"{{"organization_id":{organization},"organization_name":"Edge","user_id":{},"user_email":"ops@example.com","user_role":"admin"}}"#,
                organization.saturating_mul(10).saturating_add(1)
            ),
        )
    }

    fn me(&self) -> ApiResponse {
        let organization = self.organization_id();
        ApiResponse::json(
            200,
            format!(
                r#"{{"id":{},"organization_id":{organization},"email":"ops@example.com","first_name":"Edge","last_name":null,"full_name":"Edge","role":"admin","is_active":true,"is_verified":true,"is_platform_admin":false,"avatar_url":null,"last_login_at":null,"login_count":0,"preferences":{{}},"google_id":null,"created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}}"#,
                organization.saturating_mul(10).saturating_add(1)
            ),
        )
    }
}
