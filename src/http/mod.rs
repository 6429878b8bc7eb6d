//! The server: the upstream's calls API answered from the replica, and the edge's own endpoints.
//!
//! ```text
//!  request ─► middleware ─► routing ─► calls/* ─► reading: worker, shared transaction ─► caching
//!                              │         ├─ miss, no-cache ─► sync::Handle
//!                              │         └─ lists, aggregates, exports ─► reading: admission, scans
//!                              ├─► edge/*: status, health, change feed, outbox, webhooks, openapi
//!                              └─► proxy: everything else                  any failure ─► error
//! ```
//!
//! A worker thread owns a [`Reader`](crate::store::Reader) and answers point reads without handing
//! work to another thread; requests that arrive together share one read transaction. Only what
//! reads many rows runs elsewhere. The upstream is reached through the engine's handle alone.
//!
//! Knows `model`, `store` and `sync`. In reading order: `server` (sockets, TLS), `middleware` (what
//! is checked of every request), `routing` (from a path to a function), `reading` (how the replica
//! is read), `caching` (HTTP caching, RFC 9111), `params`, `calls`, `edge`, `proxy` with
//! `passed_answer`; `shared`, `respond` and `error` are used by all.

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

/// Answers every path of an `App`. Each worker opens its own reader; if it can't, the server does
/// not start.
pub fn routes(shared: Arc<Shared>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        // No resources of actix: `dispatch` looks at the path once, which is exactly what the
        // upstream does.
        config.default_service(fn_factory(move || {
            ready(Worker::open(Arc::clone(&shared)).map(|worker| {
                let worker = Rc::new(worker);
                fn_service(move |request| dispatch::serve(Rc::clone(&worker), request))
            }))
        }));
    }
}
