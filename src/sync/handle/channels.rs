//! The engine's end of the handle.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::Instant;

use crate::store::Revisions;
use crate::sync::handle::Handle;
use crate::sync::handle::messages::Command;
use crate::sync::health::stall::Stall;
use crate::sync::health::status::SyncStatus;
use crate::sync::knowledge::coverage::Coverage;
use crate::sync::knowledge::pending_writes::PendingWrites;

/// How many commands may wait for the engine.
const COMMANDS: usize = 1024;

/// The engine's end of the [`Handle`]; outlives an engine that fails.
#[derive(Clone)]
pub struct EngineChannels {
    pub(in crate::sync) commands: Arc<Mutex<mpsc::Receiver<Command>>>,
    pub(in crate::sync) status: watch::Sender<SyncStatus>,
    pub(in crate::sync) published: Arc<ArcSwap<Coverage>>,
    pub(in crate::sync) pending: Arc<ArcSwap<PendingWrites>>,
    pub(in crate::sync) revisions: Arc<Revisions>,
    /// Whether clients with the upstream's key may read the replica.
    pub(in crate::sync) lets_key_in: Arc<AtomicBool>,
    /// When an engine last showed that it runs.
    pub(in crate::sync) beat: watch::Sender<Instant>,
    /// The task that makes no progress, sent again at each failure.
    pub(in crate::sync) stalls: watch::Sender<Option<Stall>>,
    /// Notified when another engine is to take the place of this one.
    pub(in crate::sync) renewed: Arc<Notify>,
}

impl EngineChannels {
    pub fn new() -> (EngineChannels, Handle) {
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (status, status_out) = watch::channel(SyncStatus::starting(None));
        let published = Arc::new(ArcSwap::default());
        let pending = Arc::new(ArcSwap::default());
        let revisions = Arc::default();
        let lets_key_in = Arc::new(AtomicBool::new(true));
        let renewed: Arc<Notify> = Arc::default();
        let handle = Handle {
            commands: commands_in,
            status: status_out,
            coverage: Arc::clone(&published),
            pending: Arc::clone(&pending),
            revisions: Arc::clone(&revisions),
            lets_key_in: Arc::clone(&lets_key_in),
            renewed: Arc::clone(&renewed),
            line: None,
        };
        let post = EngineChannels {
            commands: Arc::new(Mutex::new(commands)),
            status,
            published,
            pending,
            revisions,
            lets_key_in,
            beat: watch::Sender::new(Instant::now()),
            stalls: watch::Sender::new(None),
            renewed,
        };
        (post, handle)
    }
}
