//! The simulated upstream as the engine's source: no socket, virtual time, and every change of it
//! noted by the oracle before anybody can see it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use burki_edge::model::{KeyHash, Timestamp};
use burki_edge::simulator::{ApiRequest, Cache, Fault, Faults, Flavour, Total, World};
use burki_edge::sync::Clock;
use burki_edge::upstream::{CallSource, DateForm, ErrorKind, Reply, Request, UpstreamError, wire};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::oracle::Oracle;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What both the driver and the source work on.
pub struct Stage {
    pub world: World,
    pub faults: Faults,
    pub oracle: Oracle,
    /// An intermediary that keeps answers to whatever has this in its path.
    pub cache: Option<(&'static str, Cache)>,
    /// Answers that are asked for with more rows break off, whatever else is or is not wrong.
    pub breaks_above: Option<usize>,
    /// Every answer comes within a tenth of a second.
    pub quick: bool,
    pub latency: StdRng,
    pub asked: Vec<(Instant, String)>,
}

impl Stage {
    /// No fault any more but what the server can't do.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
        if let Some(rows) = self.breaks_above {
            self.faults.break_above(rows);
        }
    }

    /// Every list says how many there are in all.
    pub fn tells_total(&self) -> bool {
        let config = self.world.config();
        config.flavour == Flavour::Hosted && config.total == Total::True
    }
}

#[derive(Clone)]
pub struct Shared {
    stage: Arc<Mutex<Stage>>,
    /// The true time, whatever the edge's clock says.
    begin: (Instant, Timestamp),
}

impl Shared {
    pub fn new(mut world: World, seed: u64) -> Shared {
        let begin = (Instant::now(), world.now());
        let mut oracle = Oracle::default();
        oracle.note(&mut world, begin.1);
        Shared {
            stage: Arc::new(Mutex::new(Stage {
                world,
                faults: Faults::default(),
                oracle,
                cache: None,
                breaks_above: None,
                quick: false,
                latency: StdRng::seed_from_u64(seed ^ 0x5eed),
                asked: Vec::new(),
            })),
            begin,
        }
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.begin.1 + self.begin.0.elapsed()
    }

    pub fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets the world live up to now, changes it, and has the oracle note what that did.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let now = self.now();
        let mut stage = self.lock();
        let Stage { world, oracle, .. } = &mut *stage;
        if world.advance(now) > 0 {
            oracle.note(world, now);
        }
        let done = change(world);
        oracle.note(world, now);
        done
    }
}

pub struct Source {
    pub shared: Shared,
    /// The edge's, which may be wrong.
    pub clock: Clock,
}

impl CallSource for Source {
    fn key_hash(&self) -> KeyHash {
        KeyHash::of("burki_key")
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        let target = wire::path_and_query(request, dates);
        let (there, back) = {
            let mut stage = self.shared.lock();
            stage.asked.push((Instant::now(), target.clone()));
            let quick = stage.quick;
            let mut leg = || {
                let slow = stage.latency.random_bool(0.02);
                let most = match (quick, slow) {
                    (true, _) => 50,
                    (false, true) => 9000,
                    (false, false) => 150,
                };
                Duration::from_millis(stage.latency.random_range(1..most))
            };
            (leg(), leg())
        };
        // The answer is of the moment between the two: it arrives when more has happened.
        tokio::time::sleep(there).await;
        let mut age = None;
        let answer = {
            let now = self.shared.now();
            let mut stage = self.shared.lock();
            let Stage {
                world,
                faults,
                oracle,
                cache,
                ..
            } = &mut *stage;
            if world.advance(now) > 0 {
                oracle.note(world, now);
            }
            let cache = cache.as_mut().filter(|(part, _)| target.contains(part));
            let request =
                ApiRequest::new("GET", &target).with_key("burki_0123456789abcdefghijklmnopqrstuv");
            match faults.decide(&request) {
                None | Some(Fault::Latency(_)) => {
                    let mut origin = || faults.review(world.answer(&request));
                    Ok(match cache {
                        Some((_, cache)) => {
                            let answer = cache.answer(&target, now, origin);
                            age = answer.1;
                            answer.0
                        }
                        None => origin(),
                    })
                }
                Some(fault) if !fault.is_answered() => Err(fault),
                Some(fault) => match fault.answer(world.flavour(), &request) {
                    Some(answer) => Ok(answer),
                    None => Ok(fault.spoil(faults.review(world.answer(&request)))),
                },
            }
        };
        tokio::time::sleep(back).await;
        match answer {
            Ok(answer) => {
                let (status, retry_after) = (answer.status, answer.header("retry-after"));
                let body = &answer.body;
                let reply = wire::reply(request, dates, status, retry_after, body, (self.clock)())?;
                Ok(Reply { age, ..reply })
            }
            Err(Fault::Hang) => {
                tokio::time::sleep(TIMEOUT).await;
                Err(UpstreamError::new(ErrorKind::Timeout))
            }
            Err(Fault::Truncated) => Err(UpstreamError {
                status: Some(200),
                ..UpstreamError::new(ErrorKind::BrokenOff)
            }),
            Err(_) => Err(UpstreamError::new(ErrorKind::Reset)),
        }
    }
}
