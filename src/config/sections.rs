//! The typed sections that the rest of the program reads.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::config::secret::Secret;
use crate::config::token::Token;
use crate::config::values::History;
use crate::model::Detail;

/// The whole configuration, every value checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    pub server: Server,
    pub upstream: Upstream,
    pub store: Store,
    pub sync: Sync,
    pub auth: Auth,
    pub webhooks: Webhooks,
    pub writes: Writes,
    pub log: Log,
}

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
    /// is none, `serve` and `sync` can't work: [`Config::api_key`](Config::api_key) says so.
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
