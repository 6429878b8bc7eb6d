//! A query string: what it says of each parameter, and all that is wrong with it.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::http::error::ApiError;
use crate::http::params::date;
use crate::http::params::integer;
use crate::http::params::validation_error::{Invalid, Problem};
use crate::model::{Part, Timestamp};

/// Reads one parameter after the other; problems are told in the order in which they were asked
/// for, which has to be the declared one.
pub struct Query<'q> {
    pairs: Vec<(Cow<'q, str>, Cow<'q, str>)>,
    problems: Vec<Invalid>,
}

/// A parameter that has only so many values.
pub struct Choice<T: 'static> {
    pub name: &'static str,
    /// Where it is missing.
    pub usual: T,
    /// As the upstream spells it out to whoever sends another.
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

    /// Of a parameter that is repeated the last, as the upstream does.
    fn last(&self, name: &str) -> Option<&str> {
        let mut named = self.pairs.iter().rev().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_ref())
    }

    /// A filter by a text that narrows something: an empty one does not.
    fn filter(&self, name: &str) -> Option<&str> {
        self.last(name).filter(|value| !value.is_empty())
    }

    /// What `read` makes of a text, or its problem noted.
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
                self.problems.push(Invalid {
                    place: ["query", name],
                    problem,
                    input,
                });
                None
            }
        }
    }

    /// An integer from `least` to `most`; `None` where it is missing or wrong.
    pub fn within(&mut self, name: &'static str, least: i64, most: i64) -> Option<i64> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(integer::within(text, least, most)?))
    }

    /// An integer that is not negative, and as large as it likes: more than fits is the largest.
    pub fn natural(&mut self, name: &'static str) -> Option<u64> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(integer::natural(text)?))
    }

    /// A filter by an integer of any size: what does not fit is the nearest that does. An empty text
    /// is none.
    pub fn integer(&mut self, name: &'static str) -> Option<i64> {
        let given = self.last(name).map(str::to_owned);
        self.noted(name, given, |text| Ok(integer::integer(text)?))
    }

    /// A filter by an instant, which an empty text is not.
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

    /// One of several words; the usual one where it is wrong.
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
    /// [`ApiError::Invalid`] with all that was noted.
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
        let told: Vec<_> = problems.iter().map(|p| (p.place[1], &*p.input)).collect();
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
        let told: Vec<_> = problems.iter().map(|p| (p.place[1], &*p.input)).collect();
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
