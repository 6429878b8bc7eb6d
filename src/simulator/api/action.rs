//! Requests that change something: calls started and ended, metrics recalculated.

use super::details::Key;
use super::error::{self, Invalid};
use super::exchange::ApiResponse;
use super::metadata;
use super::params::Query;
use crate::simulator::json;
use crate::simulator::object::Object;
use crate::simulator::record::Flavour;
use crate::simulator::world::World;

impl World {
    /// Answers `POST …/{call_sid}/terminate`. A call that has ended stays as it is.
    pub(super) fn terminate(&mut self, sid: &str) -> Result<ApiResponse, ApiResponse> {
        let query = Query::default();
        let (record, ()) = self.below(Key::Sid(sid), &query, |_| ())?;
        let id = record.id;
        self.hang_up(id);
        let body = Object::new(self.flavour())
            .flag("success", true)
            .text("message", Some("Call terminated successfully"))
            .text("call_sid", Some(sid));
        Ok(ApiResponse::json(200, body.end()))
    }

    /// Answers `PATCH …/{call_id}/metrics`.
    pub(super) fn patch_metrics(&mut self, key: Key<'_>) -> Result<ApiResponse, ApiResponse> {
        let query = Query::default();
        let (record, ()) = self.below(key, &query, |_| ())?;
        let id = record.id;
        self.recalculate_metrics(id);
        self.metrics(key)
    }

    /// Answers `POST /calls/initiate`. The call goes on until an event or a request ends it.
    pub(super) fn initiate(&mut self, body: &[u8]) -> Result<ApiResponse, ApiResponse> {
        let wanted =
            Wanted::read(body).map_err(|errors| error::unprocessable(self.flavour(), &errors))?;
        let id = self.dial(&wanted.from, &wanted.to, wanted.agenda.as_deref());
        let sid = self.get(id).map(|record| record.call_sid.clone());
        let message = Some("Outbound call initiated successfully");
        let body = match self.flavour() {
            Flavour::SelfHosted => Object::new(self.flavour())
                .text("message", message)
                .text("call_sid", sid.as_deref()),
            Flavour::Hosted => Object::new(self.flavour())
                .flag("success", true)
                .text("message", message)
                .text("call_sid", sid.as_deref())
                .integer("call_id", Some(id))
                .text("status", Some("ongoing"))
                .text("from_number", Some(&wanted.from))
                .text("to_number", Some(&wanted.to)),
        };
        Ok(ApiResponse::json(200, body.end()))
    }
}

/// The body of a request for an outbound call.
struct Wanted {
    from: String,
    to: String,
    agenda: Option<String>,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Wanted, Vec<Invalid>> {
        let text = metadata::object(body).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut required = |name: &str| match json::member(&text, name) {
            None => {
                errors.push(Invalid::missing(&["body", name], &text));
                String::new()
            }
            Some(value) => serde_json::from_str(value).unwrap_or_else(|_| {
                errors.push(Invalid::not_a_string(&["body", name], value));
                String::new()
            }),
        };
        let (from, to) = (required("from_phone_number"), required("to_phone_number"));
        let agenda = json::member(&text, "agenda");
        let agenda = agenda.and_then(|value| serde_json::from_str(value).ok());
        match errors.is_empty() {
            true => Ok(Wanted { from, to, agenda }),
            false => Err(errors),
        }
    }
}
