//! The log: to standard error, so that standard output is left to what a command prints.
//!
//! `RUST_LOG` reaches this crate alone. What the HTTP libraries write at debug and trace is theirs
//! to decide with every release, and is about requests whose paths hold SIDs and whose headers
//! hold keys. No setting may bring that into a log, so what is not ours is cut off below warnings,
//! whatever the filter says.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs at `level` and above; `RUST_LOG` says otherwise where it is set.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // An error means that a log was started before, as tests may.
    let _ = subscriber(filter, std::io::stderr, std::io::stderr().is_terminal()).try_init();
    std::panic::set_hook(Box::new(panicked));
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

fn subscriber<W>(filter: EnvFilter, writer: W, ansi: bool) -> impl SubscriberInitExt
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours_alone = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE)
        .with_default(LevelFilter::WARN);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(ansi)
        .with_target(false)
        .finish()
        .with(ours_alone)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_libraries_are_cut_off_below_warnings_whatever_the_filter_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(File::create(file.path()).unwrap());
        let filter = EnvFilter::new("trace,h2=trace,hyper=debug");
        let logging = subscriber(filter, writer, false).set_default();
        tracing::trace!("ours");
        tracing::trace!(target: "h2::codec", "frame");
        tracing::debug!(target: "hyper::client", "request");
        tracing::info!(target: "actix_server::builder", "starting");
        tracing::warn!(target: "rustls", "warning");
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
        let logging = subscriber(EnvFilter::new("info"), writer, false).set_default();
        tracing::debug!("detail");
        tracing::info!("event");
        drop(logging);
        let log = std::fs::read_to_string(file.path()).unwrap();
        assert!(
            log.ends_with(" event\n") && log.lines().count() == 1,
            "{log}"
        );
    }
}
