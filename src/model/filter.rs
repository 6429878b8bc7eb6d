//! What a list is narrowed by, in the upstream's own terms.

use super::Timestamp;

/// The filters of a list, all combined with AND; `None` narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallFilter {
    /// Exact and case-sensitive.
    pub status: Option<String>,
    pub assistant_id: Option<i64>,
    pub customer_phone: Option<Part>,
    pub call_sid: Option<Part>,
    pub assistant_name: Option<Part>,
    /// Of `started_at`, inclusive like the next; a call without a start matches neither.
    pub date_from: Option<Timestamp>,
    pub date_to: Option<Timestamp>,
    /// In seconds, inclusive like the next; a call without a duration matches neither.
    pub min_duration: Option<i64>,
    pub max_duration: Option<i64>,
}

impl CallFilter {
    /// Only calls that have a start can match.
    pub fn is_dated(&self) -> bool {
        self.date_from.is_some() || self.date_to.is_some()
    }
}

/// A part to be found in a text, whatever the case; `%` and `_` are characters like others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part(String);

impl Part {
    pub fn new(text: &str) -> Part {
        Part(fold(text))
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is found where it stands as it is, and nowhere else: no letter has a digit or a
    /// sign of ASCII for its lower case.
    pub fn is_caseless(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphabetic();
        self.0.bytes().all(|byte| plain(byte) && byte != 0)
    }

    pub fn is_in(&self, text: &str) -> bool {
        Part::is_folded_in(&self.0, text)
    }

    /// The same for a part that is at hand in lower case.
    pub fn is_folded_in(part: &str, text: &str) -> bool {
        if !text.is_ascii() {
            return fold(text).contains(part);
        }
        // Nearly every text, and a million of them may be looked through: no copy is made. Where
        // the text is ASCII, so is its lower case, and another part is in none.
        let (text, part) = (text.as_bytes(), part.as_bytes());
        let Some((first, rest)) = part.split_first() else {
            return true;
        };
        let Some(last) = text.len().checked_sub(part.len()) else {
            return false;
        };
        (0..=last).any(|at| {
            text[at].to_ascii_lowercase() == *first
                && text[at + 1..at + part.len()]
                    .iter()
                    .zip(rest)
                    .all(|(a, b)| a.to_ascii_lowercase() == *b)
        })
    }
}

/// Lower case, of all of Unicode: a character for a character, as PostgreSQL's `lower` has it. So
/// a part of a text stays one (a sigma is no other at the end of a word), and a dotted capital I is
/// an i.
pub fn fold(text: &str) -> String {
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    text.chars().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_any_case_and_has_no_wildcards() {
        assert!(Part::new("köln").is_in("Empfang KÖLN"));
        assert!(Part::new("ЭСК").is_in("Эскалация"));
        assert!(Part::new("ΚΩΣ").is_in("ΚΩΣΤΑΣ Αθήνα"));
        assert!(Part::new("istanbul").is_in("İstanbul"));
        assert!(Part::new("İSTANBUL").is_in("istanbul"));
        assert!(Part::new("straße").is_in("STRAẞE"));
        assert!(Part::new("0% o").is_in("50% Off_campaign"));
        assert!(!Part::new("5_%").is_in("50% off"));
        assert!(!Part::new("f_c").is_in("off campaign"));
    }

    #[test]
    fn a_text_of_ascii_is_searched_as_any_other() {
        for text in ["", "a", "AbcAbd", "K", "+1415"] {
            for part in ["", "A", "abd", "bcab", "\u{212A}", "é", "+1415", "+14155"] {
                let part = Part::new(part);
                assert_eq!(part.is_in(text), fold(text).contains(part.as_str()));
            }
        }
        assert!(
            Part::new("k").is_in("\u{212A}"),
            "whose lower case is ASCII"
        );
    }
}
