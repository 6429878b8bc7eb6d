//! The document, the page and `docs/api.md` against the upstream's document and the server.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::http::routing::path::Endpoint;

const UPSTREAM: &str = include_str!("../../../../../tests/fixtures/openapi-calls.json");

/// Names of schemas that the upstream's own code generator made unique.
const RENAMED: [(&str, &str); 2] = [
    ("app__api__schemas__UserResponse", "UserResponse"),
    ("app__api__users__UpdateUserRequest", "UpdateUserRequest"),
];

fn ours() -> Value {
    serde_json::from_str(&DOCUMENT).unwrap()
}

fn upstreams() -> Value {
    let text = RENAMED
        .iter()
        .fold(UPSTREAM.to_owned(), |text, (long, short)| {
            text.replace(long, short)
        });
    serde_json::from_str(&text).unwrap()
}

/// What values a schema allows: `string`, `null`, `string date-time`, a reference, `[…]`.
fn types(schema: &Value) -> BTreeSet<String> {
    let several = ["anyOf", "oneOf"]
        .iter()
        .find_map(|name| schema[name].as_array());
    if let Some(several) = several {
        return several.iter().flat_map(types).collect();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        if reference.ends_with("/LocationPart") {
            return ["integer".to_owned(), "string".to_owned()].into();
        }
        return [reference.to_owned()].into();
    }
    let named = match &schema["type"] {
        Value::Array(names) => names.clone(),
        Value::Null => return BTreeSet::new(),
        name => vec![name.clone()],
    };
    let spell = |name: &Value| match name.as_str().unwrap() {
        "array" => format!("{:?}", types(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            let values = types(&schema["additionalProperties"]);
            format!("{{{values:?}}}").replace("{{}}", "object")
        }
        "string" if schema["format"] == "date-time" => "string date-time".to_owned(),
        name => name.to_owned(),
    };
    named.iter().map(spell).collect()
}

#[test]
fn every_path_and_parameter_of_the_upstreams_document_is_in_ours_with_the_same_type() {
    let (ours, upstreams) = (ours(), upstreams());
    let mut compared = 0;
    for (path, item) in upstreams["paths"].as_object().unwrap() {
        let mine = &ours["paths"][path.trim_end_matches('/')];
        for (method, operation) in item.as_object().unwrap() {
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            assert!(mine[method].is_object(), "{method} {path}");
            for parameter in parameters {
                let name = &parameter["name"];
                let found = mine[method]["parameters"].as_array().unwrap().iter();
                let found = found.into_iter().find(|other| other["name"] == *name);
                let found = found.unwrap_or_else(|| panic!("{method} {path}: {name}"));
                let (theirs, ours) = (&parameter["schema"], &found["schema"]);
                assert_eq!(types(ours), types(theirs), "{path}: {name}");
                assert_eq!(found["in"], parameter["in"], "{path}: {name}");
                for word in ["default", "pattern"] {
                    assert_eq!(ours[word], theirs[word], "{path}: {name}: {word}");
                }
                for word in ["minimum", "maximum"] {
                    assert_eq!(ours[word].as_f64(), theirs[word].as_f64(), "{path}: {name}");
                }
                compared += 1;
            }
            let answer = |operation: &Value| {
                types(&operation["responses"]["200"]["content"]["application/json"]["schema"])
            };
            assert!(
                answer(operation).is_subset(&answer(&mine[method])),
                "{path}"
            );
            let body = |operation: &Value| {
                types(&operation["requestBody"]["content"]["application/json"]["schema"])
            };
            assert_eq!(body(&mine[method]), body(operation), "{path}");
        }
    }
    assert_eq!(compared, 48);
}

#[test]
fn every_field_of_the_upstreams_document_is_in_ours_with_the_same_type() {
    let (ours, upstreams) = (ours(), upstreams());
    let schemas = |document: &Value| document["components"]["schemas"].clone();
    let (ours, upstreams) = (schemas(&ours), schemas(&upstreams));
    let mut compared = 0;
    for (name, schema) in upstreams.as_object().unwrap() {
        for (field, theirs) in schema["properties"].as_object().unwrap() {
            let mine = &ours[name]["properties"][field];
            assert_eq!(types(mine), types(theirs), "{name}.{field}");
            let required = |schema: &Value| {
                let names = schema["required"].as_array();
                names.is_some_and(|names| names.iter().any(|name| name == field.as_str()))
            };
            assert_eq!(required(&ours[name]), required(schema), "{name}.{field}");
            compared += 1;
        }
    }
    assert_eq!(compared, 159);
}

#[test]
fn every_route_is_one_the_server_answers_by_its_method_and_nothing_points_nowhere() {
    for route in ROUTES {
        let path = route
            .path
            .replace("{call_id}", "5")
            .replace("{call_sid}", "CA5");
        let path = path
            .replace("{recording_id}", "7")
            .replace("{write_id}", "1");
        let target = Endpoint::of(&path);
        assert_ne!(target, Endpoint::Unknown, "{path}");
        let allowed = target
            .allow()
            .is_none_or(|allow| allow.split(", ").any(|method| method == route.method));
        assert!(allowed, "{} {path}", route.method);
        assert_eq!(target.is_public(), !route.token, "{path}");
    }
    let document = ours();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 60);
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(
                fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}

#[test]
fn the_page_names_every_route_and_asks_nothing_of_other_hosts() {
    for route in ROUTES {
        assert!(
            PAGE.contains(route.path) && PAGE.contains(route.about),
            "{}",
            route.path
        );
    }
    assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("<script"));
}

#[test]
fn the_api_page_lists_every_route_with_its_origin_and_whether_offline() {
    let page = include_str!("../../../../../docs/api.md");
    let listed = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let methods = ["`GET /", "`POST /", "`PATCH /", "`PUT /", "`DELETE /"];
        let is_route = methods
            .iter()
            .any(|method| line.starts_with(&format!("| {method}")));
        is_route.then(|| cells[1..4].join(" | "))
    });
    let known = ROUTES.iter().map(|route| {
        let offline = if route.offline { "yes" } else { "no" };
        let from = route.from.as_str();
        format!("`{} {}` | {from} | {offline}", route.method, route.path)
    });
    assert_eq!(listed.collect::<Vec<_>>(), known.collect::<Vec<_>>());
}
