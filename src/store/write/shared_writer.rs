//! The writer, where several tasks use it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::write::writer::Writer;

/// The writer, shared: its work runs on the blocking pool, one piece at a time.
#[derive(Clone)]
pub struct SharedWriter(Arc<Mutex<Writer>>);

impl SharedWriter {
    pub fn new(writer: Writer) -> SharedWriter {
        SharedWriter(Arc::new(Mutex::new(writer)))
    }

    /// Runs `work` where it may block. The caller orders pieces by awaiting each.
    pub async fn run<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Writer) -> T + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let piece = move || {
            // A panic in a transaction rolls it back.
            let mut writer = shared.lock().unwrap_or_else(PoisonError::into_inner);
            // If there is no other to be had, this one fails at the work itself, or does not.
            let _ = writer.renew();
            work(&mut writer)
        };
        match tokio::task::spawn_blocking(piece).await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime ends, and with it whoever waits.
            Err(_) => std::future::pending().await,
        }
    }
}
