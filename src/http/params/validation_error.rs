//! Invalid parameters, as the hosted upstream reports them.

use std::borrow::Cow;

use serde::Serialize;

use crate::http::params::{InvalidDate, InvalidInteger};
use crate::http::respond::json;

/// A parameter that can't be read.
#[derive(Debug)]
pub struct Invalid {
    /// `["path", "call_id"]`
    pub place: [&'static str; 2],
    pub problem: Problem,
    pub input: String,
}

/// The problem with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Integer(InvalidInteger),
    Date(InvalidDate),
    /// The text does not match this expression.
    Pattern(&'static str),
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
    loc: [&'static str; 2],
    msg: Cow<'static, str>,
    input: &'a str,
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

impl Invalid {
    /// As JSON.
    pub fn text(&self) -> String {
        json(&self.entry())
    }

    pub fn entry(&self) -> Entry<'_> {
        let (kind, msg, ctx) = self.problem.told();
        Entry {
            r#type: kind,
            loc: self.place,
            msg,
            input: &self.input,
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
            Problem::Pattern(pattern) => (
                "string_pattern_mismatch",
                format!("String should match pattern '{pattern}'").into(),
                Some(Context::Pattern(pattern)),
            ),
        }
    }
}
