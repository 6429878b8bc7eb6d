//! `/openapi.json` and `/docs`: what can be asked, made of the table of routes. Both work offline.

mod page;
mod route;
mod routes;
mod schemas;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use utoipa::OpenApi;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Header, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
};

use route::{Answer, From, Kind, Parameter, Route};
use routes::ROUTES;

/// The schemas; the paths are added to it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "burki-edge",
        description = "An edge replica of an organization's Burki call records: the calls API, \
            answered from a local file, and the edge's own endpoints."
    ),
    components(schemas(
        schemas::CallResponse,
        schemas::PaginatedCallsResponse,
        schemas::CallCountResponse,
        schemas::CallStatsResponse,
        schemas::CallAnalyticsResponse,
        schemas::DailyStat,
        schemas::AssistantStat,
        schemas::TranscriptResponse,
        schemas::RecordingResponse,
        schemas::ChatMessageResponse,
        schemas::CallMetricsResponse,
        schemas::WebhookLogResponse,
        schemas::UpdateCallMetadataRequest,
        schemas::UserResponse,
        schemas::UpdateUserRequest,
        schemas::HTTPValidationError,
        schemas::ValidationError,
        schemas::LocationPart,
        schemas::Detail,
    ))
)]
struct Schemas;

/// The document, and the page of it.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
static PAGE: LazyLock<String> = LazyLock::new(|| page::render(ROUTES));

/// The scheme of the calls API's keys.
const BEARER: &str = "bearer";

pub fn get() -> HttpResponse {
    fixed("application/json", &DOCUMENT)
}

pub fn get_page() -> HttpResponse {
    fixed("text/html; charset=utf-8", &PAGE)
}

/// The same for as long as the program runs; it says nothing of the calls.
fn fixed(kind: &'static str, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, text).map_into_boxed_body();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Schemas::openapi();
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        let item = PathItem::new(method(route), operation(route));
        paths = paths.path(route.path, item);
    }
    document.paths = paths.build();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    if let Some(components) = &mut document.components {
        components.add_security_scheme(BEARER, SecurityScheme::Http(key));
    }
    document
}

fn method(route: &Route) -> HttpMethod {
    match route.method {
        "PATCH" => HttpMethod::Patch,
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Route) -> OperationBuilder {
    let name = format!("{} {}", route.method, route.path);
    let id: String = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    let offline = if route.offline { "yes" } else { "no" };
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id.to_ascii_lowercase()))
        .summary(Some(route.about))
        .description(Some(format!(
            "From: {}. Offline: {offline}.",
            route.from.as_str()
        )))
        .tag(match route.from {
            From::Edge => "edge",
            _ => "calls",
        });
    for parameter in route.parameters {
        operation = operation.parameter(self::parameter(route, parameter));
    }
    if let Some(schema) = route.body {
        let content = ContentBuilder::new().schema(Some(reference(schema)));
        let body = RequestBodyBuilder::new()
            .content("application/json", content.build())
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    if route.token {
        operation = operation.security(SecurityRequirement::new(BEARER, [] as [&str; 0]));
    }
    operation = operation.response(route.status.to_string(), answer(route));
    for (status, about) in refusals(route) {
        let schema = match status {
            422 => "HTTPValidationError",
            _ => "Detail",
        };
        operation = operation.response(status.to_string(), refusal(about, schema));
    }
    if route.from != From::Edge && route.method == "GET" {
        let unchanged = Response::new("the client has it already");
        operation = operation.response("304", unchanged);
    }
    operation
}

fn parameter(route: &Route, parameter: &Parameter) -> ParameterBuilder {
    let in_path = route.path.contains(&format!("{{{}}}", parameter.name));
    let (place, required) = match in_path {
        true => (ParameterIn::Path, Required::True),
        false => (ParameterIn::Query, Required::False),
    };
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(place)
        .required(required)
        .description(Some(parameter.about))
        .schema(Some(schema(parameter.kind, in_path)))
}

