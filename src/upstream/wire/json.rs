//! JSON as the calls API sends it. No error quotes a payload.

use serde::Deserialize;

use crate::model::Call;
use crate::upstream::error::{ErrorKind, UpstreamError};

pub fn read_call(text: &str) -> Result<Call, UpstreamError> {
    Call::from_json(text).map_err(|error| bad_answer().caused_by(error))
}

pub fn parse_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, UpstreamError> {
    if !is_object(text.as_bytes()) {
        return Err(bad_answer().caused_by("no object where the calls API sends one"));
    }
    parse(text)
}

pub fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, UpstreamError> {
    // serde_json's error may quote the payload; a log may hold only its position.
    serde_json::from_str(text).map_err(|error| {
        let place = format!(
            "line {} column {}: not the expected JSON",
            error.line(),
            error.column()
        );
        bad_answer().caused_by(place)
    })
}

pub fn bad_answer() -> UpstreamError {
    UpstreamError {
        status: Some(200),
        ..UpstreamError::new(ErrorKind::BadAnswer)
    }
}

pub fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}
