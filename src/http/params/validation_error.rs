//! Invalid parameters, as the hosted upstream reports them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::http::params::{InvalidDate, InvalidInteger};

/// A part of a request that is not valid.
#[derive(Debug)]
pub struct Invalid {
    /// Where it is: `["path", "call_id"]`, `["body", 7]`.
    pub place: Vec<Step>,
    pub problem: Problem,
    pub input: Input,
}

/// A step on the way to a value: a name, or a position in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Step {
    Name(&'static str),
    Position(usize),
}

/// The value as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Text(String),
    /// JSON, in the client's spelling.
    Json(String),
}

/// The problem with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Integer(InvalidInteger),
    Date(InvalidDate),
    Boolean,
    /// The text does not match this expression.
    Pattern(&'static str),
    Missing,
    NotJson,
    /// Not an object, whose members are the fields.
    NoFields,
    /// Not an object.
    NoObject,
}

impl Invalid {
    /// A parameter of the query.
    pub fn query(name: &'static str, problem: impl Into<Problem>, input: &str) -> Invalid {
        Invalid {
            place: vec![Step::Name("query"), Step::Name(name)],
            problem: problem.into(),
            input: Input::Text(input.to_owned()),
        }
    }

    /// A parameter of the path.
    pub fn path(name: &'static str, problem: impl Into<Problem>, input: &str) -> Invalid {
        Invalid {
            place: vec![Step::Name("path"), Step::Name(name)],
            problem: problem.into(),
            input: Input::Text(input.to_owned()),
        }
    }

    /// A part of the body, whose value is `input` in JSON.
    pub fn body(below: Option<Step>, problem: Problem, input: &str) -> Invalid {
        Invalid {
            place: [Step::Name("body")].into_iter().chain(below).collect(),
            problem,
            input: Input::Json(input.to_owned()),
        }
    }
}

impl From<InvalidInteger> for Problem {
    fn from(invalid: InvalidInteger) -> Problem {
        Problem::Integer(invalid)
    }
}

impl From<InvalidDate> for Problem {
    fn from(invalid: InvalidDate) -> Problem {
        Problem::Date(invalid)
    }
}

/// An entry of the upstream's 422, as the hosted version writes it (without `url`).
#[derive(Serialize)]
pub struct Entry<'a> {
    r#type: &'static str,
    loc: &'a [Step],
    msg: Cow<'static, str>,
    input: Value<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Context>,
}

/// The figure or the text in the message.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Context {
    Ge(i64),
    Le(i64),
    Error(&'static str),
    Pattern(&'static str),
}

/// [`Input`], serialized.
#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

impl Invalid {
    pub fn entry(&self) -> Entry<'_> {
        let (kind, msg, ctx) = self.problem.told();
        let input = match &self.input {
            Input::Text(text) => Value::Text(text),
            // Only what was parsed, or written here, is `Json`.
            Input::Json(json) => serde_json::from_str(json).map_or(Value::Text(json), Value::Json),
        };
        Entry {
            r#type: kind,
            loc: &self.place,
            msg,
            input,
            ctx,
        }
    }
}

impl Problem {
    /// Its type, its message and its context, in pydantic's words.
    fn told(self) -> (&'static str, Cow<'static, str>, Option<Context>) {
        match self {
            Problem::Integer(InvalidInteger::Malformed) => (
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer".into(),
                None,
            ),
            Problem::Integer(InvalidInteger::TooLong) => (
                "int_parsing_size",
                "Unable to parse input string as an integer, exceeded maximum size".into(),
                None,
            ),
            Problem::Integer(InvalidInteger::Below(least)) => (
                "greater_than_equal",
                format!("Input should be greater than or equal to {least}").into(),
                Some(Context::Ge(least)),
            ),
            Problem::Integer(InvalidInteger::Above(most)) => (
                "less_than_equal",
                format!("Input should be less than or equal to {most}").into(),
                Some(Context::Le(most)),
            ),
            Problem::Date(InvalidDate::Form(why)) => (
                "datetime_from_date_parsing",
                format!("Input should be a valid datetime or date, {why}").into(),
                Some(Context::Error(why)),
            ),
            Problem::Date(InvalidDate::Year(why)) => (
                "datetime_parsing",
                format!("Input should be a valid datetime, {why}").into(),
                Some(Context::Error(why)),
            ),
            Problem::Boolean => (
                "bool_parsing",
                "Input should be a valid boolean, unable to interpret input".into(),
                None,
            ),
            Problem::Missing => ("missing", "Field required".into(), None),
            Problem::NotJson => (
                "json_invalid",
                "JSON decode error".into(),
                Some(Context::Error("Expecting value")),
            ),
            Problem::NoFields => (
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from".into(),
                None,
            ),
            Problem::NoObject => (
                "dict_type",
                "Input should be a valid dictionary".into(),
                None,
            ),
            Problem::Pattern(pattern) => (
                "string_pattern_mismatch",
                format!("String should match pattern '{pattern}'").into(),
                Some(Context::Pattern(pattern)),
            ),
        }
    }
}
