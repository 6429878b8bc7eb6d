//! What all workers of a server share.

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
