//! The typed sections: what the rest of the program is handed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

#[cfg(doc)]
use super::Config;
use super::{Secret, Token};
use crate::model::Detail;

/// How clients reach the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// At least one, each once.
    pub listen: Vec<SocketAddr>,
    /// Worker threads, 0 to 1024; 0 is one per core.
    pub workers: usize,
    /// Serves TLS where set, plain HTTP where not.
    pub tls: Option<Tls>,
    /// Whose pages may read in a browser, as browsers write it; or `*` alone.
    pub cors_origins: Vec<String>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, then its intermediates.
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The API that is replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `http` or `https`, without credentials, query or fragment. Its path has no slash at the
    /// end, save the root's own, which [`Url`] always writes; see [`Upstream::base`].
    pub base_url: Url,
    /// From `BURKI_API_KEY`, `upstream.api_key` or the file it names; visible ASCII. Where there
    /// is none, `serve` and `sync` can't work: [`Config::api_key`] says so.
    pub api_key: Option<Secret>,
    /// The file that it was read from, and may be read from again.
    pub api_key_file: Option<PathBuf>,
    /// For one request, from connecting to the last byte: 1 s to 10 min.
    pub timeout: Duration,
    /// 1 to 100,000.
    pub max_requests_per_minute: NonZeroU32,
    /// Requests under way at once, 1 to 64.
    pub max_concurrency: usize,
}

impl Upstream {
    /// The base URL to append `/path` to: never ends in a slash.
    pub fn base(&self) -> &str {
        self.base_url.as_str().trim_end_matches('/')
    }
}

/// The SQLite file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Relative to the working directory.
    pub path: PathBuf,
    /// Bytes of recordings that are kept beside it, at most; 0 is none.
    pub audio_cache: u64,
}

/// What is kept, and how closely it is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Between two looks at the newest calls: 1 s to 1 h.
    pub poll_interval: Duration,
    /// Every record is compared at least this often: 1 min to 30 days, and no less than
    /// `poll_interval`.
    pub reconcile_interval: Duration,
    pub history: History,
    /// What is kept beside the calls, for offline use.
    pub details: BTreeSet<Detail>,
}

/// How far back calls are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    All,
    /// At least a day.
    Back(Duration),
}

/// Who may read. At least one of the four ways in is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The configured upstream key opens the edge too.
    pub accept_upstream_key: bool,
    /// No two with one name or one digest.
    pub tokens: Vec<Token>,
    /// Ask the upstream about keys nobody here knows.
    pub introspect: bool,
    /// No token needed. Only ever true where every listen address is a loopback address.
    pub anonymous_on_loopback: bool,
}

/// The target of the upstream's webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhooks {
    /// The last segment of the target's path, at least 16 URL-safe characters; without one there
    /// is no target.
    pub secret: Option<Secret>,
}

/// Changes that clients make while the upstream can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writes {
    /// Keeps changes of metadata, and makes them when the upstream answers again.
    pub queue: bool,
    /// So many may be kept, failed ones included: 1 to 100,000.
    pub queue_limit: usize,
}

/// What is told of what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}
