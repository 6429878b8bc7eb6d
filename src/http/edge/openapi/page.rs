//! The routes as a page that needs nothing from elsewhere.

use maud::{DOCTYPE, Markup, html};

use crate::http::edge::openapi::route::{Answer, Kind, Parameter, Route};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#1b1f24;background:#fff}code{font:14px ui-monospace,monospace}\
    details{border:1px solid #d0d7de;border-radius:6px;margin:.5rem 0;padding:.5rem .75rem}\
    summary{cursor:pointer;display:flex;gap:.75rem;align-items:baseline;flex-wrap:wrap}\
    summary b{min-width:3.5rem}.about{color:#57606a}table{border-collapse:collapse;margin:.5rem 0}\
    td,th{border:1px solid #d0d7de;padding:.25rem .6rem;text-align:left;vertical-align:top}\
    @media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}\
    .about{color:#8d96a0}details,td,th{border-color:#30363d}}";

pub fn render(routes: &[Route]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "burki-edge: the API" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "burki-edge: the API" }
                p {
                    "Send " code { "Authorization: Bearer <key>" } " where a token is asked for. "
                    "The same as " a href="/openapi.json" { "/openapi.json" } "."
                }
                @for route in routes { (operation(route)) }
            }
        }
    };
    page.into_string()
}

fn operation(route: &Route) -> Markup {
    html! {
        details {
            summary {
                b { (route.method) }
                code { (route.path) }
                span.about { (route.about) }
            }
            p {
                "From: " (route.from.as_str()) ". Offline: " (yes(route.offline))
                ". Token: " (yes(route.token)) ". "
                (route.status) ": " (answer(route.answer)) "."
                @if let Some(body) = route.body { " Body: " code { (body) } "." }
            }
            @if !route.parameters.is_empty() {
                table {
                    tr { th { "parameter" } th { "written as" } th { "means" } }
                    @for parameter in route.parameters { (row(parameter)) }
                }
            }
        }
    }
}

fn row(parameter: &Parameter) -> Markup {
    html! {
        tr {
            td { code { (parameter.name) } }
            td { (written(parameter.kind)) }
            td { (parameter.about) }
        }
    }
}

fn written(kind: Kind) -> String {
    match kind {
        Kind::Integer {
            default,
            least,
            most,
        } => {
            let bound = |bound: Option<i64>| bound.map_or(String::new(), |bound| bound.to_string());
            let range = match (least, most) {
                (None, None) => String::new(),
                (least, most) => format!(" {} to {}", bound(least), bound(most)),
            };
            let default = default.map_or(String::new(), |default| format!("; {default}"));
            format!("integer{range}{default}")
        }
        Kind::Text => "text".to_owned(),
        Kind::Choice(words) => words.join(", "),
        Kind::Date => "2026-11-22, 2026-11-22T10:00:00Z, or seconds since 1970".to_owned(),
        Kind::Flag => "true or false; false".to_owned(),
    }
}

fn answer(answer: Answer) -> Markup {
    html! {
        @match answer {
            Answer::Object(schema) => code { (schema) },
            Answer::List(schema) => { "a list of " code { (schema) } },
            Answer::Json => "an object",
            Answer::Media(kinds) => (kinds.join(", ")),
            Answer::Empty => "nothing more",
        }
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
