//! The writer, shared by several tasks.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::write::writer::Writer;

/// A shared writer. Its work runs on the blocking pool, one piece at a time.
#[derive(Clone)]
pub struct SharedWriter(Arc<Mutex<Writer>>);

impl SharedWriter {
    pub fn new(writer: Writer) -> SharedWriter {
        SharedWriter(Arc::new(Mutex::new(writer)))
    }

    /// Runs `work` on the blocking pool. The caller orders pieces by awaiting each.
    pub async fn run<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Writer) -> T + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let piece = move || {
            // A panic in a transaction rolls it back, so a poisoned lock does no harm.
            let mut writer = shared.lock().unwrap_or_else(PoisonError::into_inner);
            // If no other connection can be opened, `work` is tried on this one.
            let _ = writer.renew();
            work(&mut writer)
        };
        match tokio::task::spawn_blocking(piece).await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime is shutting down, and drops its tasks.
            Err(_) => std::future::pending().await,
        }
    }
}
