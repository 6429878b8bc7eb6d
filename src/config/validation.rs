//! What each value may be: one `read` a section, and the rules that span several keys.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::Value;
use ipnet::IpNet;
use url::Url;

use super::error::Problem;
use super::reader::Reader;
use super::sections::{Auth, History, Log, Server, Store, Sync, Tls, Upstream, Webhooks, Writes};
use super::{Config, Secret, tokens};
use crate::model::Detail;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const WEBHOOK_SECRET_CHARACTERS: usize = 16;

impl Config {
    /// Reads every section; what is wrong is left with `reader`, which then holds a problem where
    /// this is `None` and may hold some where it is not.
    pub(super) fn read(reader: &mut Reader) -> Option<Config> {
        let server = Server::read(reader);
        let upstream = Upstream::read(reader);
        let store = Store {
            path: reader.path("store.path").unwrap_or_default(),
            audio_cache: reader.size("store.audio_cache"),
        };
        let sync = Sync::read(reader);
        let auth = Auth::read(reader, &server);
        let webhooks = Webhooks {
            secret: read_webhook_secret(reader),
        };
        let writes = Writes {
            queue: reader.flag("writes.queue"),
            queue_limit: reader.number("writes.queue_limit", 1..=100_000) as usize,
        };
        let log = Log {
            level: read_log_level(reader),
        };
        Some(Config {
            server,
            upstream: upstream?,
            store,
            sync,
            auth,
            webhooks,
            writes,
            log,
        })
    }
}

impl Server {
    fn read(reader: &mut Reader) -> Server {
        Server {
            listen: read_listen(reader),
            workers: reader.number("server.workers", 0..=1024) as usize,
            tls: read_tls(reader),
            cors_origins: read_cors_origins(reader),
            trusted_proxies: read_trusted_proxies(reader),
        }
    }
}

fn read_trusted_proxies(reader: &mut Reader) -> Vec<IpNet> {
    const KEY: &str = "server.trusted_proxies";
    let mut networks = Vec::new();
    for text in reader.list(KEY) {
        let address = || Some(IpNet::from(text.parse::<IpAddr>().ok()?.to_canonical()));
        match text.parse::<IpNet>().ok().or_else(address) {
            // Whoever is trusted may say who asks: that everybody may is no proxy.
            Some(network) if network.prefix_len() > 0 => networks.push(network.trunc()),
            _ => reader.refuse_as(
                KEY,
                format!("{text:?}"),
                "expected the address of a proxy that stands before the edge, or a network of \
                 them, such as \"10.0.0.5\", \"10.0.0.0/24\" or \"2001:db8::/64\"",
            ),
        }
    }
    networks
}

fn read_log_level(reader: &mut Reader) -> String {
    const KEY: &str = "log.level";
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let level = reader.text(KEY).unwrap_or_default();
    if !LEVELS.contains(&level.as_str()) {
        let levels = LEVELS.join(", ");
        reader.refuse(KEY, format_args!("expected one of {levels}"));
    }
    level
}

fn read_listen(reader: &mut Reader) -> Vec<SocketAddr> {
    const KEY: &str = "server.listen";
    let mut listen = Vec::new();
    for text in reader.list(KEY) {
        match parse_listen(&text) {
            // Port 0 is another port each time.
            Some(address) if listen.contains(&address) && address.port() != 0 => {
                reader.refuse_as(KEY, format!("{text:?}"), "listed twice; remove one");
            }
            Some(address) => listen.push(address),
            None => reader.refuse_as(
                KEY,
                format!("{text:?}"),
                "expected an IP address and a port, such as \"127.0.0.1:8080\", \"[::1]:8080\" \
                 or \"localhost:8080\"; \"0.0.0.0:8080\" is every IPv4 address of the machine",
            ),
        }
    }
    if matches!(reader.get(KEY), Some(Value::Array(_, items)) if items.is_empty()) {
        reader.refuse(
            KEY,
            "expected at least one address, such as \"127.0.0.1:8080\"",
        );
    }
    listen
}

/// Names are not looked up, since what they mean may change; `localhost` means one thing.
fn parse_listen(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into()),
        None => text.parse().ok(),
    }
}

