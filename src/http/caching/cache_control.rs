//! The freshness that a request demands (RFC 9111, section 5.2.1).

use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

/// The request directives that the edge honours. An argument that can't be read or is repeated
/// counts in its strictest sense.
///
/// `no-store` and `min-fresh` are not among them: the replica stores calls anyway, and its answers
/// are never declared fresh for a time to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `None`: any age is accepted.
    oldest: Option<Oldest>,
    /// The upstream must not be asked.
    pub only_if_cached: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oldest {
    /// `no-cache`: no stored answer is accepted, however young.
    Never,
    Seconds(u64),
}

impl Directives {
    pub fn of(headers: &HeaderMap) -> Directives {
        let mut read = Read::default();
        if headers.contains_key(CACHE_CONTROL) {
            each(headers, CACHE_CONTROL, |name, argument| {
                read.directive(name, argument);
            });
        } else {
            // The directive of HTTP/1.0, for a request without the newer one (RFC 9111, section
            // 5.4).
            each(headers, PRAGMA, |name, _| {
                read.no_cache |= name.eq_ignore_ascii_case("no-cache");
            });
        }
        read.conclude()
    }

    /// The same, for a lookup that need not be fresh.
    pub fn of_any_age(self) -> Directives {
        Directives {
            oldest: None,
            ..self
        }
    }

    /// True if an answer of this age, in seconds, may be given without asking the upstream.
    pub fn accept(&self, age: u64) -> bool {
        match self.oldest {
            None => true,
            Some(Oldest::Never) => false,
            Some(Oldest::Seconds(oldest)) => age <= oldest,
        }
    }
}

/// The directives as they are written.
#[derive(Default)]
struct Read {
    no_cache: bool,
    only_if_cached: bool,
    max_age: Option<u64>,
    max_stale: Option<u64>,
}

impl Read {
    fn directive(&mut self, name: &str, argument: Option<&str>) {
        let strictest = |before: Option<u64>, new| Some(before.map_or(new, |old| old.min(new)));
        if name.eq_ignore_ascii_case("no-cache") {
            self.no_cache = true;
        } else if name.eq_ignore_ascii_case("only-if-cached") {
            self.only_if_cached = true;
        } else if name.eq_ignore_ascii_case("max-age") {
            self.max_age = strictest(self.max_age, argument.map_or(0, seconds));
        } else if name.eq_ignore_ascii_case("max-stale") {
            self.max_stale = strictest(self.max_stale, argument.map_or(u64::MAX, seconds));
        }
    }

    /// `max-stale` alone demands nothing: it only relaxes `max-age`.
    fn conclude(self) -> Directives {
        let stale = self.max_stale.unwrap_or(0);
        let by_age = |age: u64| Oldest::Seconds(age.saturating_add(stale));
        Directives {
            oldest: match self.no_cache {
                true => Some(Oldest::Never),
                false => self.max_age.map(by_age),
            },
            only_if_cached: self.only_if_cached,
        }
    }
}

/// Delta-seconds (RFC 9111, section 1.2.2). A number that overflows counts as infinite.
fn seconds(argument: &str) -> u64 {
    if argument.is_empty() || !argument.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    argument.parse().unwrap_or(u64::MAX)
}

/// Visits the members of all headers with this name. A comma in a quoted argument separates
/// nothing.
fn each(headers: &HeaderMap, name: HeaderName, mut member: impl FnMut(&str, Option<&str>)) {
    let texts = headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok());
    for text in texts {
        let mut quoted = false;
        let members = text.split(|character| {
            quoted ^= character == '"';
            character == ',' && !quoted
        });
        for part in members {
            match part.split_once('=') {
                Some((name, argument)) => {
                    member(name.trim(), Some(argument.trim().trim_matches('"')));
                }
                None => member(part.trim(), None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn of(lines: &[(HeaderName, &str)]) -> Directives {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        Directives::of(&headers)
    }

    /// The ages, out of 0, 5, 6 and a million, at which the upstream is asked first.
    #[rstest]
    #[case("", &[])]
    #[case("no-store, min-fresh=60, unknown=no-cache", &[])]
    #[case("extension=\"a, no-cache, b\"", &[])]
    #[case("max-stale", &[])]
    #[case("max-stale=3", &[])]
    #[case("no-cache", &[0, 5, 6, 1_000_000])]
    #[case("NO-CACHE , max-age=60", &[0, 5, 6, 1_000_000])]
    #[case("no-cache, max-stale", &[0, 5, 6, 1_000_000])]
    #[case("max-age=5", &[6, 1_000_000])]
    #[case("Max-Age=\"5\"", &[6, 1_000_000])]
    #[case("max-age=60, max-age=5", &[6, 1_000_000])]
    #[case("max-age=0", &[5, 6, 1_000_000])]
    #[case("max-age", &[5, 6, 1_000_000])]
    #[case("max-age=-1", &[5, 6, 1_000_000])]
    #[case("max-age=soon", &[5, 6, 1_000_000])]
    #[case("max-age=99999999999999999999999", &[])]
    #[case("max-age=0, max-stale=5", &[6, 1_000_000])]
    #[case("max-age=5, max-stale", &[])]
    #[case("max-age=5, max-stale=soon", &[6, 1_000_000])]
    fn only_an_answer_older_than_demanded_is_asked_about(
        #[case] value: &str,
        #[case] asked: &[u64],
    ) {
        let directives = of(&[(CACHE_CONTROL, value)]);
        let refused = [0, 5, 6, 1_000_000]
            .into_iter()
            .filter(|age| !directives.accept(*age));
        assert_eq!(refused.collect::<Vec<_>>(), asked, "{value}");
    }

    #[test]
    fn several_headers_are_one_list() {
        let directives = of(&[
            (CACHE_CONTROL, "only-if-cached"),
            (CACHE_CONTROL, "max-age=5"),
        ]);
        assert!(directives.only_if_cached);
        assert!(directives.accept(5) && !directives.accept(6));
    }

    #[test]
    fn pragma_speaks_only_where_cache_control_is_silent() {
        assert!(!of(&[(PRAGMA, "no-cache")]).accept(0));
        assert!(of(&[(PRAGMA, "no-cache"), (CACHE_CONTROL, "max-age=9")]).accept(0));
        assert!(of(&[]).accept(u64::MAX));
    }
}
