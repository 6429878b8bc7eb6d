//! The composition root: opens the file, binds the sockets, starts everything in one order and
//! stops it in the reverse order.

mod access;
mod tls;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::dev::Server;
use anyhow::{Context, anyhow, bail};
use tokio::task::JoinError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::info;
use url::{Host, Url};

pub use self::access::Access;
use self::access::Keys;
use self::tls::server_tls;
use crate::config::{Config, History, Secret};
use crate::http::{self, Audio, Certificate, Gate, Places, Proxies, Scans, Shared, Webhooks};
use crate::model::{Timestamp, known_addresses};
use crate::store::{OpenedFile, TempReplica, Writer};
use crate::sync::{Clock, Engine, EngineChannels, Handle, Settings, Supervisor};
use crate::upstream::{HttpProxy, HttpSource, PAGE_LIMIT};

/// Interval between two sweeps for leftover files beside the database.
const SWEEP: Duration = Duration::from_secs(60);

/// An edge that is ready to run: its file is open and locked, its sockets are bound.
pub struct App {
    engine: Engine<HttpSource>,
    factory: EngineFactory,
    handle: Handle,
    audio: Audio,
    server: Server,
    addresses: Vec<SocketAddr>,
    access: Access,
}

/// Opens the file and sets up the sync without a server, which is all that `sync` needs.
pub fn engine(config: &Config) -> anyhow::Result<(Engine<HttpSource>, Handle, Clock)> {
    engine_at(config, &config.store.path)
}

/// The same as `engine` for another file than `store.path`, which is created if it is missing.
pub fn engine_at(
    config: &Config,
    path: &Path,
) -> anyhow::Result<(Engine<HttpSource>, Handle, Clock)> {
    let (channels, handle) = EngineChannels::new();
    let keys = Keys::new(config.api_key()?.clone(), handle.clone());
    let factory = EngineFactory::new(config, path, keys, channels);
    Ok((factory.engine()?, handle, factory.clock))
}

/// Everything that an engine is made of. One engine after another may be needed.
struct EngineFactory {
    config: Config,
    path: PathBuf,
    keys: Keys,
    clock: Clock,
    channels: EngineChannels,
    /// The file of the first engine. No other file may be opened in its place.
    file: OnceLock<OpenedFile>,
}

impl EngineFactory {
    fn new(config: &Config, path: &Path, keys: Keys, channels: EngineChannels) -> EngineFactory {
        EngineFactory {
            config: config.clone(),
            path: path.to_owned(),
            keys,
            clock: Arc::new(Timestamp::now),
            channels,
            file: OnceLock::new(),
        }
    }

    fn settings(&self) -> Settings {
        let (sync, upstream) = (&self.config.sync, &self.config.upstream);
        Settings {
            poll_interval: sync.poll_interval,
            reconcile_interval: sync.reconcile_interval,
            history: history(&self.config),
            page_limit: PAGE_LIMIT,
            max_concurrency: upstream.max_concurrency,
            max_requests_per_minute: upstream.max_requests_per_minute.get(),
            details: sync.details.clone(),
            seed: rand::random(),
        }
    }

    fn engine(&self) -> anyhow::Result<Engine<HttpSource>> {
        let upstream = &self.config.upstream;
        let key = self.keys.key();
        let source = HttpSource::new(&upstream.base_url, key.expose(), upstream.timeout)?;
        if let Some(file) = self.file.get() {
            file.check()?;
        }
        let writer = Writer::open(&self.path, upstream.base())?;
        self.file.get_or_init(|| writer.file().clone());
        let (clock, channels) = (Arc::clone(&self.clock), self.channels.clone());
        Ok(Engine::resume(
            source,
            writer,
            self.settings(),
            clock,
            channels,
        ))
    }

    fn watchdog(&self) -> Supervisor {
        let (clock, channels) = (Arc::clone(&self.clock), self.channels.clone());
        Supervisor::new(
            channels,
            clock,
            &self.settings(),
            self.config.upstream.timeout,
        )
    }
}