fn read_cors_origins(reader: &mut Reader) -> Vec<String> {
    const KEY: &str = "server.cors_origins";
    // As a browser writes it, since it is compared as a text.
    let is_origin = |text: &str| {
        Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
        })
    };
    let mut origins: Vec<String> = Vec::new();
    for text in reader.list(KEY) {
        if origins.contains(&text) {
            reader.refuse_as(KEY, format!("{text:?}"), "listed twice; remove one");
        } else if text == "*" || is_origin(&text) {
            origins.push(text);
        } else {
            reader.refuse_as(
                KEY,
                format!("{text:?}"),
                "expected an origin as browsers send it, such as \"https://app.example\" or \
                 \"http://localhost:3000\": lower case, no path, no slash at its end, no port that \
                 is the usual one; or \"*\" alone for every origin",
            );
        }
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        reader.refuse(KEY, "\"*\" is every origin; remove it, or the others");
    }
    origins
}

fn read_tls(reader: &mut Reader) -> Option<Tls> {
    const CERT: &str = "server.tls_cert";
    const KEY: &str = "server.tls_key";
    let half = match (reader.get(CERT).is_some(), reader.get(KEY).is_some()) {
        (true, false) => Some((CERT, KEY)),
        (false, true) => Some((KEY, CERT)),
        _ => None,
    };
    if let Some((given, missing)) = half {
        let origin = reader.origin(given);
        reader.problem(Problem::HalfOfTls {
            origin,
            given,
            missing,
        });
    }
    let (cert, key) = (reader.path(CERT), reader.path(KEY));
    Some(Tls {
        cert: cert?,
        key: key?,
    })
}

impl Upstream {
    fn read(reader: &mut Reader) -> Option<Upstream> {
        let base_url = read_base_url(reader);
        let (api_key, api_key_file) = read_api_key(reader).unzip();
        let timeout = reader.duration("upstream.timeout", SECOND..=10 * MINUTE);
        let per_minute = reader.number("upstream.max_requests_per_minute", 1..=100_000);
        let max_concurrency = reader.number("upstream.max_concurrency", 1..=64) as usize;
        Some(Upstream {
            base_url: base_url?,
            api_key,
            api_key_file: api_key_file.flatten(),
            timeout,
            max_requests_per_minute: NonZeroU32::new(per_minute)?,
            max_concurrency,
        })
    }
}

fn read_base_url(reader: &mut Reader) -> Option<Url> {
    const KEY: &str = "upstream.base_url";
    let text = reader.text(KEY)?;
    let acceptable = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    if let Some(mut url) = Url::parse(&text).ok().filter(acceptable) {
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        return Some(url);
    }
    // Credentials stand before an @ or in a query.
    let shown = if text.contains(['@', '?', '#']) {
        "(not shown: it may hold credentials)".to_owned()
    } else {
        format!("{text:?}")
    };
    reader.refuse_as(
        KEY,
        shown,
        "expected an http or https URL without user, query or fragment, such as \
         \"https://api.burki.dev\"; the key goes into upstream.api_key",
    );
    None
}

const KEY_FORM: &str = "the key alone, without \"Bearer\", quotes or spaces, in visible ASCII";

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The key, and the file that it is from.
fn read_api_key(reader: &mut Reader) -> Option<(Secret, Option<PathBuf>)> {
    const KEY: &str = "upstream.api_key";
    const FILE: &str = "upstream.api_key_file";
    if reader.get(KEY).is_some() && reader.get(FILE).is_some() {
        let (key, file) = (reader.origin(KEY), reader.origin(FILE));
        reader.problem(Problem::TwoApiKeys { key, file });
        return None;
    }
    if let Some(text) = reader.text(KEY) {
        if !is_key(&text) {
            reader.refuse(KEY, format_args!("expected {KEY_FORM}"));
        }
        return Some((Secret::new(text), None));
    }
    let path = reader.path(FILE)?;
    match read_key_file(&path) {
        Ok(key) => return Some((key, Some(path))),
        Err(why) => reader.refuse(FILE, why),
    }
    None
}

