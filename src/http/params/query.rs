//! A query string: its parameters, and all problems with them.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::http::error::ApiError;
use crate::http::params::date;
use crate::http::params::integer;
use crate::http::params::validation_error::{Invalid, Problem};
use crate::model::{Part, Timestamp};

/// Reads one parameter after the other. Problems are reported in the order of reading, which has to
/// be the order of declaration.
pub struct Query<'q> {
    pairs: Vec<(Cow<'q, str>, Cow<'q, str>)>,
    problems: Vec<Invalid>,
}

/// A parameter with a fixed set of values.
pub struct Choice<T: 'static> {
    pub name: &'static str,
    /// The value if the parameter is missing.
    pub usual: T,
    /// The pattern in the upstream's message about any other value.
    pub pattern: &'static str,
    pub values: &'static [(&'static str, T)],
}

impl<'q> Query<'q> {
    pub fn of(raw: &'q str) -> Query<'q> {
        Query {
            pairs: form_urlencoded::parse(raw.as_bytes()).collect(),
            problems: Vec::new(),
        }
    }

    /// The value of a parameter. If it is repeated, the last counts, as with the upstream.
    fn last(&self, name: &str) -> Option<&str> {
        let mut named = self.pairs.iter().rev().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_ref())
    }

    /// The text of a filter that narrows something, which an empty text does not.
    fn filter(&self, name: &str) -> Option<&str> {
        self.last(name).filter(|value| !value.is_empty())
    }

    /// The result of `read`; a problem is recorded.
    fn noted<T>(
        &mut self,
        name: &'static str,
        given: Option<String>,
        read: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let input = given?;
        match read(&input) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(Invalid::query(name, problem, &input));
                None
            }
        }
    }

    /// An integer from `least` to `most`; `None` if it is missing or invalid.
    pub fn within(&mut self, name: &'static str, least: i64, most: i64) -> Option<i64> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(integer::within(text, least, most)?))
    }

    /// An integer that is not negative. One that does not fit becomes the largest.
    pub fn natural(&mut self, name: &'static str) -> Option<u64> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(integer::natural(text)?))
    }

    /// A filter by an integer. One that does not fit becomes the nearest that does. An empty text
    /// is invalid.
    pub fn integer(&mut self, name: &'static str) -> Option<i64> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(integer::integer(text)?))
    }

    /// A filter by an instant. An empty text is invalid.
    pub fn date(&mut self, name: &'static str) -> Option<Timestamp> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(date::date(text)?))
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.filter(name).map(str::to_owned)
    }

    pub fn part(&self, name: &str) -> Option<Part> {
        self.filter(name).map(Part::new)
    }

    /// One of several values; the usual one if it is invalid.
    pub fn choice<T: Copy>(&mut self, choice: &Choice<T>) -> T {
        let given = self.last(choice.name).map(str::to_owned);
        let read = |text: &str| {
            let mut values = choice.values.iter();
            let found = values.find(|(word, _)| *word == text);
            found
                .map(|(_, value)| *value)
                .ok_or(Problem::Pattern(choice.pattern))
        };
        self.noted(choice.name, given, read).unwrap_or(choice.usual)
    }

    /// # Errors
    /// [`ApiError::Invalid`] with all recorded problems.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(ApiError::Invalid(self.problems)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::params::validation_error::{Input, Step};

    /// The name of the parameter, and its text.
    fn of_query(invalid: &Invalid) -> (&'static str, &str) {
        match (&invalid.place[..], &invalid.input) {
            ([Step::Name("query"), Step::Name(name)], Input::Text(text)) => (name, text),
            other => panic!("{other:?}"),
        }
    }

    const COLOUR: Choice<u8> = Choice {
        name: "colour",
        usual: 1,
        pattern: "^(red|blue)$",
        values: &[("red", 1), ("blue", 2)],
    };

    #[test]
    fn of_a_repeated_parameter_the_last_counts_and_a_plus_is_a_space() {
        let mut query = Query::of("a=1&a=%2B2&b=x+y&c=&status=&unknown=%zz");
        assert_eq!(query.within("a", 0, 9), Some(2));
        assert_eq!(query.text("b").as_deref(), Some("x y"));
        assert_eq!(query.text("c"), None);
        assert_eq!(query.choice(&COLOUR), 1);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn an_empty_text_narrows_nothing_and_an_empty_number_or_instant_is_wrong() {
        let mut query = Query::of("a=&b=&c=&d=");
        assert_eq!((query.text("a"), query.part("b")), (None, None));
        assert_eq!((query.integer("c"), query.date("d")), (None, None));
        let Err(ApiError::Invalid(problems)) = query.finish() else {
            panic!("there are problems")
        };
        let told: Vec<_> = problems.iter().map(of_query).collect();
        assert_eq!(told, [("c", ""), ("d", "")]);
    }

    #[test]
    fn an_integer_of_any_size_compares_as_it_should() {
        let mut query = Query::of("a=99999999999999999999&b=-99999999999999999999&c=-5&d=0");
        assert_eq!(query.integer("a"), Some(i64::MAX));
        assert_eq!(query.natural("a"), Some(u64::MAX));
        assert_eq!(query.integer("b"), Some(i64::MIN));
        assert_eq!(query.integer("c"), Some(-5));
        assert_eq!(query.integer("d"), Some(0));
        assert!(query.finish().is_ok());
    }

    #[test]
    fn all_that_is_wrong_is_told_in_the_order_it_was_asked_for() {
        let mut query = Query::of("colour=green&d=garbage&b=1.5&s=-1&a=");
        query.within("a", 0, 9);
        query.natural("s");
        query.integer("b");
        query.date("d");
        assert_eq!(query.choice(&COLOUR), 1);
        let Err(ApiError::Invalid(problems)) = query.finish() else {
            panic!("there are problems")
        };
        let told: Vec<_> = problems.iter().map(of_query).collect();
        assert_eq!(
            told,
            [
                ("a", ""),
                ("s", "-1"),
                ("b", "1.5"),
                ("d", "garbage"),
                ("colour", "green")
            ]
        );
    }
}
