//! The world and the faults behind a real socket: actix-web on a thread and a runtime of its own.
//!
//! A fault in a connection happens to the real connection: the server keeps a second handle of
//! every accepted socket and shuts it down, so that a client sees what it would see of a broken
//! network. Besides the vendor's API, and no part of it, `POST /simulator/cut` and
//! `POST /simulator/restore` cut the connection and restore it, without a key and even while it is
//! cut.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::{StatusCode, header};
use actix_web::rt::net::TcpStream;
use actix_web::rt::{System, time};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use socket2::SockRef;

use super::api::{ApiRequest, ApiResponse};
use super::connection::{Connection, Connections};
use super::fault::{Fault, Faults};
use super::log::{Log, Logged};
use super::world::World;
use crate::model::Timestamp;

/// How often a live world is advanced to its clock.
const TICK: Duration = Duration::from_millis(200);

/// A running upstream. Dropping it stops it.
pub struct Simulator {
    state: Arc<State>,
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    server: ServerHandle,
    system: System,
    thread: JoinHandle<io::Result<()>>,
}

struct State {
    world: Mutex<World>,
    faults: Mutex<Faults>,
    log: Mutex<Log>,
    connections: Mutex<Connections>,
}

/// Locks even after a panic elsewhere: nothing here is half-written between two statements that can
/// panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn logged(&self, request: &ApiRequest, status: Option<u16>) {
        lock(&self.log).push(request, status);
    }

    fn accept(&self, stream: &dyn Any, extensions: &mut Extensions) {
        let Some(stream) = stream.downcast_ref::<TcpStream>() else {
            return;
        };
        // Without a free descriptor the connection is served, but no fault can close it.
        if let Ok(connection) = lock(&self.connections).add(&SockRef::from(stream)) {
            extensions.insert(connection);
        }
    }
}

impl Simulator {
    /// Serves `world` at an address; port 0 picks a free one. Once this returns, connections are
    /// accepted.
    pub fn start(world: World, address: impl ToSocketAddrs) -> io::Result<Simulator> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            world: Mutex::new(world),
            faults: Mutex::default(),
            log: Mutex::default(),
            connections: Mutex::default(),
        });
        let (started, handles) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn({
                let state = state.clone();
                move || serve(state, listener, &started)
            })?;
        let Ok((server, system)) = handles.recv() else {
            // The thread ended before it had a server, and its result says why.
            let ended = thread.join().unwrap_or(Ok(()));
            return Err(ended.err().unwrap_or_else(|| io::Error::other("no server")));
        };
        Ok(Simulator {
            state,
            address,
            running: Some(Running {
                server,
                system,
                thread,
            }),
        })
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The world, locked: no request is answered while the guard lives.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.state.world)
    }

    /// The faults in force, locked like the world.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.state.faults)
    }

    /// The last requests, oldest first, a hundred thousand at most.
    pub fn requests(&self) -> Vec<Logged> {
        lock(&self.state.log).all()
    }

    /// How many of [`Simulator::requests`] have this text in their path and query.
    pub fn count_requests(&self, part: &str) -> usize {
        lock(&self.state.log).count(part)
    }

    pub fn clear_requests(&self) {
        lock(&self.state.log).clear();
    }

    /// Drops every connection, and each new one at its first request, until [`Simulator::restore`].
    pub fn cut(&self) {
        self.faults().cut();
        lock(&self.state.connections).shut_down(None);
    }

    /// Ends a [`Simulator::cut`].
    pub fn restore(&self) {
        self.faults().restore();
    }

    /// Advances the world by `clock` from now on, until the simulator stops. Call it once.
    pub fn live(&self, clock: fn() -> Timestamp) {
        let state = self.state.clone();
        if let Some(running) = &self.running {
            running.system.arbiter().spawn(async move {
                let mut tick = time::interval(TICK);
                loop {
                    tick.tick().await;
                    lock(&state.world).advance(clock());
                }
            });
        }
    }

    /// Closes the listener and every connection, and waits until the thread has ended. Clients are
    /// refused from then on.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        // The call itself sends the command; joining the thread waits for its end.
        drop(running.server.stop(false));
        lock(&self.state.connections).shut_down(None);
        // A panic on the server's thread was reported there.
        let _ = running.thread.join();
        lock(&self.state.connections).shut_down(None);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs on the server's thread.
