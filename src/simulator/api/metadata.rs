//! The request `PATCH /api/v1/calls/{call_id}/metadata`.

use super::error::{self, Invalid};
use super::exchange::ApiResponse;
use super::params::Integer;
use crate::simulator::json;
use crate::simulator::world::World;

impl World {
    /// Merges the body's `metadata` into the call's, and answers with the whole call.
    pub(super) fn patch_metadata(&mut self, id: &str, body: &[u8]) -> ApiResponse {
        let mut errors = Vec::new();
        let id = match Integer::parse(id) {
            Some(number) => Some(number),
            None => {
                errors.push(Invalid::integer("path", "call_id", id));
                None
            }
        };
        let metadata = match metadata(body) {
            Ok(metadata) => Some(metadata),
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let (Some(id), Some(metadata)) = (id, metadata) else {
            return error::unprocessable(self.flavour(), &errors);
        };
        if self.merge_metadata(id.value, &metadata) {
            self.one(id.value)
        } else {
            error::no_such_call("ID", &id.digits)
        }
    }
}

/// The compact text of the object under `metadata`.
fn metadata(body: &[u8]) -> Result<String, Invalid> {
    let text = object(body)?;
    match json::member(&text, "metadata") {
        None => Err(Invalid::missing(&["body", "metadata"], &text)),
        Some(metadata) if metadata.starts_with('{') => Ok(metadata.to_owned()),
        Some(other) => Err(Invalid::not_a_dictionary(other)),
    }
}

/// The compact text of a body that must be an object.
pub(super) fn object(body: &[u8]) -> Result<String, Invalid> {
    if body.is_empty() {
        return Err(Invalid::missing(&["body"], "null"));
    }
    let text = str::from_utf8(body).map_err(|error| Invalid::not_json(error.valid_up_to()))?;
    let text =
        json::compact(text).map_err(|error| Invalid::not_json(error.column().saturating_sub(1)))?;
    if !text.starts_with('{') {
        return Err(Invalid::not_an_object(&text));
    }
    Ok(text)
}
