//! The state that all workers of a server share.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::http::calls::recordings::store::Audio;
use crate::http::edge::webhook_secret::Webhooks;
use crate::http::middleware::connection::Places;
use crate::http::middleware::gate::Gate;
use crate::http::reading::scans::Scans;
use crate::store::Readers;
use crate::sync::{Clock, Handle};

pub struct Shared {
    /// The replica's file; it must exist when the server starts.
    pub store_path: PathBuf,
    /// True once a read found the file damaged: the edge is not ready until a restart.
    pub damage: AtomicBool,
    /// Each worker keeps one of its connections; scans borrow others.
    pub readers: Readers,
    pub handle: Handle,
    pub clock: Clock,
    pub gate: Gate,
    pub webhooks: Webhooks,
    /// Scans of the same file.
    pub scans: Scans,
    pub places: Places,
    pub audio: Audio,
    /// The upstream's, for the status.
    pub base_url: String,
    /// How far back the replica must reach to be ready; `None` is all the way.
    pub history: Option<Duration>,
    /// The limit of requests to the upstream, for the status.
    pub budget_per_minute: u32,
    /// The most changes of metadata that may wait for the upstream; `None` accepts none.
    pub most_waiting_writes: Option<usize>,
}
