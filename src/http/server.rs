//! The server: how long a connection may say nothing, how many there are, and what answers them.

use std::io;
use std::net::TcpListener;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, HttpServer};
use rustls::ServerConfig;

use super::{Shared, cors, routes, stamp};

/// How long requests that are under way at the end may take, in seconds.
const LAST_REQUESTS: u64 = 10;

/// A client that takes longer to send its request's head is answered 408: a connection that says
/// nothing costs a descriptor, of which there are few.
const REQUEST_HEAD: Duration = Duration::from_secs(5);

/// The same for a connection that waits for its next request. Longer than between a page's
/// requests, and short of [`LAST_REQUESTS`], since an end in good order waits for it.
const IDLE: Duration = Duration::from_secs(5);

/// The same for a client that is told that its connection ends, and keeps it open.
const DISCONNECT: Duration = Duration::from_secs(3);

/// A server on these sockets, with TLS where it is given; `None` is one worker per core.
///
/// A client that closes its side of a connection counts as gone: what it asked for is dropped where
/// it waits.
///
/// # Errors
/// A socket that can't be listened on.
pub fn start(
    shared: Arc<Shared>,
    workers: Option<NonZero<usize>>,
    origins: &[String],
    tls: Option<ServerConfig>,
    listeners: Vec<TcpListener>,
) -> io::Result<Server> {
    let workers = match workers {
        Some(workers) => workers,
        None => std::thread::available_parallelism()?,
    };
    let (connections, origins) = (shared.connections.clone(), origins.to_owned());
    let mut server = HttpServer::new(move || {
        App::new()
            .configure(routes(Arc::clone(&shared)))
            .wrap(cors(&origins))
            .wrap(Condition::new(!origins.is_empty(), from_fn(stamp)))
    })
    .workers(workers.get())
    .max_connections(connections.of_worker(workers.get()))
    .on_connect(move |_, connection| connections.welcome(connection))
    .h1_allow_half_closed(false)
    .client_request_timeout(REQUEST_HEAD)
    .keep_alive(IDLE)
    .client_disconnect_timeout(DISCONNECT)
    .disable_signals()
    .shutdown_timeout(LAST_REQUESTS);
    for listener in listeners {
        server = match &tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls.clone())?,
            None => server.listen(listener)?,
        };
    }
    Ok(server.run())
}
