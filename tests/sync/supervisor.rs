//! An engine that panics, stands still or makes no progress is replaced behind the same handle.

use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use burki_edge::model::{CallKey, KeyHash};
use burki_edge::simulator::{Fault, Flavour, WorldConfig};
use burki_edge::sync::{
    EngineChannels, FetchOutcome, Phase, Settings, Supervised, Supervisor, SyncError, UpstreamState,
};
use burki_edge::upstream::{CallSource, DateForm, Reply, Request, UpstreamError};
use tempfile::NamedTempFile;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::engine_harness::{Source, Stage};

/// Panics at some requests, counted over all engines.
struct Panicking {
    source: Source,
    requests: Arc<AtomicUsize>,
    at: fn(usize) -> bool,
}

impl CallSource for Panicking {
    fn key_hash(&self) -> KeyHash {
        self.source.key_hash()
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        assert!(!(self.at)(number), "+49 30 123456");
        self.source.fetch(request, dates).await
    }
}

fn panicking(at: fn(usize) -> bool) -> impl Fn(Source) -> Panicking {
    let requests = Arc::new(AtomicUsize::new(0));
    move |source| Panicking {
        source,
        requests: Arc::clone(&requests),
        at,
    }
}

/// What is logged on this thread.
struct Log {
    file: NamedTempFile,
    _logging: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn begin() -> Log {
        let file = NamedTempFile::new().expect("a file");
        let writer = Arc::new(File::create(file.path()).expect("a file"));
        let logging = tracing_subscriber::fmt()
            .with_writer(writer)
            .with_ansi(false)
            .finish();
        Log {
            _logging: tracing::subscriber::set_default(logging),
            file,
        }
    }

    fn count(&self, part: &str) -> usize {
        let text = std::fs::read_to_string(self.file.path()).expect("a log");
        text.lines().filter(|line| line.contains(part)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_panics_is_replaced_behind_the_same_handle() {
    let log = Log::begin();
    let stage = Stage::new(WorldConfig::default());
    let running = stage.start_watched(panicking(|number| number == 7));
    let status = running
        .until(|status| {
            let kind = status.last_error.as_ref().map(|error| error.kind.as_str());
            kind == Some("sync_restarted")
        })
        .await;
    assert_eq!(status.state, UpstreamState::Offline);
    assert_eq!(status.freshness_bound, None);
    let status = running
        .until(|status| status.phase == Phase::Live && status.state == UpstreamState::Online)
        .await;
    let error = status.last_error.unwrap();
    assert_eq!(error.kind, "sync_restarted", "it is still told");
    assert!(!error.message.contains("+49") && !error.hint.is_empty());
    let id = stage.world().start_call(Some(stage.now()));
    let fetched = running.handle.fetch(CallKey::Id(id)).await;
    assert_eq!(fetched, FetchOutcome::Found);
    running.pass(120).await;
    assert_eq!(log.count("the sync panicked"), 1);
    assert_eq!(log.count("the sync runs again failures=1 restarts=1"), 1);
    assert_eq!(log.count("+49"), 0);
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_for_ever_is_tried_at_the_backoffs_pace_and_told_once() {
    let log = Log::begin();
    let stage = Stage::new(WorldConfig::default());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let running = stage.start_watched(move |source| Panicking {
        source,
        requests: Arc::clone(&counted),
        at: |_| true,
    });
    running.pass(3600).await;
    let tries = requests.load(Ordering::SeqCst);
    assert!((120..300).contains(&tries), "{tries}");
    assert_eq!(log.count("the sync panicked"), 1);
    let fetched = running.handle.fetch(CallKey::Id(1));
    let waited = tokio::time::timeout(Duration::from_secs(60), fetched).await;
    assert!(
        matches!(waited, Ok(FetchOutcome::Unavailable { .. })),
        "{waited:?}"
    );
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_day_restarts_nothing() {
    let log = Log::begin();
    let stage = Stage::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 40,
        ..WorldConfig::default()
    });
    let running = stage.start_watched(|source| source);
    running.until_live().await;
    for fault in [
        Fault::Reset,
        Fault::Hang,
        Fault::Unauthorized,
        Fault::ServerError,
        Fault::Throttled {
            retry_after: "3600".to_owned(),
        },
    ] {
        stage.faults().always(fault);
        running.pass(86_400 / 5).await;
    }
    stage.faults().clear();
    running
        .until(|status| status.state == UpstreamState::Online)
        .await;
    assert_eq!(log.count("restarted"), 0);
    assert_eq!(log.count("no progress"), 0);
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn what_fails_alone_for_ever_is_told_once_and_tried_anew_once_an_hour() {
    let log = Log::begin();
    let stage = Stage::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 40,
        ..WorldConfig::default()
    });
    let running = stage.start_watched(|source| source);
    running.until_live().await;
    stage.faults().always_where("/count", Fault::ServerError);
    running
        .until(|status| {
            let error = status.last_error.as_ref();
            error.is_some_and(|error| error.kind == "no_progress")
        })
        .await;
    assert_eq!(
        running.handle.status().borrow().state,
        UpstreamState::Online
    );
    running.pass(4 * 3600).await;
    assert_eq!(log.count("no progress: calls can't be counted"), 1);
    let restarts = log.count("the sync is restarted");
    assert!((1..=5).contains(&restarts), "{restarts}");
    stage.faults().clear();
    running.pass(7200).await;
    assert_eq!(log.count("there is progress again"), 1);
    running.stop().await.unwrap();
    stage.assert_equal();
}

/// Anything at all in an engine's place.
struct Fake(Pin<Box<dyn Future<Output = Result<(), SyncError>> + Send>>);

impl Supervised for Fake {
    async fn run(self, cancel: CancellationToken) -> Result<(), SyncError> {
        tokio::select! {
            ended = self.0 => ended,
            () = cancel.cancelled() => Ok(()),
        }
    }
}

fn watchdog(post: &EngineChannels, poll_interval: Duration) -> Supervisor {
    let stage = Stage::new(WorldConfig::default());
    let settings = Settings {
        poll_interval,
        ..stage.settings.clone()
    };
    Supervisor::new(
        post.clone(),
        stage.clock(),
        &settings,
        Duration::from_secs(30),
    )
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_still_is_replaced_after_its_patience() {
    for (poll, patience) in [(10, 300), (60, 600)] {
        let log = Log::begin();
        let (post, handle) = EngineChannels::new();
        let made = Arc::new(AtomicUsize::new(0));
        let make = {
            let made = Arc::clone(&made);
            move || {
                made.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Fake(Box::pin(std::future::pending())))
            }
        };
        let begun = Instant::now();
        let watchdog = watchdog(&post, Duration::from_secs(poll));
        let cancel = CancellationToken::new();
        let first = Fake(Box::pin(std::future::pending()));
        let task = tokio::spawn(watchdog.watch(first, make, cancel.clone()));
        let mut status = handle.status();
        let told = status.wait_for(|status| status.last_error.is_some()).await;
        let error = told.unwrap().last_error.clone().unwrap();
        assert_eq!(error.kind, "sync_restarted");
        assert_eq!(begun.elapsed().as_secs(), patience);
        tokio::time::sleep(Duration::from_secs(3 * patience)).await;
        assert!((2..=3).contains(&made.load(Ordering::SeqCst)));
        assert_eq!(log.count("the sync stood still"), 1, "it is told once");
        cancel.cancel();
        task.await.unwrap().unwrap();
    }
}
