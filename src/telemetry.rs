//! The log. It goes to standard error, so that standard output is left to what a command prints.
//!
//! A thread of its own writes it from a bounded queue. A log that can't be written, or that nobody
//! reads, loses lines; nothing waits for it and nothing fails with it.
//!
//! `RUST_LOG` applies to this crate alone. What the HTTP libraries write at debug and trace may
//! change with every release, and it is about requests whose paths hold SIDs and whose headers hold
//! keys. No setting may bring that into a log, so other crates are cut off below warnings, whatever
//! the filter says.

use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How long the end of the process waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Capacity of the queue in lines; lines that arrive while it is full are lost.
const LINES: usize = 4096;

/// The running log. Dropping it writes the lines still queued, for a second at most.
pub struct Log {
    writing: Option<WorkerGuard>,
    /// `None` if `RUST_LOG` decides what is logged.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

/// Starts the log at `level` and above, unless `RUST_LOG` is set.
pub fn start(level: &str) -> Log {
    let (writer, writing) = queue(std::io::stderr());
    let environment = EnvFilter::try_from_default_env().ok();
    let is_said = environment.is_some();
    let filter = environment.unwrap_or_else(|| EnvFilter::new(level));
    let (subscriber, filter) = subscriber(filter, writer, std::io::stderr().is_terminal());
    // An error means that a log was started before, as tests may do.
    let _ = subscriber.try_init();
    std::panic::set_hook(Box::new(panicked));
    Log {
        writing: Some(writing),
        filter: Some(filter).filter(|_| !is_said),
    }
}

impl Log {
    /// Logs at this level from now on, unless `RUST_LOG` is set.
    pub fn set_level(&self, level: &str) {
        if let Some(filter) = &self.filter {
            // Reloading fails only once the log has ended, and then there is nothing to set.
            let _ = filter.reload(EnvFilter::new(level));
        }
    }
}

impl Drop for Log {
    /// Ends the guard on another thread, and waits for a limited time only: a guard that fails
    /// prints to standard output, and blocks until that is read.
    fn drop(&mut self) {
        let Some(writing) = self.writing.take() else {
            return;
        };
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(writing);
            let _ = ended.send(());
        });
        let _ = end.recv_timeout(LAST_LINES);
    }
}

/// A writer whose lines go to `file`, or are lost.
fn queue(
    file: impl Write + Send + 'static,
) -> (tracing_appender::non_blocking::NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES)
        .thread_name("log")
        .finish(file)
}

/// Logs where a panic happened, but not its message, which may quote a call.
fn panicked(panic: &PanicHookInfo<'_>) {
    if let Some(place) = panic.location() {
        tracing::error!(
            file = place.file(),
            line = place.line(),
            "a panic: please report it"
        );
    }
}

fn subscriber<W>(
    filter: EnvFilter,
    writer: W,
    ansi: bool,
) -> (impl SubscriberInitExt, reload::Handle<EnvFilter, Registry>)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours_alone = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE)
        // These two would write a line for anything a stranger sends that is not HTTP or not TLS.
        .with_target("actix_http", LevelFilter::OFF)
        .with_target("rustls", LevelFilter::ERROR)
        .with_default(LevelFilter::WARN);
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        .with_target(false)
        // It would report a line that can't be written to the log that can't be written.
        .log_internal_errors(false);
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(ours_alone)
        .with(lines);
    (subscriber, handle)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_libraries_are_cut_off_below_warnings_whatever_the_filter_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(File::create(file.path()).unwrap());
        let filter = EnvFilter::new("trace,h2=trace,hyper=debug");
        let logging = subscriber(filter, writer, false).0.set_default();
        tracing::trace!("ours");
        tracing::trace!(target: "h2::codec", "frame");
        tracing::debug!(target: "hyper::client", "request");
        tracing::info!(target: "actix_server::builder", "starting");
        tracing::warn!(target: "rustls", "alert");
        tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
        tracing::warn!(target: "hyper", "warning");
        drop(logging);
        let log = std::fs::read_to_string(file.path()).unwrap();
        let messages: Vec<_> = log
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        assert_eq!(messages, ["ours", "warning"]);
    }

    #[test]
    fn the_filter_still_decides_about_what_is_ours() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(File::create(file.path()).unwrap());
        let (subscriber, handle) = subscriber(EnvFilter::new("info"), writer, false);
        let logging = subscriber.set_default();
        tracing::debug!("detail");
        tracing::info!("event");
        handle.reload(EnvFilter::new("debug")).unwrap();
        tracing::debug!("wanted");
        drop(logging);
        let log = std::fs::read_to_string(file.path()).unwrap();
        let messages: Vec<_> = log
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        assert_eq!(messages, ["event", "wanted"]);
    }

    /// A writer that fails, or that blocks until it may go on.
    struct Broken(Option<Receiver<()>>);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            match &self.0 {
                Some(goes_on) => {
                    let _ = goes_on.recv();
                }
                None => return Err(io::ErrorKind::StorageFull.into()),
            }
            Ok(0)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_cant_be_written_or_is_not_read_holds_nobody_up() {
        let (held, goes_on) = channel();
        for file in [Broken(None), Broken(Some(goes_on))] {
            let (writer, writing) = queue(file);
            let (subscriber, _) = subscriber(EnvFilter::new("info"), writer, false);
            let logging = subscriber.set_default();
            let begun = Instant::now();
            for line in 0..2 * LINES {
                tracing::info!(line, "event");
            }
            drop(logging);
            drop(writing);
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        drop(held);
    }
}