/// Reads a file that holds an API key.
///
/// # Errors
/// Why there is none in it, in words that go on from the file's name.
pub fn read_key_file(path: &Path) -> Result<Secret, String> {
    match fs::read_to_string(path) {
        Ok(text) if is_key(text.trim()) => Ok(Secret::new(text.trim())),
        Ok(_) => Err(format!("the file must hold {KEY_FORM}")),
        Err(error) => Err(format!(
            "can't be read: {error}; name a file that holds {KEY_FORM}"
        )),
    }
}

impl Sync {
    fn read(reader: &mut Reader) -> Sync {
        let poll_interval = reader.duration("sync.poll_interval", SECOND..=HOUR);
        Sync {
            poll_interval,
            reconcile_interval: reader.duration(
                "sync.reconcile_interval",
                poll_interval.max(MINUTE)..=30 * DAY,
            ),
            history: read_history(reader),
            details: read_details(reader),
        }
    }
}

fn read_history(reader: &mut Reader) -> History {
    const KEY: &str = "sync.history";
    match reader.get(KEY) {
        Some(Value::String(_, text)) if text.trim() == "all" => return History::All,
        Some(Value::String(_, text)) => match humantime::parse_duration(text.trim()) {
            Ok(back) if back >= DAY => return History::Back(back),
            _ => {}
        },
        _ => {}
    }
    reader.refuse(
        KEY,
        "expected \"all\", or how far back as a duration of at least a day, such as \"400d\"",
    );
    History::All
}

fn read_details(reader: &mut Reader) -> BTreeSet<Detail> {
    const KEY: &str = "sync.details";
    let mut details = BTreeSet::new();
    for name in reader.list(KEY) {
        match Detail::ALL.iter().find(|detail| detail.as_str() == name) {
            Some(detail) => {
                details.insert(*detail);
            }
            None => {
                let known = Detail::ALL.map(Detail::as_str).join(", ");
                reader.refuse_as(
                    KEY,
                    format!("{name:?}"),
                    format_args!("expected some of {known}; or [] for none"),
                );
            }
        }
    }
    details
}

impl Auth {
    fn read(reader: &mut Reader, server: &Server) -> Auth {
        const ACCEPT: &str = "auth.accept_upstream_key";
        const INTROSPECT: &str = "auth.introspect";
        const ANONYMOUS: &str = "auth.anonymous_on_loopback";
        let auth = Auth {
            accept_upstream_key: reader.flag(ACCEPT),
            tokens: tokens::read(reader),
            introspect: reader.flag(INTROSPECT),
            anonymous_on_loopback: reader.flag(ANONYMOUS),
        };
        let is_open = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        if auth.anonymous_on_loopback
            && let Some(address) = server.listen.iter().find(is_open)
        {
            let origin = reader.origin(ANONYMOUS);
            reader.problem(Problem::AnonymousOnNetwork {
                origin,
                address: address.to_string(),
            });
        }
        if auth.anonymous_on_loopback && server.cors_origins.iter().any(|origin| origin == "*") {
            let (origin, cors) = (
                reader.origin(ANONYMOUS),
                reader.origin("server.cors_origins"),
            );
            reader.problem(Problem::AnonymousForAllPages { origin, cors });
        }
        // As written: a flag or token that was refused above may have been meant as a way in.
        let shut = |key: &str| matches!(reader.get(key), Some(Value::Bool(_, false)));
        let no_tokens = matches!(
            reader.get("auth.tokens"),
            Some(Value::Array(_, tokens)) if tokens.is_empty()
        );
        if shut(ACCEPT) && shut(INTROSPECT) && shut(ANONYMOUS) && no_tokens {
            reader.problem(Problem::NobodyCanRead);
        }
        auth
    }
}

fn read_webhook_secret(reader: &mut Reader) -> Option<Secret> {
    const KEY: &str = "webhooks.secret";
    let text = reader.text(KEY)?;
    let url_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.len() < WEBHOOK_SECRET_CHARACTERS || !text.bytes().all(url_safe) {
        reader.refuse(
            KEY,
            format_args!(
                "expected at least {WEBHOOK_SECRET_CHARACTERS} characters out of A-Z, a-z, 0-9 \
                 and -._~, as they stand in a URL; `openssl rand -hex 32` makes some"
            ),
        );
    }
    Some(Secret::new(text))
}
