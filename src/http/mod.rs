//! The server side: the upstream's calls API answered from the replica, and the edge's own
//! endpoints.
//!
//! ```text
//!  request ─► limits ─► target (path) ─► connections ─► auth ─► method ─► calls, details ─► worker: Reader, Coverage ─► freshness
//!                                        │         └── miss, no-cache ─► sync::Handle
//!                                        ├─► many: kept, or lists, aggregates ─► scans
//!                                        ├─► export, changes ─► scans  any failure ─► error
//!                                        └─► status, health, webhooks (hints ─► sync::Handle)
//! ```
//! A worker thread owns a [`Reader`](crate::store::Reader) and answers from it without handing
//! work to another thread. It keeps the calls that are asked for again and again, each until it is
//! written, and reads the others that arrive together in one transaction. Only what reads many rows
//! runs elsewhere, and each worker keeps what came of it until the file changes. The upstream is reached through the engine's handle alone.

mod caching;
mod calls;
mod edge;
mod error;
mod middleware;
mod params;
mod proxy;
mod reading;
mod respond;
mod routing;
mod server;

use std::future::ready;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::dev::{fn_factory, fn_service};
use actix_web::web::ServiceConfig;

use crate::http::reading::worker::Worker;
use crate::http::routing::dispatch;
use crate::store::Readers;
use crate::sync::{Clock, Handle};

pub use crate::http::calls::recordings::Audio;
pub use crate::http::edge::webhooks::Webhooks;
pub use crate::http::middleware::auth::{Auth, Grant};
pub use crate::http::middleware::connection::Places;
pub use crate::http::middleware::cors::CrossOrigin;
pub use crate::http::middleware::gate::Gate;
pub use crate::http::middleware::peer::Proxies;
pub use crate::http::reading::scans::{Bounds, Scans};
pub use crate::http::server::{Certificate, bind, readers, start};

/// What all workers of a server share.
pub struct Shared {
    /// The replica's file; it must exist when the server starts.
    pub store_path: PathBuf,
    /// Some read found the file damaged: until a restart the edge is not ready.
    pub damage: AtomicBool,
    /// A worker holds one of its connections, and scans borrow others.
    pub readers: Readers,
    pub handle: Handle,
    pub clock: Clock,
    pub gate: Gate,
    pub webhooks: Webhooks,
    /// Of the same file.
    pub scans: Scans,
    pub places: Places,
    pub audio: Audio,
    /// Of the upstream, as the status shows it.
    pub base_url: String,
    /// How far back the replica is to reach before it counts as ready; `None` is all the way.
    pub history: Option<Duration>,
    /// Requests to the upstream that the engine may send, as the status shows it.
    pub budget_per_minute: u32,
    /// So many changes of metadata are kept while the upstream can't be asked; `None` keeps none.
    pub queue: Option<usize>,
}

/// Answers every path of an `App`. Each worker opens a reader of its own; if it can't, the server
/// does not start.
pub fn routes(shared: Arc<Shared>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        // No resources: one look at the path, in `target`, decides as well, and exactly as the
        // upstream does.
        config.default_service(fn_factory(move || {
            ready(Worker::open(Arc::clone(&shared)).map(|worker| {
                let worker = Rc::new(worker);
                fn_service(move |request| dispatch::serve(Rc::clone(&worker), request))
            }))
        }));
    }
}
