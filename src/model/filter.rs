//! The filters of a list, in the upstream's own terms.

use super::Timestamp;

/// The filters of a list, combined with AND; `None` does not narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallFilter {
    /// The exact status, case-sensitive.
    pub status: Option<String>,
    pub assistant_id: Option<i64>,
    pub customer_phone: Option<Part>,
    pub call_sid: Option<Part>,
    pub assistant_name: Option<Part>,
    /// Inclusive bound of `started_at`, like the next. A call without a start matches neither.
    pub date_from: Option<Timestamp>,
    pub date_to: Option<Timestamp>,
    /// Inclusive bound in seconds, like the next. A call without a duration matches neither.
    pub min_duration: Option<i64>,
    pub max_duration: Option<i64>,
}

impl CallFilter {
    /// True if only calls with a start can match.
    pub fn is_dated(&self) -> bool {
        self.date_from.is_some() || self.date_to.is_some()
    }
}

/// A substring to search for in any case. `%` and `_` have no special meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part(String);

impl Part {
    pub fn new(text: &str) -> Part {
        Part(fold(text))
    }

    /// The substring in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the substring matches only itself: it is ASCII without letters, and no letter has an
    /// ASCII digit or sign as its lower case.
    pub fn is_caseless(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphabetic();
        self.0.bytes().all(|byte| plain(byte) && byte != 0)
    }

    pub fn is_in(&self, text: &str) -> bool {
        Part::is_folded_in(&self.0, text)
    }

    /// The same as `is_in`, for a substring that is already in lower case.
    pub fn is_folded_in(part: &str, text: &str) -> bool {
        if !text.is_ascii() {
            return fold(text).contains(part);
        }
        // No copy: nearly every text is ASCII, and a scan may read a million of them. The lower
        // case of an ASCII text is ASCII too, so it contains no other substring.
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

/// Lower case over all of Unicode, a character for a character, as PostgreSQL's `lower` does it. So
/// a substring of a text stays one (a sigma is no different at the end of a word), and a dotted
/// capital I becomes an i.
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
