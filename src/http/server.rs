//! The server: its sockets, connections, TLS, and the service that answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

use crate::http::middleware::connection::{Connection, Place, Stream};
use crate::http::middleware::cors::CrossOrigin;
use crate::http::reading::scans::Bounds;
use crate::http::routes;
use crate::http::shared::Shared;
use crate::store::Readers;

/// How long requests in flight may take at shutdown, in seconds.
const LAST_REQUESTS: u64 = 6;

/// How long a TLS handshake may take, in seconds.
const HANDSHAKE: u32 = 5;

/// How long a client may keep open a connection that the server has announced to end.
const DISCONNECT: Duration = Duration::from_secs(3);

/// The bytes of an answer that the system buffers before it can send them.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 << 10;

/// The most connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The server's TLS configuration. A change takes effect with the next connection. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<ArcSwap<ServerConfig>>);

impl Certificate {
    pub fn new(config: ServerConfig) -> Certificate {
        Certificate(Arc::new(ArcSwap::from_pointee(config)))
    }

    pub fn change(&self, config: ServerConfig) {
        self.0.store(Arc::new(config));
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

/// A socket on this address. An IPv6 address includes the same port of IPv4 if the system does so,
/// unless an IPv4 address with that port is among `all`.
///
/// # Errors
/// The address is in use or not this machine's, or the port is not allowed.
pub fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    let is_apart = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
    if address.is_ipv6() && all.iter().any(is_apart) {
        socket.set_only_v6(true)?;
    }
    // The port of a server that has just ended can be used at once.
    socket.set_reuse_address(true)?;
    // Set for every connection: a client that reads slowly is seen to read, and takes little
    // memory.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The pool of connections for such a server: one for each worker, and those of scans.
///
/// # Errors
/// The system does not report the number of cores.
pub fn readers(path: &Path, workers: Option<NonZero<usize>>) -> io::Result<Readers> {
    let most = count(workers)?.get() + Bounds::default().connections();
    Ok(Readers::of(path, u32::try_from(most).unwrap_or(u32::MAX)))
}

fn count(workers: Option<NonZero<usize>>) -> io::Result<NonZero<usize>> {
    workers.map_or_else(std::thread::available_parallelism, Ok)
}

/// A server on these sockets, with TLS if given; `None` workers is one per core.
///
/// A client that closes its side of a connection counts as gone: its waiting requests are dropped.
///
/// # Errors
/// A socket can't be listened on.
pub fn start(
    shared: Arc<Shared>,
    workers: Option<NonZero<usize>>,
    tls: Option<Certificate>,
    listeners: Vec<TcpListener>,
) -> io::Result<Server> {
    let workers = count(workers)?;
    let mut server = Server::build()
        .workers(workers.get())
        .max_concurrent_connections(shared.places.of_worker(workers.get()))
        .disable_signals()
        .shutdown_timeout(LAST_REQUESTS);
    let ending = server.graceful_shutdown_signal();
    for listener in listeners {
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        let ending = ending.clone();
        server = server.listen("burki-edge", listener, move || {
            let (places, tls, ending) = (shared.places.clone(), tls.clone(), ending.clone());
            let app = App::new()
                .configure(routes(Arc::clone(&shared)))
                .wrap(CrossOrigin(Arc::clone(&shared)));
            let app = app.into_factory();
            // The stream enforces all time limits.
            let http = HttpService::build()
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(DISCONNECT)
                .h1_allow_half_closed(false)
                .graceful_shutdown_signal(move || {
                    let ending = ending.clone();
                    async move { ending.notified().await }
                })
                .on_connect_ext(|stream: &Stream<_>, data| {
                    data.insert(Rc::clone(stream.connection()));
                })
                .h1(map_config(app, |()| AppConfig::default()));
            let proxies = shared.gate.proxies.clone();
            let accept = move |socket: TcpStream| {
                let address = socket.peer_addr().ok();
                let alone = address.map(|address| address.ip());
                let place = places.take(alone.filter(|address| !proxies.trusts(*address)));
                accept(socket, address, place, tls.clone())
            };
            fn_service(accept).and_then(http)
        })?;
    }
    Ok(server.run())
}

/// Resolves when a handshake has taken too long: at [`HANDSHAKE`], after a second if places are
/// scarce, and at once if its place was given to another connection.
async fn too_long(place: &Place) {
    let time_is_up = async {
        for _ in 0..HANDSHAKE {
            sleep(Duration::from_secs(1)).await;
            if place.is_crowded() {
                break;
            }
        }
    };
    tokio::select! {
        () = time_is_up => {}
        () = place.ousted() => {}
    }
}

type Io = Either<TcpStream, Box<tokio_rustls::server::TlsStream<TcpStream>>>;

async fn accept(
    socket: TcpStream,
    address: Option<SocketAddr>,
    place: Place,
    tls: Option<Certificate>,
) -> Result<(Stream<Io>, Option<SocketAddr>), DispatchError> {
    let io = match tls {
        None => Either::Left(socket),
        Some(tls) => {
            let greeted = tokio::select! {
                greeted = tls.acceptor().accept(socket) => greeted,
                () = too_long(&place) => Err(io::ErrorKind::TimedOut.into()),
            };
            Either::Right(Box::new(greeted.map_err(DispatchError::Io)?))
        }
    };
    Ok((Stream::new(io, Rc::new(Connection::new(place))), address))
}
