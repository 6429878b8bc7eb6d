//! Query parameters, read as leniently and refused as exactly as the upstream does it.

use super::date;
use super::error::Invalid;
use crate::model::{Timestamp, fold};
use crate::simulator::config::WorldConfig;

/// An integer of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Integer {
    /// The digits as Python prints them.
    pub(super) digits: String,
    /// The value, or the nearest one that fits.
    pub(super) value: i64,
}

impl Integer {
    /// Reads `5`, `005`, `+5`, `-5`, `1.0`, `1_000` and surrounding white space, but not `1.5`.
    pub(super) fn parse(text: &str) -> Option<Integer> {
        let text = text.trim();
        let (negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let whole = match text.split_once('.') {
            Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
            Some(_) => return None,
            None => text,
        };
        let groups_are_digits = whole
            .split('_')
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
        if !groups_are_digits {
            return None;
        }
        let plain = whole.replace('_', "");
        let significant = plain.trim_start_matches('0');
        let digits = match (significant, negative) {
            ("", _) => "0".to_owned(),
            (digits, true) => format!("-{digits}"),
            (digits, false) => digits.to_owned(),
        };
        // Only its size can keep a string of digits from being a number.
        let value = digits
            .parse()
            .unwrap_or(if negative { i64::MIN } else { i64::MAX });
        Some(Integer { digits, value })
    }
}

/// A decoded query string: `+` is a space, and the last value of a repeated name counts.
#[derive(Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(raw: &str) -> Query {
        Query(
            url::form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn last(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a filter; the empty string counts as none.
    fn filter(&self, name: &str) -> Option<&str> {
        self.last(name).filter(|value| !value.is_empty())
    }
}

/// Reads parameters in their declared order, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    query: &'a Query,
    /// The configuration whose zones the dates are read in.
    config: &'a WorldConfig,
    pub(super) errors: Vec<Invalid>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(query: &'a Query, config: &'a WorldConfig) -> Reader<'a> {
        Reader {
            query,
            config,
            errors: Vec::new(),
        }
    }

    /// Reads `skip` or `limit`, which must be within bounds and not empty.
    pub(super) fn bounded(&mut self, name: &str, default: i64, least: i64, most: i64) -> usize {
        let Some(text) = self.query.last(name) else {
            return usize::try_from(default).unwrap_or(0);
        };
        let error = match Integer::parse(text) {
            None => Invalid::integer("query", name, text),
            Some(number) if number.value < least => Invalid::too_small(name, least, text),
            Some(number) if number.value > most => Invalid::too_great(name, most, text),
            Some(number) => return usize::try_from(number.value).unwrap_or(usize::MAX),
        };
        self.errors.push(error);
        0
    }

    pub(super) fn integer(&mut self, name: &str) -> Option<i64> {
        let text = self.query.last(name)?;
        let number = Integer::parse(text);
        if number.is_none() {
            self.errors.push(Invalid::integer("query", name, text));
        }
        number.map(|number| number.value)
    }

    pub(super) fn path(&mut self, name: &str, text: &str) -> Option<Integer> {
        let number = Integer::parse(text);
        if number.is_none() {
            self.errors.push(Invalid::integer("path", name, text));
        }
        number
    }

    /// Reads one of `known`, spelled exactly; the empty string is none of them.
    pub(super) fn choice(
        &mut self,
        name: &str,
        known: &[&'static str],
        default: &'static str,
    ) -> &'static str {
        let Some(text) = self.query.last(name) else {
            return default;
        };
        let chosen = known.iter().find(|known| **known == text);
        chosen.copied().unwrap_or_else(|| {
            let pattern = format!("^({})$", known.join("|"));
            self.errors.push(Invalid::pattern(name, &pattern, text));
            default
        })
    }

    /// Reads a switch that is off by default.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let Some(text) = self.query.last(name) else {
            return false;
        };
        match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => true,
            "0" | "off" | "f" | "false" | "n" | "no" => false,
            _ => {
                self.errors.push(Invalid::boolean(name, text));
                false
            }
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.query.filter(name)
    }

    /// Reads a substring to search for in any case.
    pub(super) fn part(&self, name: &str) -> Option<String> {
        self.text(name).map(fold)
    }

    pub(super) fn date(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.query.last(name)?;
        match date::parse(text) {
            Ok((instant, true)) => Some(instant + self.config.zone),
            Ok((instant, false)) => Some(instant - self.config.naive_zone),
            Err(why) => {
                self.errors.push(Invalid::date(name, why, text));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_leniently_as_upstream() {
        for (text, digits, value) in [
            ("5", "5", 5),
            ("005", "5", 5),
            ("+5", "5", 5),
            ("1.0", "1", 1),
            ("-1", "-1", -1),
            ("-0", "0", 0),
            (" 7 ", "7", 7),
            ("1_000", "1000", 1000),
            ("99999999999999999999", "99999999999999999999", i64::MAX),
            ("-99999999999999999999", "-99999999999999999999", i64::MIN),
        ] {
            let expected = Integer {
                digits: digits.to_owned(),
                value,
            };
            assert_eq!(Integer::parse(text), Some(expected), "{text:?}");
        }
        for text in [
            "", "abc", "1.5", "+", "--1", "1__0", "_1", "0x1", "1e3", "٣",
        ] {
            assert_eq!(Integer::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn of_a_repeated_parameter_the_last_wins_and_a_plus_is_a_space() {
        let query = Query::parse("a=1&b=x+y&a=%2B2&c=");
        assert_eq!(query.last("a"), Some("+2"));
        assert_eq!(query.last("b"), Some("x y"));
        assert_eq!(query.last("c"), Some(""));
        assert_eq!(query.filter("c"), None);
    }
}