fn serve(
    state: Arc<State>,
    listener: TcpListener,
    started: &mpsc::Sender<(ServerHandle, System)>,
) -> io::Result<()> {
    System::new().block_on(async move {
        let accepting = state.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(state.clone()))
                .route("/simulator/cut", web::post().to(cut))
                .route("/simulator/restore", web::post().to(restore))
                .default_service(web::to(answer))
        })
        .on_connect(move |stream, extensions| accepting.accept(stream, extensions))
        .workers(2)
        .disable_signals()
        .listen(listener)?
        .run();
        // The starting thread waits for this; if it is gone, nothing needs a server.
        let handles = (server.handle(), System::current());
        if started.send(handles).is_err() {
            return Ok(());
        }
        server.await
    })
}

async fn cut(state: web::Data<State>, http: HttpRequest) -> HttpResponse {
    lock(&state.faults).cut();
    // The request that cuts is still to be answered.
    lock(&state.connections).shut_down(http.conn_data::<Arc<Connection>>());
    HttpResponse::Ok().json(serde_json::json!({"line": "cut"}))
}

async fn restore(state: web::Data<State>) -> HttpResponse {
    lock(&state.faults).restore();
    HttpResponse::Ok().json(serde_json::json!({"line": "up"}))
}

async fn answer(state: web::Data<State>, http: HttpRequest, body: web::Bytes) -> HttpResponse {
    let request = translate(&http, &body);
    let fault = lock(&state.faults).decide(&request);
    let connection = http.conn_data::<Arc<Connection>>();
    match &fault {
        Some(Fault::Reset) => {
            state.logged(&request, None);
            if let Some(connection) = connection {
                connection.shut_down();
            }
            // The answer goes nowhere, because the socket is closed.
            return HttpResponse::new(StatusCode::BAD_GATEWAY);
        }
        Some(Fault::Hang) => {
            state.logged(&request, None);
            return std::future::pending().await;
        }
        Some(Fault::Latency(delay)) => time::sleep(*delay).await,
        _ => {}
    }
    let response = {
        let mut world = lock(&state.world);
        let ordered = fault
            .as_ref()
            .and_then(|fault| fault.answer(world.flavour(), &request));
        ordered.unwrap_or_else(|| world.answer(&request))
    };
    let response = lock(&state.faults).review(response);
    let response = match &fault {
        Some(fault) => fault.spoil(response),
        None => response,
    };
    state.logged(&request, Some(response.status));
    let cut_short = fault == Some(Fault::Truncated);
    match connection.filter(|_| cut_short) {
        Some(connection) => truncated(response, connection.clone()),
        None => head(&response).body(response.body),
    }
}

/// The request in the form that the world takes.
fn translate(http: &HttpRequest, body: &[u8]) -> ApiRequest {
    let text = |name| Some(http.headers().get(name)?.to_str().ok()?.to_owned());
    ApiRequest {
        method: http.method().as_str().to_owned(),
        path: http.uri().path().to_owned(),
        query: http.uri().query().unwrap_or_default().to_owned(),
        host: text(header::HOST),
        authorization: text(header::AUTHORIZATION),
        body: body.to_vec(),
    }
}

fn head(response: &ApiResponse) -> actix_web::HttpResponseBuilder {
    // Every status that the world and the faults use is valid.
    let status = StatusCode::from_u16(response.status).unwrap_or_default();
    let mut builder = HttpResponse::build(status);
    for (name, value) in &response.headers {
        builder.insert_header((*name, value.as_str()));
    }
    builder
}

/// Half of the body under a `Content-Length` for all of it, after which the connection ends.
fn truncated(response: ApiResponse, connection: Arc<Connection>) -> HttpResponse {
    // At least one byte must be missing, even of an empty body.
    let promised = response.body.len().max(1) as u64;
    let mut builder = head(&response);
    let half = web::Bytes::from(response.body).slice(..(promised / 2) as usize);
    let steps = futures_util::stream::unfold(Some(Some(half)), move |step| {
        let connection = connection.clone();
        async move {
            if let Some(half) = step? {
                return Some((Ok::<_, io::Error>(half), Some(None)));
            }
            // Lets the dispatcher write the half before the socket closes.
            actix_web::rt::task::yield_now().await;
            connection.shut_down();
            None
        }
    });
    builder.no_chunking(promised).streaming(steps)
}
