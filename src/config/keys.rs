//! Every key, and what it may hold.

use crate::config::secret;
use crate::config::values::{self as check, Check};

/// What a key may hold. It also says how the text of a variable is read.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// From the first to the second number of seconds, written with its unit.
    Duration(u64, u64),
    /// A text whose check also says what is allowed instead of another kind of value.
    Word(Check),
    /// A text that is not empty.
    Text(Check),
    /// A text that is never shown.
    Secret(Check),
    /// A list, or a single text; in a variable, texts between commas or a TOML list.
    List(Check),
    /// A list that holds each item once.
    Set(Check),
    /// `auth.tokens`; in a variable, a TOML list. Only names are shown.
    Tokens,
}

/// Every key, in the order of the shipped `config.toml`.
pub(super) const KEYS: [(&str, Form); 26] = [
    ("server.listen", Form::Set(check::listen)),
    ("server.workers", Form::Number(0, 1024)),
    ("server.tls_cert", Form::Text(check::any)),
    ("server.tls_key", Form::Text(check::any)),
    ("server.cors_origins", Form::Set(check::cors_origin)),
    ("server.trusted_proxies", Form::List(check::trusted_proxy)),
    ("upstream.base_url", Form::Text(check::base_url)),
    ("upstream.api_key", Form::Secret(secret::api_key)),
    ("upstream.api_key_file", Form::Text(check::any)),
    ("upstream.timeout", Form::Duration(1, 600)),
    ("upstream.max_requests_per_minute", Form::Number(1, 100_000)),
    ("upstream.max_concurrency", Form::Number(1, 64)),
    ("store.path", Form::Text(check::any)),
    ("store.audio_cache", Form::Word(check::size)),
    ("sync.poll_interval", Form::Duration(1, 3600)),
    ("sync.reconcile_interval", Form::Duration(60, 30 * 86_400)),
    ("sync.history", Form::Word(check::history)),
    ("sync.details", Form::List(check::detail)),
    ("auth.accept_upstream_key", Form::Flag),
    ("auth.tokens", Form::Tokens),
    ("auth.introspect", Form::Flag),
    ("auth.anonymous_on_loopback", Form::Flag),
    ("webhooks.secret", Form::Secret(secret::webhook_secret)),
    ("writes.queue", Form::Flag),
    ("writes.queue_limit", Form::Number(1, 100_000)),
    ("log.level", Form::Word(check::log_level)),
];
