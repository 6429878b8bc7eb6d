//! The key by which a path names a call.

use crate::http::error::ApiError;
use crate::http::params::validation_error::Invalid;
use crate::http::params::{self, CallId};
use crate::http::routing::path::Name;
use crate::model::CallKey;

/// The key of the call that a path names.
pub fn key(name: Name<'_>) -> Result<CallKey, ApiError> {
    match name {
        Name::Id(id) => id_key(id),
        Name::Sid(sid) => sid_key(sid),
    }
}

/// The key in a path's `{call_id}`.
pub fn id_key(text: &str) -> Result<CallKey, ApiError> {
    match params::call_id(text) {
        Ok(CallId::Possible(id)) => Ok(CallKey::Id(id)),
        Ok(CallId::Impossible(id)) => Err(ApiError::NoSuchCall {
            name: format!("ID {id}"),
            freshness: None,
        }),
        Err(problem) => Err(ApiError::Invalid(vec![Invalid::path(
            "call_id", problem, text,
        )])),
    }
}

/// The key in a path's `{call_sid}`. The upstream can't be asked for a dot segment, which every
/// HTTP client resolves away, and its database stores no NUL.
pub fn sid_key(text: &str) -> Result<CallKey, ApiError> {
    if matches!(text, "" | "." | "..") || text.contains('\0') {
        return Err(ApiError::NoSuchCall {
            name: format!("SID {text}"),
            freshness: None,
        });
    }
    Ok(CallKey::Sid(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("..")]
    #[case("a\0b")]
    fn a_sid_that_cannot_be_asked_for_is_nobodys(#[case] sid: &str) {
        assert!(matches!(
            sid_key(sid),
            Err(ApiError::NoSuchCall {
                freshness: None,
                ..
            })
        ));
    }

    #[test]
    fn any_other_sid_is_taken_as_it_is() {
        for sid in ["CA1", "ca1", "v3:x", "...", " ", "é/b"] {
            assert_eq!(sid_key(sid).unwrap(), CallKey::Sid(sid.to_owned()));
        }
    }
}
