//! Every key there is, with its default: the one table that loading, checking and the shipped
//! `config.toml` are held against.

use figment::value::Value;

/// What a key's value is written as. The typed reading, with its range, is in `validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A text that is never shown.
    Secret,
    Number,
    Flag,
    /// A list of texts; a single text is a list of one.
    List,
    /// A list of `{name, sha256, scopes, expires}`.
    Tokens,
}

/// What holds where no source sets the key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fallback {
    None,
    Text(&'static str),
    Number(u32),
    Flag(bool),
    List(&'static [&'static str]),
}

impl Fallback {
    pub(super) fn value(self) -> Option<Value> {
        match self {
            Fallback::None => None,
            Fallback::Text(text) => Some(Value::from(text)),
            Fallback::Number(number) => Some(Value::from(number)),
            Fallback::Flag(flag) => Some(Value::from(flag)),
            Fallback::List(items) => Some(Value::from(items)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Key {
    /// Dotted: section, then name.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Fallback,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, default: Fallback) -> Key {
        Key {
            name,
            kind,
            default,
        }
    }
}

pub(super) const KEYS: [Key; 26] = [
    Key::new(
        "server.listen",
        Kind::List,
        Fallback::Text("127.0.0.1:8080"),
    ),
    Key::new("server.workers", Kind::Number, Fallback::Number(0)),
    Key::new("server.tls_cert", Kind::Text, Fallback::None),
    Key::new("server.tls_key", Kind::Text, Fallback::None),
    Key::new("server.cors_origins", Kind::List, Fallback::List(&[])),
    Key::new("server.trusted_proxies", Kind::List, Fallback::List(&[])),
    Key::new(
        "upstream.base_url",
        Kind::Text,
        Fallback::Text("https://api.burki.dev"),
    ),
    Key::new("upstream.api_key", Kind::Secret, Fallback::None),
    Key::new("upstream.api_key_file", Kind::Text, Fallback::None),
    Key::new("upstream.timeout", Kind::Text, Fallback::Text("30s")),
    Key::new(
        "upstream.max_requests_per_minute",
        Kind::Number,
        Fallback::Number(120),
    ),
    Key::new(
        "upstream.max_concurrency",
        Kind::Number,
        Fallback::Number(4),
    ),
    Key::new("store.path", Kind::Text, Fallback::Text("burki-edge.db")),
    Key::new("store.audio_cache", Kind::Text, Fallback::Text("1GiB")),
    Key::new("sync.poll_interval", Kind::Text, Fallback::Text("10s")),
    Key::new("sync.reconcile_interval", Kind::Text, Fallback::Text("24h")),
    Key::new("sync.history", Kind::Text, Fallback::Text("all")),
    Key::new(
        "sync.details",
        Kind::List,
        Fallback::List(&["transcripts", "recordings"]),
    ),
    Key::new("auth.accept_upstream_key", Kind::Flag, Fallback::Flag(true)),
    Key::new("auth.tokens", Kind::Tokens, Fallback::List(&[])),
    Key::new("auth.introspect", Kind::Flag, Fallback::Flag(false)),
    Key::new(
        "auth.anonymous_on_loopback",
        Kind::Flag,
        Fallback::Flag(false),
    ),
    Key::new("webhooks.secret", Kind::Secret, Fallback::None),
    Key::new("writes.queue", Kind::Flag, Fallback::Flag(false)),
    Key::new("writes.queue_limit", Kind::Number, Fallback::Number(1000)),
    Key::new("log.level", Kind::Text, Fallback::Text("info")),
];

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter()
        .any(|key| key.name.split('.').next() == Some(name))
}

/// `sync.poll_interval` → `BURKI_EDGE_SYNC__POLL_INTERVAL`.
pub(super) fn variable(key: &str) -> String {
    format!(
        "{}{}",
        super::ENVIRONMENT_PREFIX,
        key.replace('.', "__").to_ascii_uppercase()
    )
}

/// The known key that `unknown` was most likely meant to be: a few letters away, or the right
/// name in the wrong section.
pub(super) fn nearest(unknown: &str) -> Option<&'static str> {
    let unknown = unknown.to_ascii_lowercase();
    let name_of = |dotted: &str| dotted.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &str| {
        if name_of(known) == name_of(&unknown) {
            1
        } else {
            strsim::damerau_levenshtein(known, &unknown)
        }
    };
    KEYS.iter()
        .map(|key| (distance(key.name), key.name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2.max(unknown.len() / 3))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_letter_is_missing("sync.pol_interval", Some("sync.poll_interval"))]
    #[case::the_section_is_missing("listen", Some("server.listen"))]
    #[case::the_section_is_another("server.base_url", Some("upstream.base_url"))]
    #[case::the_case_differs("Server.Listen", Some("server.listen"))]
    #[case::an_underscore_for_a_dot("server_listen", Some("server.listen"))]
    #[case::nothing_is_near("colour", None)]
    fn the_nearest_key_is_named_where(#[case] unknown: &str, #[case] expected: Option<&str>) {
        assert_eq!(nearest(unknown), expected);
    }

    #[test]
    fn every_key_has_one_section_and_one_entry() {
        for (at, key) in KEYS.iter().enumerate() {
            assert_eq!(key.name.matches('.').count(), 1, "{}", key.name);
            assert!(KEYS[..at].iter().all(|other| other.name != key.name));
        }
    }
}
