//! The load: requests that are sent when they are due, whether or not earlier ones are answered.
//!
//! A thread of its own draws the instants (a Poisson process) and tells them as they come; another
//! sends. Latency counts from the instant at which a request was due, so that what an overloaded
//! server, or this machine, makes it wait before it is sent is part of it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use crate::wire;

/// A connection that was idle for longer may have been closed by the server, which does so after
/// five seconds: it is not used again.
const FRESH: Duration = Duration::from_secs(3);

/// A client gives up after this long.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone)]
pub struct Questions {
    pub key: String,
    pub ids: Vec<i64>,
    /// How many of a hundred are lists; the others are calls by id.
    pub lists: u32,
}

impl Questions {
    fn next(&self, rng: &mut StdRng) -> Vec<u8> {
        let path = match rng.random_range(0..100) < self.lists {
            // A parameter that nobody knows makes each a page that is not kept.
            true => format!("?limit=100&x={}", rng.random::<u64>()),
            false => format!("/{}", self.ids[rng.random_range(0..self.ids.len())]),
        };
        format!(
            "GET /api/v1/calls{path} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {}\r\n\r\n",
            self.key
        )
        .into_bytes()
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// By a 503 that says when to come back.
    Refused,
    /// All connections that the clients may have were busy.
    Unsent,
    Failed(String),
}

/// A request that was due at `at` since the beginning.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Duration,
    pub latency: Duration,
    pub outcome: Outcome,
}

/// So many requests a second, for so long.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    pub rate: f64,
    pub time: Duration,
}

/// Whom to ask, for what, and by how many connections at most.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub questions: Questions,
    pub connections: usize,
}

impl Load {
    /// Answers per second where each connection sends as soon as it is answered.
    pub fn closed(&self, time: Duration) -> anyhow::Result<f64> {
        let load = self.clone();
        on_a_thread(move || async move {
            let end = Instant::now() + time;
            let clients = (0..load.connections).map(|seed| {
                let load = load.clone();
                tokio::task::spawn_local(async move { load.client(seed as u64, end).await })
            });
            let clients: Vec<_> = clients.collect();
            let mut answers = 0;
            for client in clients {
                answers += client.await??;
            }
            Ok(answers as f64 / time.as_secs_f64())
        })
    }

    async fn client(&self, seed: u64, end: Instant) -> anyhow::Result<u64> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut stream = connect(self.address).await?;
        let mut answers = 0;
        while Instant::now() < end {
            let head = wire::exchange(&mut stream, &self.questions.next(&mut rng)).await?;
            // A machine with other things to do may let a list wait for too long.
            anyhow::ensure!(matches!(head.status, 200 | 503), "{head:?}");
            answers += u64::from(head.status == 200);
        }
        Ok(answers)
    }

    /// What became of every request that was due in these phases, one after the other.
    pub fn open(&self, phases: &[Phase]) -> anyhow::Result<Vec<Sample>> {
        let (load, phases) = (self.clone(), phases.to_vec());
        on_a_thread(move || async move {
            let (due, mut instants) = mpsc::unbounded_channel();
            let begun = Instant::now();
            let pace = thread::spawn(move || pace(&phases, begun, &due));
            let pool = Rc::new(Pool::default());
            let samples = Rc::new(RefCell::new(Vec::new()));
            let mut rng = StdRng::seed_from_u64(7);
            let mut sent = JoinSet::new();
            while let Some(at) = instants.recv().await {
                while sent.try_join_next().is_some() {}
                let Some(connection) = pool.claim(load.connections) else {
                    samples.borrow_mut().push(Sample {
                        at,
                        latency: begun.elapsed() - at,
                        outcome: Outcome::Unsent,
                    });
                    continue;
                };
                let request = load.questions.next(&mut rng);
                let (pool, samples, address) =
                    (Rc::clone(&pool), Rc::clone(&samples), load.address);
                sent.spawn_local(async move {
                    let asked = pool.ask(address, connection, &request);
                    let outcome = match tokio::time::timeout(DEADLINE, asked).await {
                        Ok(outcome) => outcome,
                        Err(_) => pool.failed("waiting", &"no answer in time"),
                    };
                    samples.borrow_mut().push(Sample {
                        at,
                        latency: begun.elapsed() - at,
                        outcome,
                    });
                });
            }
            while let Some(ended) = sent.join_next().await {
                ended?;
            }
            pace.join().map_err(|_| anyhow!("the pace broke off"))?;
            Ok(samples.take())
        })
    }
}

/// Tells each instant when it has come; several at once where it woke up late.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing but the clock is waited for"
)]
fn pace(phases: &[Phase], begun: Instant, due: &mpsc::UnboundedSender<Duration>) {
    let mut rng = StdRng::seed_from_u64(11);
    let mut end = Duration::ZERO;
    for phase in phases {
        let mut at = end;
        end += phase.time;
        loop {
            let gap = -(1.0 - rng.random::<f64>()).ln() / phase.rate;
            at += Duration::from_secs_f64(gap);
            if at >= end {
                break;
            }
            let early = at.saturating_sub(begun.elapsed());
            if !early.is_zero() {
                thread::sleep(early);
            }
            if due.send(at).is_err() {
                return;
            }
        }
    }
}

/// The clients' connections.
#[derive(Default)]
struct Pool {
    /// The last used is used first.
    idle: RefCell<Vec<(TcpStream, Instant)>>,
    open: RefCell<usize>,
}

impl Pool {
    /// A connection that is idle, `Some(None)` for a new one, or none where all are busy.
    fn claim(&self, most: usize) -> Option<Option<TcpStream>> {
        if let Some(stream) = self.idle() {
            return Some(Some(stream));
        }
        let mut open = self.open.borrow_mut();
        (*open < most).then(|| {
            *open += 1;
            None
        })
    }

    async fn ask(
        &self,
        address: SocketAddr,
        connection: Option<TcpStream>,
        request: &[u8],
    ) -> Outcome {
        let mut stream = match connection {
            Some(stream) => stream,
            None => match connect(address).await {
                Ok(stream) => stream,
                Err(error) => return self.failed("connecting", &error),
            },
        };
        match wire::exchange(&mut stream, request).await {
            Ok(head) => {
                match head.closes {
                    true => *self.open.borrow_mut() -= 1,
                    false => self.idle.borrow_mut().push((stream, Instant::now())),
                }
                match (head.status, head.says_when) {
                    (200, _) => Outcome::Answered,
                    (503, true) => Outcome::Refused,
                    _ => Outcome::Failed(format!("{head:?}")),
                }
            }
            Err(error) => self.failed("asking", &error),
        }
    }

    fn idle(&self) -> Option<TcpStream> {
        let (stream, since) = self.idle.borrow_mut().pop()?;
        if since.elapsed() < FRESH {
            return Some(stream);
        }
        // All others were idle for longer still.
        *self.open.borrow_mut() -= 1 + self.idle.borrow().len();
        self.idle.borrow_mut().clear();
        None
    }

    fn failed(&self, doing: &str, error: &dyn std::fmt::Display) -> Outcome {
        *self.open.borrow_mut() -= 1;
        Outcome::Failed(format!("{doing}: {error}"))
    }
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn on_a_thread<T, F>(work: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
{
    let generator = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the generator's runtime")?;
        LocalSet::new().block_on(&runtime, work())
    });
    generator
        .join()
        .map_err(|_| anyhow!("the generator broke off"))?
}
