//! One seed's story: what kind of upstream it is, what befalls it, the line and the edge.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use burki_edge::model::{CallKey, Detail, Timestamp, Unit};
use burki_edge::simulator::{Cache, Fault, Flavour, Rates, Total, World, WorldConfig};
use burki_edge::store::{Reader, StoreError, Writer};
use burki_edge::sync::{
    Clock, Engine, Handle, Hint, Phase, Settings, SyncError, SyncStatus, UpstreamState,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::folder::folder;
use super::oracle::Rows;
use super::upstream::{Shared, Source};

const URL: &str = "http://simulator";

/// What is told of the seed when it fails.
#[derive(Debug)]
pub struct Story {
    pub settings: Settings,
    /// Answers that are well-formed and untrue: what is claimed after one may be, too.
    lies: bool,
    /// The edge's clock jumps.
    pub jumps: bool,
    /// An intermediary keeps the answers to such paths for so long.
    pub cached: Option<(&'static str, Duration)>,
    steps: u32,
}

pub struct Edge {
    pub handle: Handle,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), SyncError>>,
}

pub struct Life {
    pub story: Story,
    pub random: StdRng,
    pub shared: Shared,
    /// How far the edge's clock is from the truth, in microseconds.
    skew: Arc<AtomicI64>,
    folder: TempDir,
    pub edge: Option<Edge>,
}

pub fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut life = Life::new(seed);
        life.live().await;
        life.settle().await;
        life.keep_promises().await;
    });
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut random = StdRng::seed_from_u64(seed);
        let flavour = match random.random_bool(0.5) {
            true => Flavour::Hosted,
            false => Flavour::SelfHosted,
        };
        let page_limit = random.random_range(5..25);
        let calls = random.random_range(0..150);
        let few = |random: &mut StdRng, most: usize| match random.random_range(0..4) {
            0 => random.random_range(0..most),
            _ => random.random_range(0..3),
        };
        let capped = random.random_bool(0.15);
        let hours = Duration::from_secs(3600);
        let mut config = WorldConfig {
            flavour,
            seed,
            calls,
            same_instant: few(&mut random, 2 * page_limit),
            without_start: few(&mut random, 2 * page_limit),
            span: hours * random.random_range(1..2000),
            page_cap: capped.then(|| random.random_range(2..=page_limit)),
            total: match random.random_range(0..20) {
                0 => Total::Missing,
                1 => Total::Null,
                2 => Total::Capped(random.random_range(0..100)),
                _ => Total::True,
            },
            most_rows: match random.random_bool(0.1) {
                true => random.random_range(2..=page_limit as i64),
                false => 1000,
            },
            doubled: f64::from(random.random_range(0..10) / 9) * 0.3,
            fraction: f64::from(random.random_range(0..10) / 9) * 0.5,
            zone: hours * u32::from(random.random_bool(0.1)),
            ..WorldConfig::default()
        };
        if let (Total::Capped(total), Some(rows)) = (config.total, config.page_cap)
            && total == rows
        {
            // By all that it tells, such a page is the whole list.
            config.page_cap = None;
        }
        let millisecond = Timestamp::from_micros(1000).unit();
        let unit = match random.random_range(0..10) {
            0 => millisecond,
            1 => Unit::SECOND,
            _ => Unit::MICROSECOND,
        };
        let naive_zone = hours * u32::from(config.zone.is_zero() && random.random_bool(0.1));
        let config = WorldConfig {
            unit,
            naive_zone,
            ..config
        };
        // Pages of less than four rows are not taken for what the server serves.
        let breaks_above = random
            .random_bool(0.07)
            .then(|| random.random_range(4..=page_limit).max(8))
            .filter(|_| !capped);
        let narrow = capped || config.most_rows < 1000 || breaks_above.is_some();
        let settings = Settings {
            poll_interval: Duration::from_secs(10),
            reconcile_interval: Duration::from_secs(random.random_range(60..400)),
            history: None,
            page_limit,
            max_concurrency: random.random_range(2..=4),
            // Pages of two calls take many requests.
            max_requests_per_minute: match narrow || page_limit < 10 {
                true => 6000,
                false => *[120, 600, 6000].choose(&mut random).expect("one"),
            },
            details: match random.random_bool(0.2) {
                true => BTreeSet::from([Detail::Transcripts, Detail::Recordings]),
                false => BTreeSet::new(),
            },
            seed,
        };
        let story = Story {
            settings,
            lies: random.random_bool(0.3),
            jumps: random.random_bool(0.2),
            cached: None,
            steps: random.random_range(10..50),
        };
        let shared = Shared::new(World::new(config), seed);
        let cached = random.random_bool(0.1).then(|| {
            let part = *["/calls/?", "/calls/"].choose(&mut random).expect("one");
            (part, Duration::from_secs(random.random_range(5..200)))
        });
        shared.lock().breaks_above = breaks_above;
        shared.lock().clear_faults();
        shared.lock().cache = cached.map(|(part, keep)| (part, Cache::new(keep)));
        let story = Story { cached, ..story };
        Life {
            shared,
            random,
            skew: Arc::default(),
            folder: folder(),
            edge: None,
            story,
        }
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("edge.db")
    }

    /// Everything happens, and what must hold is checked after each step.
    async fn live(&mut self) {
        let rates = Rates {
            calls: self.random.random_range(0.0..300.0),
            annotations: self.random.random_range(0.0..600.0),
            deletions: self.random.random_range(0.0..60.0),
        };
        self.shared.change(|world| world.set_rates(rates));
        for _ in 0..self.story.steps {
            if self.edge.is_none() {
                self.start();
            }
            self.step().await;
            let wait = match self.random.random_range(0..3) {
                0 => self.random.random_range(1..2_000),
                1 => self.random.random_range(1..20_000),
                _ => self.random.random_range(1..200_000),
            };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.check();
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..35 => self.change_the_world(),
            35..60 => self.disturb_the_line(),
            60..75 => self.clear_faults(),
            75..83 => self.hint(),
            83..88 => self.ask().await,
            88..94 => {
                if let Some(edge) = self.edge.take() {
                    edge.task.abort();
                    let _ = edge.task.await;
                }
            }
            94..97 => self.stop().await,
            _ => self.set_the_clock(),
        }
    }

    pub fn clear_faults(&self) {
        self.shared.lock().clear_faults();
    }

    pub fn status(&self) -> SyncStatus {
        let edge = self.edge.as_ref().expect("an edge");
        edge.handle.status().borrow().clone()
    }

    fn change_the_world(&mut self) {
        let now = self.shared.now();
        let (choice, seed) = (self.random.random_range(0..11), self.random.random());
        self.shared.change(|world| {
            let mut random = StdRng::seed_from_u64(seed);
            let ids = world.newest(usize::MAX);
            let id = ids.choose(&mut random).copied().unwrap_or(0);
            let ago = Duration::from_secs(random.random_range(0..10_000_000));
            match choice {
                0 => {
                    world.start_call(Some(now));
                }
                1 => {
                    let late = world.start_call(Some(now - ago));
                    world.end_call(late, now - ago / 2, "completed");
                }
                2 => {
                    let ended = ["completed", "failed", "no-answer", "busy", "voicemail"];
                    world.end_call(id, now, ended.choose(&mut random).expect("one"));
                }
                3 => {
                    let note = format!(r#"{{"note":{}}}"#, random.random_range(0..100));
                    world.set_metadata(id, Some(&note));
                }
                4 => {
                    world.delete(id);
                }
                5 => {
                    world.move_start(id, Some(now - ago));
                }
                6 => {
                    world.move_start(id, None);
                }
                7 => {
                    // Several at once, side by side.
                    let few = random.random_range(1..30);
                    for id in ids.iter().skip(random.random_range(0..100)).take(few) {
                        world.delete(*id);
                    }
                }
                8 => {
                    let start = Some(now - ago);
                    for _ in 0..random.random_range(1..40) {
                        let id = world.start_call(start);
                        world.end_call(id, now, "failed");
                    }
                }
                9 => {
                    let before = world.snapshot();
                    for id in ids.iter().take(random.random_range(0..20)) {
                        world.delete(*id);
                    }
                    if random.random_bool(0.5) {
                        world.restore(&before);
                    }
                }
                _ => {
                    world.update(id, |call| call.status = "in-progress".into());
                }
            }
        });
    }

    fn disturb_the_line(&mut self) {
        let mut faults = vec![
            Fault::Unauthorized,
            Fault::Throttled {
                retry_after: "20".into(),
            },
            Fault::ServerError,
            Fault::Unavailable,
            Fault::Reset,
            Fault::Hang,
            Fault::Truncated,
            Fault::Garbage,
            Fault::NotFoundPage,
            Fault::OtherOrder,
            Fault::OtherDouble,
            Fault::DuplicateKeys,
            Fault::WrongTypes,
            Fault::WithoutId,
            Fault::HugeNumber,
        ];
        if self.story.lies {
            faults.extend([Fault::EmptyList, Fault::ShortList(1), Fault::ShortList(5)]);
        }
        let seed = self.random.random();
        let one = faults.choose(&mut self.random).expect("one").clone();
        let choice = self.random.random_range(0..6);
        let probability = self.random.random_range(0.05..0.6);
        let unreadable = self.random.random_range(0..200);
        let mut stage = self.shared.lock();
        match choice {
            0 => stage.faults.always(one),
            1 => {
                // One part of it, and the rest is well.
                let parts = [
                    "date_",
                    "/count",
                    "/calls/1",
                    "status=",
                    "skip=",
                    "/me",
                    "/recordings",
                ];
                let part = *parts.choose(&mut self.random).expect("one");
                stage.faults.always_where(part, one);
            }
            2 => stage.faults.cut(),
            3 => {
                let ids = stage.world.newest(usize::MAX);
                if let Some(id) = ids.get(unreadable) {
                    stage.faults.make_unreadable(*id);
                }
            }
            _ => stage.faults.at_random(seed, probability, faults),
        }
    }

    fn hint(&mut self) {
        let stage = self.shared.lock();
        let ids = stage.world.newest(20);
        let sid = ids
            .choose(&mut self.random)
            .and_then(|id| stage.world.get(*id))
            .map_or("CAnobody".to_owned(), |call| call.call_sid.to_string());
        let Some(edge) = &self.edge else { return };
        for _ in 0..self.random.random_range(0..3) {
            edge.handle.hint(match self.random.random_bool(0.5) {
                true => Hint::Call(CallKey::Sid(sid.clone())),
                false => Hint::Some,
            });
        }
        if self.random.random_bool(0.2) {
            edge.handle.sync_now();
        }
    }

    async fn ask(&mut self) {
        let id = self.random.random_range(900..1400);
        if let Some(edge) = &self.edge {
            let wait = Duration::from_secs(10);
            let _ = tokio::time::timeout(wait, edge.handle.fetch(CallKey::Id(id))).await;
        }
    }

    /// What time it is as the edge has it.
    pub fn clock(&self) -> Clock {
        let (shared, skew) = (self.shared.clone(), Arc::clone(&self.skew));
        Arc::new(move || {
            Timestamp::from_micros(shared.now().as_micros() + skew.load(Ordering::SeqCst))
        })
    }

    fn set_the_clock(&mut self) {
        if self.story.jumps {
            let days = self.random.random_range(-3..4) * 86_400_000_000_i64;
            self.skew.fetch_add(days / 4, Ordering::SeqCst);
        }
    }

    pub fn start(&mut self) {
        let clock = self.clock();
        let source = Source {
            shared: self.shared.clone(),
            clock: Arc::clone(&clock),
        };
        let writer = open(&self.path());
        let (engine, handle) = Engine::new(source, writer, self.story.settings.clone(), clock);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(engine.run(cancel.clone()));
        self.edge = Some(Edge {
            handle,
            cancel,
            task,
        });
    }

    pub async fn stop(&mut self) {
        if let Some(edge) = self.edge.take() {
            edge.cancel.cancel();
            edge.task.await.expect("no panic").expect("no refusal");
        }
    }

    /// What must hold at every step.
    pub fn check(&mut self) {
        let checked = catch_unwind(AssertUnwindSafe(|| self.check_all()));
        if let Err(failed) = checked {
            self.explain();
            resume_unwind(failed);
        }
    }

    fn check_all(&mut self) {
        let now = self.shared.now();
        // Coverage and status before the rows: those may only be newer.
        let edge = self.edge.as_ref();
        let told = edge.map(|edge| {
            let status = edge.handle.status();
            let status = status.borrow().clone();
            (edge.handle.coverage().windows().to_vec(), status)
        });
        if edge.is_some_and(|edge| edge.task.is_finished()) {
            panic!("the engine has ended: {:?}", self.story);
        }
        let reader = Reader::open(&self.path()).expect("a reader");
        let rows = rows(&reader);
        let mut stage = self.shared.lock();
        stage.oracle.check_rows(&rows);
        stage.oracle.consume(&reader, &rows);
        let totals = reader.totals().expect("totals");
        assert_eq!(totals.calls as usize, rows.len(), "the rollups");
        let Some((windows, status)) = told else {
            return;
        };
        if !self.story.jumps && !self.story.lies {
            stage.oracle.check_windows(&windows, &rows);
            if let Some(bound) = status.freshness_bound {
                stage.oracle.check_bound(bound, now, &rows);
            }
        }
    }

    /// Where one seed is run: what there is to know.
    pub fn explain(&self) {
        if std::env::var("SEED").is_err() {
            return;
        }
        let stage = self.shared.lock();
        for (at, target) in stage.asked.iter().rev().take(200).rev() {
            println!("{:?} {target}", at.elapsed());
        }
        println!("{:?}", self.story);
        println!("{:?}", stage.world.config());
        println!(
            "answers of more than {:?} rows break off",
            stage.breaks_above
        );
        if let Some(edge) = &self.edge {
            println!("{:?}", *edge.handle.status().borrow());
            for window in edge.handle.coverage().windows() {
                println!("{window:?}");
            }
        }
    }

    /// The faults stop and nothing changes any more: within the stated bound all is equal.
    async fn settle(&mut self) {
        self.clear_faults();
        self.shared.change(|world| world.set_rates(Rates::STILL));
        if self.edge.is_none() {
            self.start();
        }
        let began = tokio::time::Instant::now();
        let before = self.shared.lock().asked.len();
        let (mut bound, mut holds) = (Duration::from_secs(600), 0);
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            self.check();
            let status = self.status();
            let edge = self.edge.as_ref().expect("an edge");
            bound = status.freshness_bound.unwrap_or(bound).max(bound);
            if status.phase == Phase::Held {
                holds += 1;
                // A replica that lost all of its calls has no witness: the operator decides.
                if holds == 20 {
                    edge.handle.release_holds();
                }
            }
            let held = Duration::from_secs(60) * holds.min(60);
            let decided = status.phase != Phase::Held || holds >= 60;
            // A crowd takes several readings that an intermediary did not keep.
            let kept = self
                .story
                .cached
                .map_or(Duration::ZERO, |(_, keep)| 20 * keep);
            if decided && began.elapsed() >= 2 * bound + held + kept {
                self.explain();
                assert_eq!(status.phase, Phase::Live, "{status:?}");
                assert_eq!(status.state, UpstreamState::Online, "{status:?}");
                assert_eq!((status.unreadable, status.consecutive_errors), (0, 0));
                break;
            }
        }
        let minutes = began.elapsed().as_secs() as usize / 60 + 1;
        let stage = self.shared.lock();
        let spent = stage.asked.len() - before;
        let most = minutes * self.story.settings.max_requests_per_minute as usize;
        assert!(spent <= most, "{spent} requests in {minutes} minutes");
        let reader = Reader::open(&self.path()).expect("a reader");
        let rows = rows(&reader);
        stage.oracle.check_equal(&rows);
        assert_eq!(reader.totals().expect("totals").suspects, 0);
    }
}

fn rows(reader: &Reader) -> Rows {
    let texts = reader.scan().map(|text| text.expect("a read"));
    texts.map(|text| (text.id, text.body)).collect()
}

/// A killed engine's last transaction may still be ending: nothing can stop that one but the end of
/// the process.
fn open(path: &Path) -> Writer {
    for _ in 0..1_000_000 {
        match Writer::open(path, URL) {
            Err(StoreError::Locked(_)) => std::thread::yield_now(),
            other => return other.expect("a writer"),
        }
    }
    panic!("the file stays locked");
}
