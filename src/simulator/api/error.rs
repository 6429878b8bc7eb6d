//! Errors in the upstream's wording.

use super::exchange::ApiResponse;
use crate::simulator::json::string;
use crate::simulator::record::Flavour;

/// One entry of a 422. JSON texts are verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    kind: &'static str,
    loc: Vec<String>,
    msg: String,
    /// A JSON text.
    input: String,
    /// A JSON text.
    ctx: Option<String>,
    /// True if the self-hosted server adds the address of pydantic's page.
    documented: bool,
}

impl Invalid {
    fn new(kind: &'static str, loc: &[&str], msg: &str, input: String) -> Invalid {
        Invalid {
            kind,
            loc: loc.iter().map(|part| string(part)).collect(),
            msg: msg.to_owned(),
            input,
            ctx: None,
            documented: true,
        }
    }

    pub(super) fn integer(place: &str, name: &str, input: &str) -> Invalid {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        Invalid::new("int_parsing", &[place, name], msg, string(input))
    }

    pub(super) fn too_small(name: &str, least: i64, input: &str) -> Invalid {
        let msg = format!("Input should be greater than or equal to {least}");
        Invalid {
            ctx: Some(format!("{{\"ge\":{least}}}")),
            ..Invalid::new("greater_than_equal", &["query", name], &msg, string(input))
        }
    }

    pub(super) fn too_great(name: &str, most: i64, input: &str) -> Invalid {
        let msg = format!("Input should be less than or equal to {most}");
        Invalid {
            ctx: Some(format!("{{\"le\":{most}}}")),
            ..Invalid::new("less_than_equal", &["query", name], &msg, string(input))
        }
    }

    pub(super) fn date(name: &str, why: &str, input: &str) -> Invalid {
        // A text in a known form that is not a Python date has an error of its own.
        let (kind, a) = match why.starts_with("year ") {
            true => ("datetime_parsing", "datetime"),
            false => ("datetime_from_date_parsing", "datetime or date"),
        };
        let msg = format!("Input should be a valid {a}, {why}");
        Invalid {
            ctx: Some(format!("{{\"error\":{}}}", string(why))),
            ..Invalid::new(kind, &["query", name], &msg, string(input))
        }
    }

    /// `pattern` is the regular expression that `input` does not match.
    pub(super) fn pattern(name: &str, pattern: &str, input: &str) -> Invalid {
        let msg = format!("String should match pattern '{pattern}'");
        let kind = "string_pattern_mismatch";
        Invalid {
            ctx: Some(format!("{{\"pattern\":{}}}", string(pattern))),
            ..Invalid::new(kind, &["query", name], &msg, string(input))
        }
    }

    pub(super) fn boolean(name: &str, input: &str) -> Invalid {
        let msg = "Input should be a valid boolean, unable to interpret input";
        Invalid::new("bool_parsing", &["query", name], msg, string(input))
    }

    /// `input` is a JSON text.
    pub(super) fn not_a_string(loc: &[&str], input: &str) -> Invalid {
        let msg = "Input should be a valid string";
        Invalid::new("string_type", loc, msg, input.to_owned())
    }

    /// `input` is the JSON text that lacks the field.
    pub(super) fn missing(loc: &[&str], input: &str) -> Invalid {
        Invalid::new("missing", loc, "Field required", input.to_owned())
    }

    pub(super) fn not_an_object(input: &str) -> Invalid {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        Invalid::new("model_attributes_type", &["body"], msg, input.to_owned())
    }

    pub(super) fn not_a_dictionary(input: &str) -> Invalid {
        let msg = "Input should be a valid dictionary";
        Invalid::new("dict_type", &["body", "metadata"], msg, input.to_owned())
    }

    /// A body that is not JSON. FastAPI itself refuses it, so there is no page of pydantic's.
    pub(super) fn not_json(column: usize) -> Invalid {
        Invalid {
            loc: vec![string("body"), column.to_string()],
            ctx: Some("{\"error\":\"Expecting value\"}".to_owned()),
            documented: false,
            ..Invalid::new("json_invalid", &[], "JSON decode error", "{}".to_owned())
        }
    }

    fn text(&self, flavour: Flavour) -> String {
        let mut text = format!(
            r#"{{"type":"{}","loc":[{}],"msg":{},"input":{}"#,
            self.kind,
            self.loc.join(","),
            string(&self.msg),
            self.input
        );
        if let Some(ctx) = &self.ctx {
            text.push_str(",\"ctx\":");
            text.push_str(ctx);
        }
        if flavour == Flavour::SelfHosted && self.documented {
            text.push_str(",\"url\":\"https://errors.pydantic.dev/2.11/v/");
            text.push_str(self.kind);
            text.push('"');
        }
        text.push('}');
        text
    }
}

/// A 422 that lists everything that is wrong.
pub(super) fn unprocessable(flavour: Flavour, errors: &[Invalid]) -> ApiResponse {
    let errors: Vec<String> = errors.iter().map(|error| error.text(flavour)).collect();
    ApiResponse::json(422, format!("{{\"detail\":[{}]}}", errors.join(",")))
}

/// An error with one sentence.
pub(super) fn detail(status: u16, sentence: &str) -> ApiResponse {
    ApiResponse::json(status, format!("{{\"detail\":{}}}", string(sentence)))
}

pub(super) fn not_found() -> ApiResponse {
    detail(404, "Not Found")
}

/// `kind` is `ID` or `SID`.
pub(super) fn no_such_call(kind: &str, key: &str) -> ApiResponse {
    let sentence = format!("Call with {kind} {key} not found in your organization");
    detail(404, &sentence)
}

pub(super) fn method_not_allowed(allow: &str) -> ApiResponse {
    let mut response = detail(405, "Method Not Allowed");
    response.headers.push(("allow", allow.to_owned()));
    response
}

/// The 401 for a bad key, which a server also answers while its database is down.
pub(in super::super) fn unauthorized() -> ApiResponse {
    let mut response = detail(
        401,
        "Authentication required. Provide a valid API key or login session.",
    );
    response
        .headers
        .push(("www-authenticate", "Bearer".to_owned()));
    response
}

/// The plain-text 500 of a handler that raised an exception.
pub(in super::super) fn server_error() -> ApiResponse {
    ApiResponse::new(500, "text/plain; charset=utf-8", "Internal Server Error")
}
