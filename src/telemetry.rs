//! The log: to standard error, so that standard output is left to what a command prints.
//!
//! It is written by a thread of its own, from a queue of some lines. A log that can't be written, or
//! that nobody reads, costs lines and nothing else: nobody waits for it and nothing fails with it.
//!
//! `RUST_LOG` reaches this crate alone. What the HTTP libraries write at debug and trace is theirs
//! to decide with every release, and is about requests whose paths hold SIDs and whose headers
//! hold keys. No setting may bring that into a log, so what is not ours is cut off below warnings,
//! whatever the filter says.

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

/// How long the end waits for what is still to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Lines that wait to be written; those that come when there are so many are lost.
const LINES: usize = 4096;

/// Who logs, until this is dropped: then what waits is written, for a second at most.
pub struct Log {
    writing: Option<WorkerGuard>,
    /// `None` where `RUST_LOG` says what is logged.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

/// Logs at `level` and above; `RUST_LOG` says otherwise where it is set.
pub fn start(level: &str) -> Log {
    let (writer, writing) = queue(std::io::stderr());
    let environment = EnvFilter::try_from_default_env().ok();
    let is_said = environment.is_some();
    let filter = environment.unwrap_or_else(|| EnvFilter::new(level));
    let (subscriber, filter) = subscriber(filter, writer, std::io::stderr().is_terminal());
    // An error means that a log was started before, as tests may.
    let _ = subscriber.try_init();
    std::panic::set_hook(Box::new(panicked));
    Log {
        writing: Some(writing),
        filter: Some(filter).filter(|_| !is_said),
    }
}

impl Log {
    /// Logs at this level from now on, unless `RUST_LOG` says otherwise.
    pub fn set_level(&self, level: &str) {
        if let Some(filter) = &self.filter {
            // It fails where the log has ended, and then there is none to be set.
            let _ = filter.reload(EnvFilter::new(level));
        }
    }
}

impl Drop for Log {
    /// The guard's own end says on standard output where it failed, and waits for whoever reads
    /// that: it is not waited for.
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

/// What is written to it goes to `file`, or nowhere.
fn queue(
    file: impl Write + Send + 'static,
) -> (tracing_appender::non_blocking::NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES)
        .thread_name("log")
        .finish(file)
}

/// Tells where, and not what: a panic's message may quote a call.
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
        // A line for whatever any stranger sends that is no HTTP, and no TLS.
        .with_target("actix_http", LevelFilter::OFF)
        .with_target("rustls", LevelFilter::ERROR)
        .with_default(LevelFilter::WARN);
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        .with_target(false)
        // It would tell of a line that can't be written where it can't be written.
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

    /// Fails, or waits until it may go on.
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
