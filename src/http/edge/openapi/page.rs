//! The document as a page that needs nothing from elsewhere.

use maud::{Markup, html};
use serde_json::Value;

/// Renders the operations in the order of the file, which is a reader's: a parsed object sorts its
/// keys.
pub fn render(document: &Value, file: &str) -> String {
    let mut paths: Vec<_> = fields(&document["paths"]).collect();
    paths.sort_by_key(|(path, _)| file.find(&format!("\"{path}\": {{")));
    let operations = html! {
        @for (path, item) in paths {
            @for (method, object) in fields(item) { (operation(method, path, object)) }
        }
    };
    include_str!("page.html").replace("<!-- operations -->", &operations.into_string())
}

fn operation(method: &str, path: &str, operation: &Value) -> Markup {
    let success = fields(&operation["responses"]).find(|(status, _)| status.starts_with('2'));
    let token = match operation["security"].is_array() {
        true => "yes",
        false => "no",
    };
    html! {
        details {
            summary {
                b { (method.to_ascii_uppercase()) }
                code { (path) }
                span.about { (text(&operation["summary"])) }
            }
            p {
                (text(&operation["description"])) " Token: " (token) "."
                @if let Some((status, response)) = success {
                    " " (status) ": " (body(&response["content"])) "."
                }
                @if let Some(request) = operation.get("requestBody") {
                    " Body: " (body(&request["content"])) "."
                }
            }
            @if let Some(parameters) = operation["parameters"].as_array() {
                table {
                    tr { th { "parameter" } th { "written as" } th { "means" } }
                    @for parameter in parameters {
                        tr {
                            td { code { (text(&parameter["name"])) } }
                            td { (written(&parameter["schema"])) }
                            td { (text(&parameter["description"])) }
                        }
                    }
                }
            }
        }
    }
}

/// What a body holds: an object or a list by the name of its schema, else its media types.
fn body(content: &Value) -> Markup {
    let schema = &content["application/json"]["schema"];
    let (one, each) = (text(&schema["$ref"]), text(&schema["items"]["$ref"]));
    let name = |reference: &str| reference.replace("#/components/schemas/", "");
    let media_types: Vec<&str> = fields(content).map(|(name, _)| name.as_str()).collect();
    html! {
        @if !one.is_empty() { code { (name(one)) } }
        @else if !each.is_empty() { "a list of " code { (name(each)) } }
        @else if schema.is_object() { "an object" }
        @else if content.is_null() { "nothing more" }
        @else { (media_types.join(", ")) }
    }
}

/// How a parameter is written, and what it is where it is left out.
fn written(schema: &Value) -> String {
    let types = &schema["type"];
    let bound = |word, key| schema.get(key).map(|bound| format!(" {word} {bound}"));
    let form = match types.as_str().unwrap_or(text(&types[0])) {
        "integer" => {
            let bounds = [bound("from", "minimum"), bound("to", "maximum")];
            let bounds: String = bounds.into_iter().flatten().collect();
            format!("integer{bounds}")
        }
        "boolean" => "true or false".to_owned(),
        _ if schema["format"] == "date-time" => {
            "2026-11-22, 2026-11-22T10:00:00Z, or seconds since 1970".to_owned()
        }
        _ => match text(&schema["pattern"]) {
            "" => "text".to_owned(),
            choice => choice.trim_matches(['^', '(', ')', '$']).replace('|', ", "),
        },
    };
    match &schema["default"] {
        Value::Null => form,
        default => format!("{form}; default {}", default.to_string().trim_matches('"')),
    }
}

fn fields(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
