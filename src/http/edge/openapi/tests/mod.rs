//! The document, the page and `docs/api.md` against the upstream's document and the server.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::http::routing::path::{Endpoint, Name};
use crate::model::Detail;

const UPSTREAM: &str = include_str!("../../../../../tests/fixtures/openapi-calls.json");

/// Names of schemas that the upstream's own code generator made unique.
const RENAMED: [(&str, &str); 2] = [
    ("app__api__schemas__UserResponse", "UserResponse"),
    ("app__api__users__UpdateUserRequest", "UpdateUserRequest"),
];

/// An operation of our document.
struct Route {
    method: String,
    path: &'static str,
    operation: &'static Value,
}

impl Route {
    fn text(&self, field: &str) -> &'static str {
        self.operation[field].as_str().unwrap()
    }

    /// Where the answer comes from, and whether it does so offline.
    fn origin(&self) -> (&'static str, &'static str) {
        let said = self.text("description").strip_prefix("From: ").unwrap();
        let (from, offline) = said.split_once(". Offline: ").unwrap();
        (from, offline.strip_suffix('.').unwrap())
    }

    fn takes_a_token(&self) -> bool {
        self.operation["security"].is_array()
    }

    fn parameters(&self) -> impl Iterator<Item = &'static Value> {
        self.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
    }

    fn example(&self) -> String {
        let path = self.path.replace("{call_id}", "5");
        let path = path.replace("{call_sid}", "CA5");
        let path = path.replace("{recording_id}", "7");
        path.replace("{write_id}", "1")
    }
}

/// In the order of the file.
fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_ascii_uppercase();
            routes.push(Route {
                method,
                path,
                operation,
            });
        }
    }
    routes.sort_by_key(|route| FILE.find(&format!("\"{}\": {{", route.path)).unwrap());
    routes
}

