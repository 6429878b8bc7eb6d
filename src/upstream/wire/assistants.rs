//! The list of assistants, which is needed because a self-hosted server's calls do not name theirs.

use serde::Deserialize;

use crate::upstream::error::UpstreamError;
use crate::upstream::request::ASSISTANTS_LIMIT;
use crate::upstream::wire::json::{parse, parse_object};

/// Path and query of the page after the first `skip` assistants, inactive ones included.
pub fn path_and_query(skip: usize) -> String {
    format!("/api/v1/assistants?skip={skip}&limit={ASSISTANTS_LIMIT}&active_only=false")
}

/// Reads ids and names from a bare array, or from one under `items`. Those without a name are left
/// out.
pub fn read(text: &str) -> Result<Vec<(i64, String)>, UpstreamError> {
    #[derive(Deserialize)]
    struct Listed {
        id: i64,
        name: Option<String>,
    }
    #[derive(Deserialize)]
    struct Hosted {
        items: Vec<Listed>,
    }
    let listed = match text.trim_start().starts_with('[') {
        true => parse::<Vec<Listed>>(text)?,
        false => parse_object::<Hosted>(text)?.items,
    };
    let named = listed.into_iter();
    Ok(named
        .filter_map(|listed| Some((listed.id, listed.name?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read_and_who_has_no_name_is_left_out() {
        let items = r#"[{"id":2,"name":"Sales","is_active":false},{"id":3,"name":null},{"id":4}]"#;
        for text in [
            items.to_owned(),
            format!(r#"{{"items":{items},"total":3}}"#),
        ] {
            assert_eq!(read(&text).unwrap(), [(2, "Sales".to_owned())]);
        }
        for text in ["{}", "[1]", r#"[{"name":"Sales"}]"#, "<html>"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
