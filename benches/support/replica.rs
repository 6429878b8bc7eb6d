//! A replica that is complete and at rest: a file, and what a server shares of it. No engine runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burki_edge::http::{Audio, Auth, Gate, Places, Proxies, Scans, Shared, Webhooks};
use burki_edge::model::{Call, Timestamp, Verified, Window};
use burki_edge::store::{Observation, Readers, Writer};
use burki_edge::sync::{Clock, Engine, Handle, Settings};
use burki_edge::upstream::{HttpSource, PAGE_LIMIT};

pub const KEY: &str = "burki_0123456789abcdefghijklmnopqrstuv";

/// Nobody listens there.
pub const UPSTREAM: &str = "http://127.0.0.1:9";

pub struct Replica {
    pub file: PathBuf,
    handle: Handle,
    _engine: Engine<HttpSource>,
}

/// Fills a new file, and returns its calls, the newest first.
pub fn write(file: &Path, count: usize) -> anyhow::Result<Vec<Call>> {
    let mut writer = Writer::open(file, UPSTREAM)?;
    let mut calls = Vec::new();
    for (page, seq) in super::pages(count)?.into_iter().zip(1..) {
        calls.extend(page.iter().cloned());
        writer.merge(answer(page, seq))?;
    }
    writer.keep_windows(vec![Window {
        from: Timestamp::MIN,
        to: Timestamp::now(),
        verified: answer(Vec::new(), 1_000_000).request,
        rows: count,
        open_ended: true,
    }])?;
    Ok(calls)
}

/// What the `seq`th request brought, now.
pub fn answer(calls: Vec<Call>, seq: u64) -> Observation {
    let at = Timestamp::now();
    super::answer(Verified { at, seq }, calls)
}

impl Replica {
    /// Of a file that [`write`] made.
    pub fn open(file: &Path) -> anyhow::Result<Replica> {
        let source = HttpSource::new(&UPSTREAM.parse()?, KEY, Duration::from_secs(1))?;
        let clock: Clock = Arc::new(Timestamp::now);
        let writer = Writer::open(file, UPSTREAM)?;
        let (engine, handle) = Engine::new(source, writer, settings(), clock);
        Ok(Replica {
            file: file.to_owned(),
            handle,
            _engine: engine,
        })
    }

    pub fn shared(&self) -> Arc<Shared> {
        let readers = Readers::of(&self.file, 8);
        Arc::new(Shared {
            webhooks: Webhooks::new(None),
            scans: Scans::of(&readers),
            readers,
            audio: Audio::none(),
            places: Places::of_process(),
            damage: Default::default(),
            store_path: self.file.clone(),
            handle: self.handle.clone(),
            clock: Arc::new(Timestamp::now),
            gate: Gate::new(
                Auth::new(Some(KEY), [], false),
                Vec::new(),
                Proxies::default(),
            ),
            base_url: UPSTREAM.to_owned(),
            history: None,
            most_waiting_writes: None,
            budget_per_minute: 120,
        })
    }
}

fn settings() -> Settings {
    Settings {
        poll_interval: Duration::from_secs(10),
        reconcile_interval: Duration::from_secs(86_400),
        page_limit: PAGE_LIMIT,
        history: None,
        max_concurrency: 4,
        max_requests_per_minute: 120,
        details: Default::default(),
        seed: 1,
    }
}
