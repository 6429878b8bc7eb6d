//! Every key with what it may hold, and the typed sections that the rest of the program reads.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::validation::{self as check, Check};
use super::{Secret, Token, secret};
use crate::model::Detail;

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

/// How clients reach the edge.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// At least one, each once.
    pub listen: Vec<SocketAddr>,
    /// Worker threads, 0 to 1024; 0 is one per core.
    pub workers: usize,
    /// Serves TLS where set, plain HTTP where not.
    #[serde(flatten)]
    pub tls: Option<Tls>,
    /// Origins whose pages may read in a browser, as browsers write them; or `*` alone.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Server {
    /// The first address that other machines can reach.
    pub(super) fn beyond_this_machine(&self) -> Option<&SocketAddr> {
        let is_loopback = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
        self.listen.iter().find(|address| !is_loopback(address))
    }
}

/// The PEM files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Tls {
    /// The certificate, then its intermediates.
    #[serde(rename = "tls_cert")]
    pub cert: PathBuf,
    /// The certificate's private key.
    #[serde(rename = "tls_key")]
    pub key: PathBuf,
}

/// The API that is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Upstream {
    /// `http` or `https`, without credentials, query or fragment. Its path has no slash at the
    /// end, save the root's own, which [`Url`] always writes; see [`Upstream::base`].
    pub base_url: Url,
    /// From `BURKI_API_KEY`, `upstream.api_key` or the file it names; visible ASCII. Where there
    /// is none, `serve` and `sync` can't work: [`Config::api_key`](super::Config::api_key) says so.
    pub api_key: Option<Secret>,
    /// The file that the key was read from, and may be read from again.
    pub api_key_file: Option<PathBuf>,
    /// Timeout of one request, from connecting to the last byte: 1 s to 10 min.
    pub timeout: Duration,
    /// The request budget, 1 to 100,000.
    pub max_requests_per_minute: NonZeroU32,
    /// The most requests in flight, 1 to 64.
    pub max_concurrency: usize,
}

impl Upstream {
    /// The base URL to append `/path` to: never ends in a slash.
    pub fn base(&self) -> &str {
        self.base_url.as_str().trim_end_matches('/')
    }
}

/// The SQLite file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Store {
    /// Relative to the working directory.
    pub path: PathBuf,
    /// The most bytes of recordings that are kept beside it; 0 is none.
    pub audio_cache: u64,
}

/// What is replicated, and how often it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sync {
    /// Time between two polls of the newest calls: 1 s to 1 h.
    pub poll_interval: Duration,
    /// Every record is compared with the upstream at least this often: 1 min to 30 days, and no
    /// less than `poll_interval`.
    pub reconcile_interval: Duration,
    /// How far back calls are kept.
    pub history: History,
    /// What is kept of each call beside its record, for offline use.
    #[serde(deserialize_with = "details")]
    pub details: BTreeSet<Detail>,
}

fn details<'de, D: Deserializer<'de>>(names: D) -> Result<BTreeSet<Detail>, D::Error> {
    let names = Vec::<String>::deserialize(names)?;
    Ok(names
        .iter()
        .filter_map(|name| Detail::named(name))
        .collect())
}

/// How far back calls are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum History {
    All,
    /// At least a day.
    Back(Duration),
}

/// Who may read. At least one of the four ways in is open.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Auth {
    /// The configured upstream key opens the edge too.
    pub accept_upstream_key: bool,
    /// The edge's own tokens; no two have one name or one digest.
    #[serde(skip)]
    pub tokens: Vec<Token>,
    /// The upstream is asked about keys that are unknown here.
    pub introspect: bool,
    /// Reading needs no token. Only true where every listen address is a loopback address.
    pub anonymous_on_loopback: bool,
}

/// The target of the upstream's webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Webhooks {
    /// The last segment of the target's path, at least 16 URL-safe characters; without one there
    /// is no target.
    pub secret: Option<Secret>,
}

/// Changes that clients make while the upstream can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Writes {
    /// Keeps changes of metadata, and sends them when the upstream answers again.
    pub queue: bool,
    /// The most changes that are kept, failed ones included: 1 to 100,000.
    pub queue_limit: usize,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}
