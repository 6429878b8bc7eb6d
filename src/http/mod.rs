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
mod passed_answer;
mod proxy;
mod reading;
mod respond;
mod routing;
mod server;
mod shared;

use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::{fn_factory, fn_service};
use actix_web::web::ServiceConfig;

use crate::http::reading::worker::Worker;
use crate::http::routing::dispatch;

pub use crate::http::calls::recordings::store::Audio;
pub use crate::http::edge::webhook_secret::Webhooks;
pub use crate::http::middleware::auth::{Auth, Grant};
pub use crate::http::middleware::connection::Places;
pub use crate::http::middleware::cors::CrossOrigin;
pub use crate::http::middleware::gate::Gate;
pub use crate::http::middleware::peer::Proxies;
pub use crate::http::reading::scans::{Bounds, Scans};
pub use crate::http::server::{Certificate, bind, readers, start};
pub use crate::http::shared::Shared;

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