impl App {
    /// Opens and binds everything that `config` names. It sends nothing to the upstream.
    ///
    /// # Errors
    /// There is no API key; the file is refused (see [`crate::store::StoreError`]); a certificate
    /// can't be read; an address can't be bound; `upstream.base_url` is this edge itself.
    pub fn build(config: &Config) -> anyhow::Result<App> {
        let certificate = config.server.tls.as_ref().map(server_tls).transpose()?;
        let certificate = certificate.map(Certificate::new);
        let (key, upstream) = (config.api_key()?, &config.upstream);
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for address in &config.server.listen {
            let listener = http::bind(*address, &config.server.listen).with_context(|| {
                format!("server.listen: {address} can't be bound; is it in use by another program?")
            })?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        if let Some(address) = addresses.iter().find(|own| is_at(&upstream.base_url, own)) {
            bail!(
                "upstream.base_url = {}: that is this edge itself, which listens on {address}; \
                 name the Burki server, or another edge",
                upstream.base()
            );
        }
        let (channels, handle) = EngineChannels::new();
        let line = HttpProxy::new(&upstream.base_url, key.expose(), upstream.timeout)?;
        let line = Arc::new(line);
        let handle = handle.with_proxy(Arc::clone(&line) as _);
        let keys = Keys::new(key.clone(), handle.clone());
        let factory = EngineFactory::new(config, &config.store.path, keys.clone(), channels);
        let engine = factory.engine()?;
        let audio = Audio::open(&config.store.path, config.store.audio_cache)
            .context("store.audio_cache: the folder of kept recordings can't be used; mend it, or set \"0\" to keep none")?;
        let workers = NonZero::new(config.server.workers);
        let readers = http::readers(&config.store.path, workers)?;
        let shared = Arc::new(Shared {
            audio: audio.clone(),
            damage: Default::default(),
            store_path: config.store.path.clone(),
            handle: handle.clone(),
            clock: Arc::clone(&factory.clock),
            gate: Gate::new(
                access::auth(config, key),
                config.server.cors_origins.clone(),
                Proxies::new(config.server.trusted_proxies.clone()),
            ),
            webhooks: Webhooks::new(config.webhooks.secret.as_ref().map(Secret::expose)),
            scans: Scans::of(&readers),
            readers,
            places: Places::of_process(),
            base_url: config.upstream.base().to_owned(),
            history: history(config),
            most_waiting_writes: config.writes.queue.then_some(config.writes.queue_limit),
            budget_per_minute: config.upstream.max_requests_per_minute.get(),
        });
        let access = Access {
            shared: Arc::clone(&shared),
            certificate: certificate.clone(),
            line,
            keys,
            config: Arc::new(Mutex::new(config.clone())),
        };
        let server = http::start(shared, workers, certificate, listeners)?;
        Ok(App {
            engine,
            factory,
            handle,
            audio,
            server,
            addresses,
            access,
        })
    }

    /// The parts that may change while the edge runs.
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// The addresses on which it listens, with real ports even if port 0 was requested.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves and syncs until `stop`, or until either fails. It then accepts no connections,
    /// finishes requests in progress, cancels the sync, awaits its last write and closes the file.
    ///
    /// # Errors
    /// A task failed or ended by itself; the other was stopped in good order first.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> anyhow::Result<()> {
        let App {
            engine,
            factory,
            audio,
            server,
            addresses,
            access,
            handle: _,
        } = self;
        let serving = server.handle();
        let cancel = CancellationToken::new();
        let mut sync = tokio::spawn(factory.watchdog().watch(
            engine,
            move || factory.engine(),
            cancel.clone(),
        ));
        let file = access.shared.store_path.clone();
        tokio::spawn(sweep(audio, file, cancel.clone()));
        tokio::spawn(access.watch_key(cancel.clone()));
        let mut server = tokio::spawn(server);
        for address in &addresses {
            info!(%address, "serving");
        }
        let failure = tokio::select! {
            () = stop.cancelled() => None,
            ended = &mut sync => Some(
                task_failure("the sync", ended).unwrap_or_else(|| anyhow!("the sync ended by itself")),
            ),
            ended = &mut server => Some(
                task_failure("the server", ended)
                    .unwrap_or_else(|| anyhow!("the server ended by itself")),
            ),
        };
        let mut late = None;
        if !server.is_finished() {
            serving.stop(true).await;
            late = task_failure("the server", server.await);
        }
        cancel.cancel();
        if !sync.is_finished() {
            late = late.or(task_failure("the sync", sync.await));
        }
        failure.or(late).map_or(Ok(()), Err)
    }
}

/// Periodically removes recordings of deleted calls and what a killed `verify` left, until
/// `cancel`.
async fn sweep(audio: Audio, file: PathBuf, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
        let (audio, file) = (audio.clone(), file.clone());
        let sweep = move || {
            TempReplica::clear(&file);
            audio.sweep()
        };
        // A failed sweep is repeated at the next tick, and recordings are also checked when served.
        let _ = tokio::task::spawn_blocking(sweep).await;
    }
}

/// The reason why a task failed, if it did.
fn task_failure<E>(
    task: &'static str,
    ended: Result<Result<(), E>, JoinError>,
) -> Option<anyhow::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let error = match ended {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => anyhow!(error),
        Err(panic) => anyhow!(panic),
    };
    Some(error.context(format!("{task} failed")))
}

fn history(config: &Config) -> Option<Duration> {
    match config.sync.history {
        History::All => None,
        History::Back(span) => Some(span),
    }
}

/// True if the URL leads to this address of ours, as far as known addresses and a quick lookup
/// show: the network may be down.
fn is_at(url: &Url, own: &SocketAddr) -> bool {
    let listens = own.ip().to_canonical();
    // An address can be bound only if it belongs to this machine.
    let is_here = |address: &IpAddr| UdpSocket::bind((*address, 0)).is_ok();
    let is_own = |address: &IpAddr| match listens.is_unspecified() {
        true => address.is_unspecified() || is_here(address),
        false => *address == listens || (address.is_unspecified() && listens.is_loopback()),
    };
    url.port_or_known_default() == Some(own.port())
        && (known_addresses(url).iter().any(is_own) || looked_up(url).iter().any(is_own))
}

/// The addresses of the URL's host name, as far as a lookup finds them within a second.
fn looked_up(url: &Url) -> Vec<IpAddr> {
    let Some(Host::Domain(name)) = url.host() else {
        return Vec::new();
    };
    let (name, (found, addresses)) = (name.to_owned(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        let _ = found.send(addresses.map(|all| all.map(|one| one.ip().to_canonical()).collect()));
    });
    let addresses = addresses.recv_timeout(Duration::from_secs(1));
    addresses.map_or_else(|_| Vec::new(), Result::unwrap_or_default)
}
