//! The engine, its plan and its store against an upstream that lives, lies and fails, from one
//! seed, in virtual time; what must hold is checked at every step.
//!
//! `SEEDS=N` runs N seeds, `SEED=n` one of them. A seed replays exactly.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail where it stands"
)]

#[path = "../support/folder.rs"]
mod folder;
mod oracle;
mod promises;
mod scenario;
mod upstream;

/// Seeds of a plain `cargo test`.
const SEEDS: u64 = 100;

#[test]
fn whatever_happens_the_replica_becomes_equal_and_is_never_wrong() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("FIRST_SEED").unwrap_or(0);
            first..first + number("SEEDS").unwrap_or(SEEDS)
        }
    };
    let seeds = std::sync::Mutex::new(seeds);
    let failed = std::sync::Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().unwrap().next() else {
                        return;
                    };
                    if std::panic::catch_unwind(|| scenario::run(seed)).is_err() {
                        println!("SEED={seed} fails");
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
}