/// As it is served.
fn ours() -> Value {
    serde_json::from_str(&JSON).unwrap()
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
fn the_upstreams_paths_and_parameters_are_in_ours_with_the_same_types() {
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
fn the_upstreams_fields_are_in_ours_with_the_same_types() {
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

/// Every endpoint of the edge's own that the document names.
fn endpoints() -> Vec<Endpoint<'static>> {
    let (id, sid) = (Name::Id("5"), Name::Sid("CA5"));
    let mut endpoints = vec![
        Endpoint::Calls,
        Endpoint::Count,
        Endpoint::Stats,
        Endpoint::Analytics,
        Endpoint::Export,
        Endpoint::Call(id),
        Endpoint::Call(sid),
        Endpoint::Details(sid, Detail::Transcripts),
        Endpoint::Details(sid, Detail::Recordings),
        Endpoint::TranscriptsExport("5"),
        Endpoint::Audio {
            call: "5",
            recording: "7",
        },
        Endpoint::Metadata("5"),
        Endpoint::Status,
        Endpoint::Sync,
        Endpoint::ReleaseHolds,
        Endpoint::Changes,
        Endpoint::Writes,
        Endpoint::Write("1"),
        Endpoint::Health,
        Endpoint::Readiness,
        Endpoint::OpenApi,
        Endpoint::Docs,
    ];
    endpoints.extend(Detail::ALL.map(|detail| Endpoint::Details(id, detail)));
    endpoints
}

/// Whether `endpoints` lists it. A new one does not compile before it is entered in both.
fn is_listed(endpoint: Endpoint<'_>) -> bool {
    use Endpoint::*;
    match endpoint {
        // Passed on, or nothing at all; and the webhook's path is a secret that Burki alone is given.
        Elsewhere | Unknown | Webhook(_) => false,
        Calls | Count | Stats | Analytics | Export | Call(_) | Details(..) => true,
        TranscriptsExport(_) | Audio { .. } | Metadata(_) => true,
        Status | Sync | ReleaseHolds | Changes | Writes | Write(_) => true,
        Health | Readiness | OpenApi | Docs => true,
    }
}

#[test]
fn every_endpoint_is_in_the_document_with_its_methods_and_no_other_is() {
    let routes = routes();
    for endpoint in endpoints() {
        assert!(is_listed(endpoint), "{endpoint:?}");
        let methods = routes.iter().filter(|route| {
            let path = route.example();
            Endpoint::of(&path) == endpoint
        });
        let methods: BTreeSet<&str> = methods.map(|route| route.method.as_str()).collect();
        // `HEAD` works wherever `GET` does, and goes without saying.
        let allowed = endpoint.allow().unwrap().split(", ");
        let allowed = allowed.filter(|method| *method != "HEAD").collect();
        assert_eq!(methods, allowed, "{endpoint:?}");
    }
    for route in &routes {
        let path = route.example();
        let endpoint = Endpoint::of(&path);
        assert_ne!(endpoint, Endpoint::Unknown, "{path}");
        assert_eq!(endpoint.is_public(), !route.takes_a_token(), "{path}");
        match endpoint {
            Endpoint::Elsewhere => assert_eq!(route.origin(), ("forwarded", "no"), "{path}"),
            _ => assert!(endpoints().contains(&endpoint), "{path}"),
        }
    }
}

#[test]
fn every_operation_lists_the_answers_that_it_can_get() {
    let mut ids = BTreeSet::new();
    for route in routes() {
        let (from, _) = route.origin();
        let (own, read) = (from == "the edge", route.method == "GET");
        let has_body = route.operation["requestBody"].is_object();
        let has_input = has_body || route.parameters().next().is_some();
        let in_path = route.path.contains('{');
        let expected: [(bool, &[&str]); 8] = [
            (true, &["405", "414", "431", "500"]),
            (route.takes_a_token(), &["401"]),
            (has_input, &["422"]),
            (in_path, &["404"]),
            (has_body, &["408", "413"]),
            (!own, &["403", "503", "504"]),
            (!own && read, &["304"]),
            (from == "forwarded", &["404", "422", "429"]),
        ];
        let responses = &route.operation["responses"];
        let place = format!("{} {}", route.method, route.path);
        for (_, statuses) in expected.iter().filter(|(expected, _)| *expected) {
            for status in *statuses {
                assert!(responses[status].is_object(), "{place}: {status}");
            }
        }
        let headers = responses["200"]["headers"].as_object();
        let headers: Vec<&String> = headers.into_iter().flat_map(|all| all.keys()).collect();
        match from {
            "local" | "read-through" => assert_eq!(headers, ["Age", "Cache-Status", "ETag"]),
            _ => assert!(headers.is_empty(), "{place}"),
        }
        for parameter in route.parameters() {
            let name = parameter["name"].as_str().unwrap();
            let in_path = route.path.contains(&format!("{{{name}}}"));
            assert_eq!(parameter["required"], in_path, "{place}: {name}");
            assert_eq!(parameter["in"] == "path", in_path, "{place}: {name}");
        }
        let in_path = route
            .parameters()
            .filter(|parameter| parameter["in"] == "path");
        assert_eq!(in_path.count(), route.path.matches('{').count(), "{place}");
        assert!(ids.insert(route.text("operationId")), "{place}");
        let tag = if own { "edge" } else { "calls" };
        assert_eq!(route.operation["tags"], serde_json::json!([tag]), "{place}");
    }
}

#[test]
fn the_document_is_of_this_version_and_no_reference_leads_nowhere() {
    let document = ours();
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
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
    for route in routes() {
        let head = format!("<b>{}</b><code>{}</code>", route.method, route.path);
        let details = PAGE.split("<details>").find(|part| part.contains(&head));
        let details = details.unwrap_or_else(|| panic!("{head}"));
        for field in ["summary", "description"] {
            assert!(details.contains(route.text(field)), "{head}: {field}");
        }
        for parameter in route.parameters() {
            for field in ["name", "description"] {
                let text = parameter[field].as_str().unwrap();
                assert!(details.contains(text), "{head}: {text}");
            }
        }
    }
    assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("<script"));
}

#[test]
fn the_page_says_what_is_sent_and_what_comes_back() {
    for text in [
        "Token: yes. 200: <code>PaginatedCallsResponse</code>.",
        "Token: yes. 200: a list of <code>TranscriptResponse</code>.",
        "Token: yes. 200: <code>UserResponse</code>. Body: <code>UpdateUserRequest</code>.",
        "Token: yes. 200: audio/mpeg, audio/wav.",
        "Token: yes. 202: an object.",
        "Token: yes. 204: nothing more.",
        "Token: no. 200: text/html.",
        "<td>integer from 1 to 1000; default 100</td>",
        "<td>integer from 0; default 0</td>",
        "<td>integer</td>",
        "<td>text</td>",
        "<td>1d, 7d, 30d, 90d; default 7d</td>",
        "<td>true or false; default false</td>",
        "<td>2026-11-22, 2026-11-22T10:00:00Z, or seconds since 1970</td>",
    ] {
        assert!(PAGE.contains(text), "{text}");
    }
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
    let routes = routes();
    let known = routes.iter().map(|route| {
        let (from, offline) = route.origin();
        format!("`{} {}` | {from} | {offline}", route.method, route.path)
    });
    assert_eq!(listed.collect::<Vec<_>>(), known.collect::<Vec<_>>());
}