fn schema(kind: Kind, required: bool) -> Schema {
    let of = |kind: Type, nullable: bool| match nullable {
        true => SchemaType::from_iter([kind, Type::Null]),
        false => SchemaType::new(kind),
    };
    let object = match kind {
        Kind::Integer {
            default,
            least,
            most,
        } => ObjectBuilder::new()
            .schema_type(of(Type::Integer, !required && default.is_none()))
            .default(default.map(serde_json::Value::from))
            .minimum(least.map(|least| least as f64))
            .maximum(most.filter(|most| *most < i64::MAX).map(|most| most as f64)),
        Kind::Text => ObjectBuilder::new().schema_type(of(Type::String, !required)),
        Kind::Date => ObjectBuilder::new()
            .schema_type(of(Type::String, true))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        Kind::Choice(words) => ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({})$", sorted(words).join("|"))))
            .default(words.first().map(|word| serde_json::Value::from(*word))),
        Kind::Flag => ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .default(Some(serde_json::Value::from(false))),
    };
    Schema::Object(object.build())
}

/// In the order in which the upstream's pattern names them: a period by its days.
fn sorted(words: &[&'static str]) -> Vec<&'static str> {
    let mut words = words.to_vec();
    let days = |word: &str| {
        word.strip_suffix('d')
            .and_then(|days| days.parse::<u32>().ok())
    };
    if words.iter().all(|word| days(word).is_some()) {
        words.sort_by_key(|word| days(word));
    }
    words
}

fn reference(schema: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(schema))
}

fn answer(route: &Route) -> Response {
    let response = ResponseBuilder::new().description(route.about);
    let json = |schema: RefOr<Schema>| ContentBuilder::new().schema(Some(schema)).build();
    let response = match route.answer {
        Answer::Object(schema) => response.content("application/json", json(reference(schema))),
        Answer::List(schema) => {
            let list = ArrayBuilder::new().items(reference(schema)).build();
            response.content("application/json", json(RefOr::T(Schema::Array(list))))
        }
        Answer::Json => {
            let object = ObjectBuilder::new().schema_type(Type::Object).build();
            response.content("application/json", json(RefOr::T(Schema::Object(object))))
        }
        Answer::Media(kinds) => kinds.iter().fold(response, |response, kind| {
            response.content(*kind, ContentBuilder::new().build())
        }),
        Answer::Empty => response,
    };
    let told = match route.from {
        From::Local | From::ReadThrough => &["Age", "Cache-Status", "ETag"][..],
        From::Forwarded | From::Edge => &[],
    };
    let response = told.iter().fold(response, |response, name| {
        response.header(*name, Header::default())
    });
    response.build()
}

fn refusal(about: &str, schema: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(reference(schema)));
    ResponseBuilder::new()
        .description(about)
        .content("application/json", content.build())
        .build()
}

/// What a request may get instead.
fn refusals(route: &Route) -> Vec<(u16, &'static str)> {
    let mut refusals = vec![
        (405, "not by this method"),
        (414, "the path or the query is too long"),
        (431, "the headers are too long"),
        (500, "the edge failed; its log says why"),
    ];
    if route.token {
        refusals.push((401, "no valid token"));
    }
    if !route.parameters.is_empty() || route.body.is_some() {
        refusals.push((422, "a parameter can't be read"));
    }
    let calls_api = route.from != From::Edge;
    if calls_api {
        refusals.extend([
            (403, "it is passed on with a Burki API key alone"),
            (503, "neither held nor to be asked for now"),
            (
                504,
                "the upstream did not answer in time, or was not to be asked",
            ),
        ]);
    }
    if route.from == From::Forwarded {
        refusals.extend([
            (404, "the upstream has none"),
            (422, "the upstream can't read it"),
            (429, "the upstream asks for fewer requests"),
        ]);
    }
    if route.path.contains('{') {
        refusals.push((404, "there is none"));
    }
    if route.body.is_some() {
        refusals.extend([
            (408, "the body came too slowly"),
            (413, "the body is too large"),
        ]);
    }
    if route.path == "/readyz" || route.path == "/edge/changes" {
        refusals.push((503, "not yet, or too busy"));
    }
    if route.path.ends_with("/metadata") {
        refusals.push((
            202,
            "kept until the upstream can be asked, and shown here as if made",
        ));
    }
    if route.method == "DELETE" {
        refusals.extend([
            (403, "only who sends the Burki API key may"),
            (409, "it is being sent"),
        ]);
    }
    if route.path.ends_with("/play") {
        refusals.extend([(202, "it is still being made"), (416, "no such range")]);
    }
    refusals
}

#[cfg(test)]
mod tests;
